"""The decisions of a decision point as a file, a line each.

The file is opened anew when somebody moved it away, as logrotate does. What cannot be
written is counted: a full disk must not stop decisions.
"""

from __future__ import annotations

import logging
from logging.handlers import WatchedFileHandler
from typing import TYPE_CHECKING

import orjson

from enforcement.decisions import decision as line_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streams.pdp.decider import Decision


class DecisionLog(WatchedFileHandler):
    """Writes decisions.

    Attributes:
        lost: how many could not be written.
    """

    def __init__(
        self, path: Path, point: str, clock: Callable[[], int], instance: str
    ) -> None:
        """Open the file.

        Args:
            path: of the file; it is appended to.
            point: the name of the guard.
            clock: ns since 1970 (UTC).
            instance: random, so that ids of two processes differ.

        Raises:
            OSError: it cannot be opened.
        """
        super().__init__(path, encoding="utf-8")
        self.lost = 0
        self._point = point
        self._clock = clock
        self._instance = instance
        self._count = 0

    def write(self, decision: Decision) -> None:
        """Write a decision, where the guard was asked; else nothing was named."""
        verdict = decision.verdict
        if verdict is None or decision.presented is None:
            return
        self._count += 1
        route = decision.route
        line = line_of(
            decision.presented,
            verdict,
            point=self._point if route is None else f"{self._point}/{route}",
            at=self._clock(),
            event_id=f"{self._instance}-{self._count}",
            applied=decision.applied,
        )
        try:
            self.emit(logging.makeLogRecord({"msg": orjson.dumps(line).decode()}))
        except OSError:  # its folder is gone
            self.lost += 1

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Count what could not be written."""
        del record
        self.lost += 1
