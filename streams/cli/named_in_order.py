"""Whom an order names: identifiers that are typed, or the lines of a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

MOST_LINES: Final = 50_000
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
    try:
        text = (
            sys.stdin.read() if file == STANDARD_INPUT else file.read_text("utf-8-sig")
        )
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8: save it as that") from error
    lines = text.splitlines()
    if len(lines) > MOST_LINES:
        raise ValueError(f"{file} has {len(lines)} lines: give at most {MOST_LINES}")
    if not any(line.strip() and not line.lstrip().startswith("#") for line in lines):
        raise ValueError(f"{file} names nothing")
    return lines
