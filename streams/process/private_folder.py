"""Data folders and their files: for their owner alone, also those made beforehand.

A folder that was made beforehand, or restored by hand, has whatever rights its maker
gave it. What is ours is mended and said; what belongs to somebody else cannot be, so a
server does not start on data of another user that others may read.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
OTHERS: Final = 0o077
# Logs with their write-ahead logs, keys, tokens, what lies beside them half written.
_KEPT: Final = (
    ".db", ".db-wal", ".db-shm", ".key", ".secret", ".token", ".json", ".new",
    ".unfinished", ".snapshot", ".partial",
)  # fmt: skip
_LISTED: Final = 10

log = structlog.get_logger()


class OpenFolderError(PermissionError):
    """Others may read what a data folder holds; the text says what to do."""


def make_private(folder: Path) -> None:
    """Make a data folder, or take the rights of others away from one and its files.

    A mount may belong to another user; then the files in it are private all the same.

    Raises:
        OpenFolderError: a file in it belongs to another user, and others may read it.
        OSError: the folder cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    mended = [name for name in _entries(folder) if _mend(name)]
    if mended:
        names = [str(one) for one in mended[:_LISTED]]
        log.warning("rights_mended", folder=str(folder), entries=names, of=len(mended))


def create_private(path: Path) -> None:
    """Make an empty file for its owner alone, where there is none.

    SQLite gives the files beside a database its rights.

    Raises:
        OSError: it cannot be made.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))


def _entries(folder: Path) -> Iterator[str]:
    yield str(folder)
    for where, folders, files in os.walk(folder):
        for name in (*folders, *files):
            yield os.path.join(where, name)  # noqa: PTH118 - as os.walk gives them


def _mend(name: str) -> bool:
    """Take the rights of others away from an entry; tell whether there were any."""
    found = os.lstat(name)
    is_file, is_folder = stat.S_ISREG(found.st_mode), stat.S_ISDIR(found.st_mode)
    if not (is_file or is_folder) or not found.st_mode & OTHERS:
        return False
    if found.st_uid == os.geteuid():
        os.chmod(name, stat.S_IMODE(found.st_mode) & ~OTHERS)  # noqa: PTH101 - as above
        return True
    if is_file and name.endswith(_KEPT):
        user = os.geteuid()
        raise OpenFolderError(
            f"{name} belongs to user {found.st_uid}, and others than its owner may "
            f"read it: run `chown {user}` and `chmod 600` on it"
        )
    return False
