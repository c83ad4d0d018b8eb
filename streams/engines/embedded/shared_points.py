"""The guards of a realm, told by the main loop and asked by the sentinel's."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from streams.stages.sentinel.points import EnforcementPoints

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.stages.sentinel.evidence import PointEvidence


class SharedPoints(EnforcementPoints):
    """Points that two threads use; each step is short, and alone."""

    def __init__(self, bound: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__(bound)
        self._alone = threading.RLock()

    def registered(self, guard: str, at: int, *, enforces: bool) -> None:
        """Note that a guard serves from a time on, and whether it enforces."""
        with self._alone:
            super().registered(guard, at, enforces=enforces)

    def applied(self, guard: str, offset: int, at: int) -> None:
        """Note that a guard had applied every fact below an offset by a time."""
        with self._alone:
            super().applied(guard, offset, at)

    def begin_anew(self) -> None:
        """Forget who had applied what: it speaks of another log's offsets."""
        with self._alone:
            super().begin_anew()

    def left(self, guard: str, at: int) -> None:
        """Note that a guard serves no more."""
        with self._alone:
            super().left(guard, at)

    def forget(self, before: int) -> None:
        """Drop the guards that left before a time."""
        with self._alone:
            super().forget(before)

    def standing(
        self, point: str, as_of: int | None, at: int, skew: int
    ) -> PointEvidence:
        """Say what receipts tell of a point; see `EnforcementPoints.standing`."""
        with self._alone:
            return super().standing(point, as_of, at, skew)

    def behind(self, point: str, as_of: int | None, at: int) -> str:
        """Name the guards of a point that were late; see `EnforcementPoints.behind`."""
        with self._alone:
            return super().behind(point, as_of, at)

    def take_news(self) -> set[str]:
        """Points that guards with news stand at, since the last call."""
        with self._alone:
            return super().take_news()

    def take_unsaved(self) -> list[tuple[str, dict[str, Any] | None]]:
        """Guards that changed since the last call; None for forgotten ones."""
        with self._alone:
            return super().take_unsaved()

    def restore(self, name: str, plain: Mapping[str, Any]) -> None:
        """Take back what was saved of a guard."""
        with self._alone:
            super().restore(name, plain)
