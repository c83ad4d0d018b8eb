"""The time of a process on Kafka: its own clock, while the brokers do not contradict.

All times that a process states (receive times above all) are compared with those of
others: a clock an hour ahead puts revocations after the uses that they condemn, one an
hour behind puts renewals before what they renew. So each round of heartbeats measures
how far this machine's wall clock is from the time at which the leaders of ``facts``
appended them (`LogAppendTime`), the median over the partitions and the last rounds.
Each partition counts once, however often it is written to: one leader with a wrong
clock may lead the few in which this process beats.
Who writes none measures by those of others (`clock_rounds`).
Beyond the limit the time is the brokers', carried on by a clock that nobody can set.

The error of a round is at most its round trip; a slow one tells nothing.
"""

from __future__ import annotations

import time
from collections import deque
from statistics import median
from typing import TYPE_CHECKING, Final

import structlog
from attrs import Factory, define

from enforcement.clocks import boottime

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.settings.kafka import KafkaSettings

SECOND: Final = 1_000_000_000
MILLISECOND: Final = 1_000_000
LIMIT: Final = 2 * SECOND
SLOWEST_ROUND: Final = SECOND
ROUNDS: Final = 9  # measurements that count, or one of each partition if that is more
JUDGED: Final = SECOND // 4  # between two looks at all partitions

log = structlog.get_logger()


@define(eq=False)
class ClusterClock:
    """Gives the time (ns since 1970), and says how wrong the wall clock is.

    Attributes:
        wall: the machine's clock (ns since 1970), which may be set at any time.
        boottime: a clock (ns) that nobody sets.
        limit: by how much the wall clock may be off (ns).
    """

    wall: Callable[[], int]
    boottime: Callable[[], int]
    limit: int = LIMIT
    _bases: dict[int, deque[int]] = Factory(dict)
    _judged: int | None = None
    _base: int | None = None  # the brokers' time when `boottime` was 0
    _said: bool = False

    def __call__(self) -> int:
        """Time that counts (ns)."""
        wall, cluster = self.wall(), self._cluster()
        if cluster is None or abs(wall - cluster) <= self.limit:
            return wall
        return cluster

    @property
    def offset(self) -> int:
        """Lead of the wall clock over the brokers' (ns), 0 unmeasured."""
        cluster = self._cluster()
        return 0 if cluster is None else self.wall() - cluster

    @property
    def fault(self) -> str | None:
        """Say for a person what is wrong with the clock; None while nothing is."""
        offset = self.offset
        if abs(offset) <= self.limit:
            return None
        direction = "ahead of" if offset > 0 else "behind"
        return f"clock {abs(offset) / SECOND:.1f} s {direction} the brokers'"

    def measured(self, sent: int, acked: int, appended: Mapping[int, int]) -> None:
        """Take in a round of records.

        Args:
            sent: when they were handed over, by `boottime`.
            acked: when the last ack was there.
            appended: when the leaders appended them (ms since 1970), by partition;
                none where the topic keeps the writers' times.
        """
        if not appended or acked - sent > SLOWEST_ROUND:
            return
        known = len(self._bases)
        for place, at in appended.items():
            base = at * MILLISECOND + MILLISECOND // 2 - (sent + acked) // 2
            self._bases.setdefault(place, deque()).append(base)
        kept = max(1, ROUNDS // len(self._bases))
        for place in appended if len(self._bases) == known else self._bases:
            bases = self._bases[place]
            while len(bases) > kept:
                bases.popleft()
        since = None if self._judged is None else acked - self._judged
        if len(self._bases) == known and since is not None and since < JUDGED:
            return
        self._judged = acked
        self._base = round(median(map(median, self._bases.values())))
        fault = self.fault
        if (fault is not None) is not self._said:
            self._said = fault is not None
            if fault is not None:
                log.error("clock_wrong", error=fault, time_used="the brokers'")
            else:
                log.info("clock_right", offset_seconds=self.offset / SECOND)

    def _cluster(self) -> int | None:
        return None if self._base is None else self._base + self.boottime()


def machine_clock(settings: KafkaSettings) -> ClusterClock:
    """Clock of this process."""
    limit = round(settings.clock_limit * SECOND)
    return ClusterClock(time.time_ns, boottime, limit)  # noqa: TID251 - the clock


def faults(clock: Callable[[], int]) -> list[str]:
    """Say what is wrong with a clock; nothing while it is right or not measured."""
    fault = clock.fault if isinstance(clock, ClusterClock) else None
    return [] if fault is None else [fault]


def offset_seconds(clock: Callable[[], int]) -> float:
    """Lead of the machine's clock over the brokers' (s), 0 unmeasured."""
    return clock.offset / SECOND if isinstance(clock, ClusterClock) else 0.0


def timestamps(clock: Callable[[], int]) -> ClusterClock | None:
    """Clock that stamps records: no other than one that is measured."""
    return clock if isinstance(clock, ClusterClock) else None
