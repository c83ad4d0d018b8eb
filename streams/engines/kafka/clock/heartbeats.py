"""Heartbeats: a record to every partition of ``facts`` each 250 ms.

A guard that has applied one knows how old its replica is at most. They go through the
producer that writes facts, so one that arrives says that this writer's way is open.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog
from attrs import Factory, define

from streams.engines.kafka.client.publisher import NotAckedError
from streams.engines.kafka.clock.cluster_clock import ClusterClock
from streams.engines.kafka.records.codec import Heartbeat, heartbeat_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from streams.engines.kafka.client.publisher import Acked, Publisher
    from streams.engines.kafka.records.codec import Genesis, Outgoing

PERIOD: Final = 0.25
SILENT_SECONDS: Final = 5.0
SHORTER: Final = "it ends before what it acked: it was made anew"

log = structlog.get_logger()


@define
class Heart:
    """Beats for one writer.

    Attributes:
        topic: ``facts``, its full name.
        writer: a stable name, so that compaction keeps one record of each.
        clock: gives the time (ns); a `ClusterClock` is measured by every round.
        beats: how many rounds were acked; failed: and how many were not.
        doubt: gets why the log may be another than before.
        acked_at: when the last one was, by the event loop's clock.
    """

    topic: str
    writer: str
    geneses: Mapping[int, Genesis]
    clock: Callable[[], int]
    doubt: Callable[[str], None] = log.error
    beats: int = 0
    failed: int = 0
    acked_at: float | None = None
    _ends: dict[int, int] = Factory(dict)
    _sequence: int = 0

    def silent(self, now: float, seconds: float = SILENT_SECONDS) -> bool:
        """Whether no round was acked for so long, or none yet."""
        return self.acked_at is None or now - self.acked_at > seconds

    async def run(self, publisher: Publisher) -> None:
        """Beat until cancelled; a round that fails is not made up for."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self.beat(publisher)
            due = max(due + PERIOD, loop.time())
            await asyncio.sleep(due - loop.time())

    async def beat(self, publisher: Publisher) -> None:
        """Send one round, and measure the clock by it."""
        sequence, self._sequence = self._sequence, self._sequence + 1
        clock = self.clock if isinstance(self.clock, ClusterClock) else None
        sent = 0 if clock is None else clock.boottime()
        try:
            acked = await publisher.publish(self.topic, self._round(sequence))
        except NotAckedError as error:
            # Guards notice by themselves; who writes facts decides what to do.
            self.failed += 1
            log.warning("heartbeat_failed", error=str(error))
            return
        self._note(acked)
        self.beats += 1
        self.acked_at = asyncio.get_running_loop().time()
        if clock is not None:
            appended = [each.appended for each in acked if each.appended is not None]
            clock.measured(sent, clock.boottime(), appended)

    def _note(self, acked: Iterable[Acked]) -> None:
        """Take note of where the partitions end: none becomes shorter."""
        for each in acked:
            if each.start < self._ends.get(each.partition, 0):
                self.doubt(f"{self.topic} partition {each.partition}: {SHORTER}")
            self._ends[each.partition] = each.end

    def _round(self, sequence: int) -> list[list[Outgoing]]:
        now = self.clock()
        return [
            [
                heartbeat_record(
                    Heartbeat(
                        genesis=genesis.genesis,
                        partition=partition,
                        writer=self.writer,
                        sequence=sequence,
                        sent_at=now,
                    )
                )
            ]
            for partition, genesis in self.geneses.items()
        ]


async def begun(heart: Heart, publisher: Publisher) -> Heart:
    """Let the first round go: nothing is judged by a clock that was not measured."""
    await heart.beat(publisher)
    return heart
