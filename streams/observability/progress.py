"""Progress of a stage, for health: what turns but does not move is not well.

A stage tells of itself at each turn of its loop; who watches it knows from elsewhere
where the log ends (see `streams.engines.kafka.client.cluster_monitor` and
`streams.engines.embedded.liveness`), since a consumer that hangs
would say that there is nothing to read.
"""

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
        turned_at: its loop came round, or could not for no fault of its own.
        moved_at: it had no lag, or got on: something was committed, or a piece of
            a long piece of work is done.
        assigned: partitions that it has.
        ready: it has some, and has applied all that was there when it got them; of
            notify also, that it has none since others have all.
        lag: records that the broker has and it has not applied.
        waiting: facts whose lists are not complete.
        positions: partition to position.
        committed: partition to what is committed, where that is told apart.
        full: its disk has no room, so that it goes on in memory and commits nothing.
        steps: pieces of long works done: slices acked, rows read from a file.
    """

    turned_at: float = 0.0
    moved_at: float = 0.0
    assigned: frozenset[int] = frozenset()
    ready: bool = False
    lag: int = 0
    waiting: int = 0
    positions: Mapping[int, int] = Factory(dict)
    committed: Mapping[int, int] = Factory(dict)
    full: bool = False
    steps: int = 0
    _seen: tuple[Mapping[int, int], int] | None = None

    def turn(
        self,
        *,
        now: float,
        assigned: frozenset[int],
        ready: bool,
        waiting: int,
        positions: Mapping[int, int],
        committed: Mapping[int, int],
    ) -> None:
        """Take note of a turn of the loop."""
        self.turned_at = now
        self.assigned = assigned
        self.ready = ready
        self.waiting = waiting
        self.positions = positions
        self.committed = committed

    def step(self) -> None:
        """Take note that a piece of a long piece of work is done; from any thread."""
        self.steps += 1

    def judge(self, now: float, ends: Mapping[int, int] | None) -> None:
        """Take note of whether it gets on; called now and then by who watches it.

        Args:
            now: of the same clock.
            ends: partition to where it ends; None while no broker answers, or the
                disk, which is no fault of the stage.
        """
        if ends is None:
            self.turned_at = self.moved_at = now
            return
        if not self.turned_at:
            self.turned_at = now  # it has from now on to turn for the first time
        self.lag = self._behind(ends, self.positions)
        # Without room what is applied counts: a restart would meet the same disk.
        kept = self.positions if self.full else self.committed
        seen = (dict(kept), self.steps)
        if self._seen is None or self.steps != self._seen[1]:
            self.turned_at = self.moved_at = now
        elif seen != self._seen or not self._behind(ends, kept):
            self.moved_at = now
        self._seen = seen

    def live(self, now: float, still: float = STILL_SECONDS) -> bool:
        """Whether the loop turns and makes progress."""
        if not self.turned_at:
            return True  # nobody has looked yet
        return now - min(self.turned_at, self.moved_at) < still

    def _behind(self, ends: Mapping[int, int], at: Mapping[int, int]) -> int:
        """Count what the broker has above some positions; all where there is none."""
        return sum(
            max(0, ends.get(number, 0) - at.get(number, 0)) for number in self.assigned
        )
