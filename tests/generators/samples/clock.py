"""Times and ids of hand-made events: other ones in each round, each in its second."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

START: Final = 1_772_442_000  # 2026-03-02T09:00:00Z


class Clock:
    """Give the times of one round of events, a second between them.

    Args:
        n: the round; it begins a minute after the one before.
    """

    def __init__(self, n: int) -> None:
        self._now = START + 60 * n - 1
        self._ids = n * 1_000

    def seconds(self) -> int:
        """Give the next time as seconds since 1970 (UTC)."""
        self._now += 1
        return self._now

    def millis(self) -> int:
        """Give the next time as milliseconds."""
        return self.seconds() * 1_000 + 123

    def text(self, fraction: str = "") -> str:
        """Give the next time as RFC 3339, with this fraction."""
        moment = datetime.fromtimestamp(self.seconds(), UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"

    def uuid(self) -> str:
        """Give an id that no other event has."""
        self._ids += 1
        return f"{self._ids:08x}-0000-4000-8000-{self._ids:012x}"
