"""Whom an order names: identifiers that are typed, or the lines of a file."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

MOST_LINES: Final = 50_000
_COMMENT_BEHIND: Final = re.compile(r"\s#")
STANDARD_INPUT: Final = Path("-")


def named(typed: list[str], file: Path | None) -> list[str]:
    """Return the identifiers as the server reads them; a line keeps its number.

    Args:
        typed: as arguments.
        file: one a line; ``-`` is standard input.

    Raises:
        ValueError: there are none, or both, or too many.
        OSError: the file cannot be read.
    """
    if file is None:
        if not typed:
            raise ValueError("name an identifier, or a file of them by --from-file")
        return typed
    if typed:
        raise ValueError("give identifiers or --from-file, and not both")
    is_standard = file == STANDARD_INPUT
    try:
        data = sys.stdin.buffer.read() if is_standard else file.read_bytes()
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8: save it as that") from error
    lines = text.splitlines()
    if len(lines) > MOST_LINES:
        raise ValueError(f"{file} has {len(lines)} lines: give at most {MOST_LINES}")
    found = identifiers_on(lines)
    if not found:
        raise ValueError(f"{file} names nothing")
    for number, name in found.items():
        if _COMMENT_BEHIND.search(name):
            what = f"{file}, line {number}: a comment stands behind the identifier"
            raise ValueError(f"{what}: write it on a line of its own")
    return lines


def identifiers_on(lines: list[str]) -> dict[int, str]:
    """Return identifiers by the numbers of their lines; comments are left out."""
    stripped = enumerate(map(str.strip, lines), 1)
    return {number: line for number, line in stripped if line and line[0] != "#"}
