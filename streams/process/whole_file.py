"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

OWNER_ONLY: Final = 0o600
ANYONE: Final = 0o666  # as far as the process' umask lets them


def write_private(path: Path, text: str) -> None:
    """Write a file as `write_whole` does, readable by its owner alone."""
    write_whole(path, text, OWNER_ONLY)


def write_whole(path: Path, text: str, mode: int = ANYONE) -> None:
    """Write a file whole or not at all, in the place of what was there.

    Raises:
        OSError: it cannot be written, or no other file beside it.
    """
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
