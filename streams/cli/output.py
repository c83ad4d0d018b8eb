"""Aligned columns of plain text: the same at a terminal and in a pipe."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents_registry.secret_shapes import without_secrets
from streams.model.error_text import error_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

GAP = "  "


def clean(value: object) -> str:
    """Value on one line, without terminal escape sequences.

    Names come from logs, so whoever writes to a log could otherwise send escape
    sequences to the terminal of whoever reads the table.
    """
    text = "-" if value is None or value == "" else str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def to_stderr(command: str, text: object) -> None:
    """Print sentences for the person; what was typed may hold a secret.

    Args:
        command: after ``rescind``.
        text: a line each; of an error of the system its words, without its number.
    """
    for line in error_text(text).splitlines():
        sys.stderr.write(f"rescind {command}: {clean(without_secrets(line))}\n")


def show(answer: Mapping[str, Any], text: str, output: str) -> int:
    """Print an answer as ``json``, or else its text; give exit code 0."""
    sys.stdout.write((json.dumps(answer) if output == "json" else text) + "\n")
    return 0


def show_accepted(
    command: str, answer: Mapping[str, Any], text: str, output: str
) -> bool:
    """Print the answer to an order that the server took; whether that was possible.

    Where nobody reads the output any more, this is no failure of the order.
    """
    try:
        show(answer, text, output)
        sys.stdout.flush()
    except OSError as error:
        # What is left to be printed must not fail again at the end of the process.
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
        fact = f" as {answer['id']}" if "id" in answer else ""
        why = error.strerror or error
        to_stderr(command, f"accepted{fact}, but the answer cannot be printed: {why}")
        return False
    return True


def complain(command: str, text: object, code: int) -> int:
    """Print what went wrong, as `to_stderr` does; give the exit code."""
    to_stderr(command, text)
    return code


def columns(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Table; no row is cut or folded, and the last column is not padded."""
    lines = [list(heads), *([clean(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        GAP.join(map(str.ljust, line, widths)).rstrip() for line in lines
    )  # fmt: skip


def count(number: int, thing: str) -> str:
    """``1 thing`` or ``2 things``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
