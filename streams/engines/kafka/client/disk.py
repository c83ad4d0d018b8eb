"""A disk without room: files that can be had again from the topics wait for it.

Who saves goes on with what it holds in memory, commits nothing that is not saved, and
tries again a little later. To end the process would help nobody: the next one would
meet the same disk.
"""

from __future__ import annotations

import errno
import sqlite3
import time
from typing import TYPE_CHECKING, Final

import structlog
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AGAIN_SECONDS: Final = 5.0
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

log = structlog.get_logger()


def no_room(error: BaseException) -> bool:
    """Whether an error of a file says that the disk, or a quota of it, is full."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in FULL


@define
class DiskRoom:
    """What is known of the room for one file."""

    path: Path
    clock: Callable[[], float] = time.monotonic
    _again_at: float | None = field(default=None, init=False)

    @property
    def missing(self) -> bool:
        """Whether there was no room a moment ago, so that nothing is tried now."""
        return self._again_at is not None and self.clock() < self._again_at

    def found(self) -> None:
        """Take note that something was saved."""
        if self._again_at is not None:
            self._again_at = None
            log.info("disk_has_room", file=self.path.name)

    def failed(self, error: BaseException) -> None:
        """Take note of an error; another one than of a full disk is raised again."""
        if not no_room(error):
            raise error
        self._again_at = self.clock() + AGAIN_SECONDS
        log.error(
            "disk_is_full",
            file=str(self.path),
            error=str(error),
            remedy="make room: nothing is committed until then",
        )
