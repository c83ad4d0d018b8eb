"""Progress of a stage, for health: what turns but does not move is not well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import Factory, define

if TYPE_CHECKING:
    from collections.abc import Mapping

STILL_SECONDS: Final = 30.0  # with a lag and no step forward


@define
class Progress:
    """What a stage said last; times are those of a monotonic clock, in seconds.

    Attributes:
        turned_at: its loop came round.
        moved_at: it had no lag, or its positions changed.
        assigned: partitions that it has.
        ready: it has some, and has applied all that was there when it got them.
        lag: records that the broker has and it has not applied.
        waiting: facts whose lists are not complete.
        positions: partition to position.
    """

    turned_at: float = 0.0
    moved_at: float = 0.0
    assigned: int = 0
    ready: bool = False
    lag: int = 0
    waiting: int = 0
    positions: Mapping[int, int] = Factory(dict)

    def turn(
        self,
        *,
        now: float,
        assigned: int,
        ready: bool,
        lag: int,
        waiting: int,
        positions: Mapping[int, int],
    ) -> None:
        """Take note of a turn of the loop."""
        if not lag or positions != self.positions:
            self.moved_at = now
        self.turned_at = now
        self.assigned = assigned
        self.ready = ready
        self.lag = lag
        self.waiting = waiting
        self.positions = positions

    def live(self, now: float) -> bool:
        """Tell whether the loop turns and gets on."""
        return now - min(self.turned_at, self.moved_at) < STILL_SECONDS
