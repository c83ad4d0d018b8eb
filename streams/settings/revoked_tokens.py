"""The file of revoked tokens: the SHA-256 of one on each line, then a comment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

COMMENT: Final = "#"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def revoked_in(path: Path) -> tuple[set[str], list[int]]:
    """SHA-256 (hex) of the tokens, and the numbers of the lines without one.

    Raises:
        OSError: the file cannot be read.
    """
    found: set[str] = set()
    wrong = []
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
        digest = line.partition(COMMENT)[0].strip().lower()
        if _SHA256.fullmatch(digest):
            found.add(digest)
        elif digest:
            wrong.append(number)
    return found, wrong
