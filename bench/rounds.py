"""Interleaved rounds: ours and a peer take turns, so that noise hits both alike.

A round is ours, peer, peer, ours (ABBA): a drift within the round cancels out. The
ratio is taken within each round; its median over the rounds is reported with the
smallest and the largest. Times are CPU time of this process.
"""

from __future__ import annotations

import gc
import time
from statistics import median
from typing import TYPE_CHECKING, Final, TypeVar

from attrs import field, frozen

from streams.services.hunt_forks import in_fork

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS: Final = 7
Found = TypeVar("Found")


@frozen
class Rounds:
    """CPU-seconds of one run, by round; each the mean of the round's two runs."""

    ours: list[float] = field(factory=list)
    peer: list[float] = field(factory=list)

    @property
    def ratio(self) -> tuple[float, float, float]:
        """Give median, smallest and largest of ours divided by the peer's."""
        return spread(
            [one / other for one, other in zip(self.ours, self.peer, strict=True)]
        )

    @property
    def cpu(self) -> float:
        """Give our CPU-seconds over all runs."""
        return 2 * sum(self.ours)

    @property
    def ours_median(self) -> float:
        """Give the median of our rounds in seconds."""
        return median(self.ours)

    @property
    def peer_median(self) -> float:
        """Give the median of the peer's rounds in seconds."""
        return median(self.peer)


def spread(values: list[float]) -> tuple[float, float, float]:
    """Give median, smallest and largest."""
    return median(values), min(values), max(values)


def cpu_of(work: Callable[[], object]) -> float:
    """Give the CPU-seconds of one run."""
    started = time.process_time_ns()
    work()
    return (time.process_time_ns() - started) / 1e9


def interleave(
    ours: Callable[[], object], peer: Callable[[], object], rounds: int = ROUNDS
) -> Rounds:
    """Measure two pieces of work in ABBA rounds, after a warm-up of each.

    The collector of cycles runs between the rounds, as in a service that has frozen
    its table; neither side makes cycles.
    """
    ours()
    peer()
    measured = Rounds()
    for _ in range(rounds):
        gc.collect()
        gc.disable()
        try:
            first, other, again, last = map(cpu_of, (ours, peer, peer, ours))
        finally:
            gc.enable()
        measured.ours.append((first + last) / 2)
        measured.peer.append((other + again) / 2)
    return measured


def apart(work: Callable[[], Found]) -> Found:
    """Work in a process of its own: memory that was in use before is slower."""
    with in_fork(work) as result:
        return result()
