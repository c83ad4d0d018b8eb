"""Read partitions from an offset to another, outside of any group, or where they end.

An end is asked for over a connection of its own: on one that fetches, the answer would
wait behind the long poll.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from enforcement.kafka.connecting import stopped, whole
from streams.ports.findings_log import BehindError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from streams.settings.kafka import KafkaSettings

WAIT_MS: Final = 500


class PartitionReader:
    """Reads partitions up to where they end; one at a time, over one connection."""

    def __init__(self, settings: KafkaSettings, consumer: Any) -> None:
        self.settings = settings
        self._consumer = consumer

    async def bounds(self, name: str, number: int) -> tuple[int, int]:
        """First and next offset of a partition of a topic now."""
        at = TopicPartition(self.settings.topic(name), number)
        begin = await self._consumer.beginning_offsets([at])
        end = await self._consumer.end_offsets([at])
        return begin[at], end[at]

    async def ends(self, name: str, numbers: Iterable[int]) -> dict[int, int]:
        """Next offsets of partitions of a topic now, by their numbers."""
        topic = self.settings.topic(name)
        return (await self.ends_of((topic, each) for each in numbers)).get(topic, {})

    async def ends_of(
        self, places: Iterable[tuple[str, int]]
    ) -> dict[str, dict[int, int]]:
        """Next offsets by topic and partition; topics have their full names."""
        found = await self._consumer.end_offsets([TopicPartition(*p) for p in places])
        ends: dict[str, dict[int, int]] = {}
        for at, end in found.items():
            ends.setdefault(at.topic, {})[at.partition] = end
        return ends

    async def end(self, name: str, number: int) -> int:
        """Next offset of a partition of a topic now.

        Raises:
            BehindError: the broker does not answer.
        """
        try:
            return (await whole(self.ends(name, [number])))[number]
        except (KafkaError, OSError) as error:
            raise BehindError(type(error).__name__) from error

    async def records(
        self, name: str, number: int, start: int, end: int
    ) -> AsyncIterator[Any]:
        """Return the records from an offset up to another one that lies within."""
        if start >= end:
            return
        at = TopicPartition(self.settings.topic(name), number)
        self._consumer.assign([at])
        self._consumer.seek(at, start)
        # Nobody unsubscribes: a client that stops right after that may never end.
        while await self._consumer.position(at) < end:
            fetched = await self._consumer.getmany(timeout_ms=WAIT_MS)
            for record in fetched.get(at, ()):
                if record.offset < end:
                    yield record


@asynccontextmanager
async def reading(
    settings: KafkaSettings, **options: Any
) -> AsyncIterator[PartitionReader]:
    """Reader for the length of a block; ``options`` of its client go before ours.

    Raises:
        KafkaError: the cluster cannot be reached.
    """
    ours = settings.client() | {"auto_offset_reset": "earliest"}
    consumer = AIOKafkaConsumer(**ours | options)
    try:
        await whole(consumer.start())
        yield PartitionReader(settings, consumer)
    finally:
        await stopped(consumer.stop)
