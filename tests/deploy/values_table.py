"""The table of values in the chart's README, out of the comments in values.yaml.

A comment is of the value that it stands before; values without one are told by their
name. A map in one line, with braces, is one row.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

BEGIN: Final = "<!-- values -->"
END: Final = "<!-- end of values -->"
_VALUE: Final = re.compile(r"( *)([A-Za-z]+):(?: (.+))?")


def rows(values: str) -> Iterator[tuple[str, str, str]]:
    """Give path, default and comment of each value, in the order of the file."""
    path: list[str] = []
    comment: list[str] = []
    for line in values.splitlines():
        text = line.strip()
        if text.startswith("#"):
            comment.append(text.removeprefix("#").strip())
            continue
        found = _VALUE.fullmatch(line)
        if found is None:
            comment.clear()  # a blank line: it was of the file as a whole
            continue
        indent, name, default = found.groups()
        path[len(indent) // 2 :] = [name]
        if default or comment:
            yield ".".join(path), default or "", " ".join(comment)
        comment.clear()


def table(values: str) -> str:
    """Give the table in Markdown."""
    lines = ["| value | default | |", "|---|---|---|"]
    for path, default, comment in rows(values):
        shown = f"`{default}`" if default else ""
        lines.append(f"| `{path}` | {shown} | {comment} |")
    return "\n".join(lines)


def put_in(readme: str, values: str) -> str:
    """Give the README with the table between its two marks."""
    before, _, rest = readme.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{table(values)}\n{END}{after}"
