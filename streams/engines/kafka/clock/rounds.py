"""The clock of a process that writes no heartbeats, measured by those of others.

A round asks where a partition of ``facts`` ends, and waits for the next record there:
the leader appended it between question and arrival. Heartbeats come each 250 ms, so a
round takes about that long; where nobody writes any, nothing is measured.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from attrs import define

from enforcement.kafka.connecting import stopped, whole
from streams.engines.kafka.clock.cluster_clock import ClusterClock
from streams.engines.kafka.records.layout import FACTS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from streams.settings.kafka import KafkaSettings

    Loop = Callable[[], Coroutine[Any, Any, None]]

PERIOD: Final = 5.0
ANSWER_SECONDS: Final = 3.0
APPENDED_BY_LEADER: Final = 1  # timestamp type LogAppendTime
FETCHED: Final = 64 << 10  # bytes; one heartbeat is enough

log = structlog.get_logger()


@define(eq=False)
class ClockRounds:
    """Measures a clock round by round, over a connection of its own."""

    settings: KafkaSettings
    clock: ClusterClock

    async def run(self) -> None:
        """Measure until cancelled; while no broker answers, nothing is measured."""
        while True:
            try:
                async with AsyncExitStack() as stack:
                    consumer = await self._connected(stack)
                    for number in self._partitions():
                        await self.measure(consumer, number)
                        await asyncio.sleep(PERIOD)
            except (KafkaError, TimeoutError, OSError) as error:
                log.info("clock_not_measured", error=type(error).__name__)
                await asyncio.sleep(PERIOD)

    async def begun(self) -> None:
        """Measure once, where somebody writes: nothing is judged by a clock before."""
        try:
            async with AsyncExitStack() as stack:
                await self.measure(await self._connected(stack), 0)
        except (KafkaError, TimeoutError, OSError) as error:
            log.info("clock_not_measured", error=type(error).__name__)

    async def measure(self, consumer: Any, number: int) -> None:
        """Measure once by a partition.

        Raises:
            TimeoutError: nobody wrote there.
            KafkaError: the broker refuses.
        """
        tp = TopicPartition(self.settings.topic(FACTS), number)
        sent = self.clock.boottime()
        consumer.assign([tp])
        async with asyncio.timeout(ANSWER_SECONDS):
            end = (await consumer.end_offsets([tp]))[tp]
            consumer.seek(tp, end)
            record = await consumer.getone(tp)
        by_leader = record.timestamp_type == APPENDED_BY_LEADER
        appended = {number: record.timestamp} if by_leader else {}
        self.clock.measured(sent, self.clock.boottime(), appended)
        consumer.pause(tp)

    def _partitions(self) -> Iterator[int]:
        while True:
            yield from range(self.settings.partitions)

    async def _connected(self, stack: AsyncExitStack) -> Any:
        limit = {"request_timeout_ms": int(1000 * ANSWER_SECONDS)}
        consumer = AIOKafkaConsumer(
            **{**self.settings.client(), **limit},
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=500,
            max_partition_fetch_bytes=FETCHED,
        )
        stack.push_async_callback(stopped, consumer.stop)
        await whole(consumer.start(), 2 * ANSWER_SECONDS)
        return consumer


async def measuring(
    settings: KafkaSettings, clock: Callable[[], int]
) -> tuple[Loop, ...]:
    """Measure a clock once, and give the loop that goes on with that.

    Nothing where the clock is not one that can be measured.
    """
    if not isinstance(clock, ClusterClock):
        return ()
    rounds = ClockRounds(settings, clock)
    await rounds.begun()
    return (rounds.run,)
