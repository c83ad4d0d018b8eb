"""Heartbeats: a record to every partition of ``facts``, several times in each lease.

A guard that has applied one knows how old its replica is at most. They go through the
producer that writes facts, so one that arrives says that this writer's way is open.

One writer is enough for each partition: who looks where they end (`beat_turns`) beats
only where nobody else does. Each partition has heartbeats of its own on their way, so
that one whose leader is lost keeps no other one waiting.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog
from attrs import Factory, define, field

from streams.engines.kafka.client.publisher import NotAckedError
from streams.engines.kafka.clock.beat_turns import LOOK, QUIET, BeatTurns
from streams.engines.kafka.clock.cluster_clock import ClusterClock
from streams.engines.kafka.records.codec import Heartbeat, heartbeat_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from streams.engines.kafka.client.publisher import Acked, Publisher
    from streams.engines.kafka.clock.end_looks import EndLooks
    from streams.engines.kafka.records.codec import Genesis, Outgoing

PERIOD: Final = 0.25
SILENT_SECONDS: Final = 5.0
BLIND: Final = 1.0  # seconds after a look that failed
SHORTER: Final = "it ends before what it acked: it was made anew"

log = structlog.get_logger()


@define
class Heart:
    """Beats for one writer.

    Attributes:
        topic: ``facts``, its full name.
        writer: a stable name, so that compaction keeps one record of each.
        clock: gives the time (ns); a `ClusterClock` is measured by every ack.
        doubt: gets why the log may be another than before.
        looks: at where the partitions end; None: it beats in all of them, always.
        patience: seconds without a record after which it beats; None: as ingress does.
        own: partitions that this process writes facts to; None: all.
        beats: how many rounds or heartbeats were acked; failed: and how many were not.
        acked_at: when the last one was, by the event loop's clock.
    """

    topic: str
    writer: str
    geneses: Mapping[int, Genesis]
    clock: Callable[[], int]
    doubt: Callable[[str], None] = log.error
    looks: EndLooks | None = None
    patience: float | None = None
    own: frozenset[int] | None = None
    beats: int = 0
    failed: int = 0
    acked_at: float | None = None
    turns: BeatTurns = field(init=False)
    _ends: dict[int, int] = Factory(dict)
    _failing: dict[int, float] = Factory(dict)
    _handed: dict[int, int] = Factory(dict)
    _sequence: int = 0

    def __attrs_post_init__(self) -> None:
        """Begin: each partition is due."""
        self.turns = BeatTurns(self.geneses, self.patience)

    def silent(self, now: float, seconds: float = SILENT_SECONDS) -> bool:
        """Whether nothing was acked for so long, or never, or not in all of `own`.

        That others have no leader is no fault of this writer.
        """
        if self.acked_at is None or now - self.acked_at > seconds:
            return True
        return any(
            now - since > seconds
            for number, since in self._failing.items()
            if self.own is None or number in self.own
        )

    async def run(self, publisher: Publisher) -> None:
        """Beat until cancelled; what fails is not made up for."""
        if self.looks is None:
            await self._always(publisher)
            return
        async with asyncio.TaskGroup() as tasks:
            try:
                await self._in_turns(publisher, self.looks, tasks)
            finally:
                await self.looks.close()

    async def _always(self, publisher: Publisher) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self.beat(publisher)
            due = max(due + PERIOD, loop.time())
            await asyncio.sleep(due - loop.time())

    async def _in_turns(
        self, publisher: Publisher, looks: EndLooks, tasks: asyncio.TaskGroup
    ) -> None:
        loop = asyncio.get_running_loop()
        look: asyncio.Task[None] | None = None
        while True:
            began = loop.time()
            if look is None or look.done():
                look = tasks.create_task(self._look(looks, began))
            # Without an answer nothing moved, as far as this writer knows: it beats.
            await asyncio.wait([look], timeout=QUIET)
            self.turns.wrote(self._written(publisher))
            for number in self.turns.due(loop.time()):
                self.turns.sent(loop.time(), number)
                tasks.create_task(self._beat_in(number, publisher))
            await asyncio.sleep(max(0.0, began + LOOK - loop.time()))

    async def _look(self, looks: EndLooks, began: float) -> None:
        try:
            self.turns.looked(began, await looks.ends(self.geneses))
        except Exception as error:  # noqa: BLE001
            # The boundary of a connection: whatever ended it, another one follows.
            log.info("ends_not_seen", error=type(error).__name__)
            await looks.close()
            # Who may not look beats as if it were alone, and asks no more often.
            await asyncio.sleep(BLIND)

    def _written(self, publisher: Publisher) -> Iterable[int]:
        """Yield the partitions to which facts were handed over since the last time."""
        for number in self.geneses:
            handed = publisher.handed[self.topic, number]
            if handed != self._handed.get(number, 0):
                self._handed[number] = handed
                yield number

    async def _beat_in(self, number: int, publisher: Publisher) -> None:
        """Send one heartbeat, and measure the clock by it."""
        began = asyncio.get_running_loop().time()
        acked = await self._sent([number], publisher)
        for each in acked:
            self.turns.acked(began, each.partition, each.end)
        if not acked:
            self.turns.failed(number)

    async def beat(self, publisher: Publisher) -> None:
        """Send one round, and measure the clock by it."""
        await self._sent(self.geneses, publisher)

    async def _sent(
        self, numbers: Iterable[int], publisher: Publisher
    ) -> Iterable[Acked]:
        """Send heartbeats; give what is acked, nothing where not all is."""
        numbers, loop = list(numbers), asyncio.get_running_loop()
        clock = self.clock if isinstance(self.clock, ClusterClock) else None
        sent = 0 if clock is None else clock.boottime()
        try:
            acked = await publisher.publish(self.topic, self._round(numbers))
        except NotAckedError as error:
            # Guards notice by themselves; who writes facts decides what to do.
            self.failed += 1
            for number in numbers:
                self._failing.setdefault(number, loop.time())
            log.warning("heartbeat_failed", error=str(error), partitions=numbers)
            return []
        self._note(acked)
        self.beats += 1
        self.acked_at = loop.time()
        if clock is not None:
            told = {a.partition: a.appended for a in acked if a.appended is not None}
            clock.measured(sent, clock.boottime(), told)
        return acked

    def _note(self, acked: Iterable[Acked]) -> None:
        """Take note of where the partitions end: none becomes shorter."""
        for each in acked:
            if each.start < self._ends.get(each.partition, 0):
                self.doubt(f"{self.topic} partition {each.partition}: {SHORTER}")
            self._ends[each.partition] = each.end
            self._failing.pop(each.partition, None)

    def _round(self, numbers: Iterable[int]) -> list[list[Outgoing]]:
        now, sequence = self.clock(), self._sequence
        self._sequence += 1
        return [
            [
                heartbeat_record(
                    Heartbeat(
                        genesis=self.geneses[number].genesis,
                        partition=number,
                        writer=self.writer,
                        sequence=sequence,
                        sent_at=now,
                    )
                )
            ]
            for number in numbers
        ]


async def begun(heart: Heart, publisher: Publisher) -> Heart:
    """Let the first round go: nothing is judged by a clock that was not measured."""
    await heart.beat(publisher)
    return heart
