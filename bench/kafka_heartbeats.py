"""Heartbeats of a fleet that does nothing: how many records, and what writers take.

Writers beat in turns, as ingress and registry do, or each of them always, in one
process with a producer each. The partitions' ends before and after count the records;
the longest time between two of them is what a guard sees.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.kafka_broker import broker, lay_out, settings_of
from bench.report import Row
from streams.engines.kafka.client.publisher import Publisher
from streams.engines.kafka.clock.end_looks import EndLooks
from streams.engines.kafka.clock.heartbeats import Heart
from streams.engines.kafka.records.genesis import read_geneses
from streams.engines.kafka.records.layout import FACTS

if TYPE_CHECKING:
    from streams.settings.kafka import KafkaSettings

WRITERS: Final = {"tiny": (4,), "small": (1, 4, 8), "full": (1, 2, 4, 8)}
PARTITIONS: Final = {"tiny": 4, "small": 24, "full": 24}
SECONDS: Final = {"tiny": 2, "small": 10, "full": 30}
WARM: Final = 2.0
DEADLINE: Final = 10.0


def rows(scale: str) -> list[Row]:
    """Measure, and give the lines of the table."""
    with broker() as bootstrap:
        return measured(bootstrap, scale)


def measured(bootstrap: str, scale: str) -> list[Row]:
    """Measure at a broker."""
    partitions, found = PARTITIONS[scale], []
    for writers in WRITERS[scale]:
        ours, peer = (
            asyncio.run(
                _measured(
                    settings_of(bootstrap, partitions),
                    writers,
                    SECONDS[scale],
                    turns=turns,
                )
            )
            for turns in (True, False)
        )
        found.append(
            Row(
                what=f"records/s, {writers} writers, {partitions} partitions",
                value=f"{ours[0]:.0f}, {1e3 * ours[2]:.0f} ms apart at most",
                cpu=ours[1],
                peer=f"each always: {peer[0]:.0f}, {1e3 * peer[2]:.0f} ms, "
                f"{peer[1]:.2f} CPU-s",
                ratio=(ours[0] / peer[0],) * 3,
            )
        )
    return found


async def _measured(
    kafka: KafkaSettings, writers: int, seconds: float, *, turns: bool
) -> tuple[float, float, float]:
    """Give records a second, CPU-seconds, and the longest time between two (s)."""
    await lay_out(kafka, time.time_ns())
    topic, geneses = kafka.topic(FACTS), await read_geneses(kafka)
    places = [TopicPartition(topic, number) for number in geneses]
    async with AsyncExitStack() as stack:
        reader = AIOKafkaConsumer(**kafka.client(), auto_offset_reset="none")
        await reader.start()
        stack.push_async_callback(reader.stop)
        reader.assign(places)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        running = []
        for number in range(writers):
            publisher = Publisher(kafka, DEADLINE)
            await stack.enter_async_context(publisher)
            looks = EndLooks(kafka, topic) if turns else None
            heart = Heart(topic, f"w{number}", geneses, time.time_ns, looks=looks)
            running.append(tasks.create_task(heart.run(publisher)))
        await asyncio.sleep(WARM)
        ends = await reader.end_offsets(places)
        for place, end in ends.items():
            reader.seek(place, end)
        began, cpu = time.monotonic(), time.process_time()
        await asyncio.sleep(seconds)
        took, used = time.monotonic() - began, time.process_time() - cpu
        after = await reader.end_offsets(places)
        count = sum(after.values()) - sum(ends.values())
        gap = await _longest(reader, after, ends)
        for each in running:
            each.cancel()
    return count / took, used, gap


async def _longest(
    reader: AIOKafkaConsumer,
    after: dict[TopicPartition, int],
    ends: dict[TopicPartition, int],
) -> float:
    """Longest time between two records of a partition, by the broker's clock (s)."""
    last: dict[TopicPartition, int] = {}
    longest, missing = 0, sum(after.values()) - sum(ends.values())
    while missing > 0:
        for place, records in (await reader.getmany(timeout_ms=1000)).items():
            for record in records:
                if record.offset < after[place]:
                    missing -= 1
                    gap = record.timestamp - last.get(place, record.timestamp)
                    longest = max(longest, gap)
                    last[place] = record.timestamp
    return longest / 1000
