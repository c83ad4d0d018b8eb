"""When guards showed that they had applied causes that were waited for.

Nothing is kept for each pair of a cause and a guard: a receipt covers a stretch of the
causes in offset order, and the newest receipts stand here in bounded room. From them
the arrival of any late cause is found when somebody asks.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.stages.closure.closure import RegisteredGuard, Tracked

MOST: Final = 10_000  # receipts


class Arrival(NamedTuple):
    """A receipt that went past a cause.

    Attributes:
        first: offset of the first cause that it went past.
        end: every fact below it is applied.
        at: when it came in (ns of closure's clock).
    """

    guard: str
    first: int
    end: int
    at: int


class Arrivals:
    """The newest receipts that went past a cause."""

    def __init__(self, most: int = MOST) -> None:
        """Start with none, and keep so many."""
        self._kept: deque[Arrival] = deque(maxlen=most)

    def note(
        self, member: RegisteredGuard, tracked: Sequence[Tracked], end: int, now: int
    ) -> None:
        """Keep the receipt of a member, if it goes past a cause that is waited for.

        Args:
            member: as it stood before the receipt. Of what was read before it
                registered it is no member.
            tracked: the causes that are waited for, in offset order.
            end: every fact below it is applied.
            now: ns of closure's clock.
        """
        place = max(
            bisect_left(tracked, member.applied, key=lambda each: each.offset),
            bisect_right(tracked, member.since, key=_end),
        )
        if place < len(tracked) and tracked[place].offset < end:
            guard, first = member.terms.guard, tracked[place].offset
            self._kept.append(Arrival(guard, first, end, now))

    def of(self, offset: int) -> dict[str, int]:
        """Return when each guard showed that it had applied a cause, where it is known.

        Args:
            offset: of the cause.

        Returns:
            Guard to the time (ns of closure's clock) of the first receipt.
        """
        found: dict[str, int] = {}
        for guard, first, end, at in self._kept:
            if first <= offset < end:
                found.setdefault(guard, at)
        return found


def _end(cause: Tracked) -> int:
    return sys.maxsize if cause.end is None else cause.end
