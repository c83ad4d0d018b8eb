"""Facts that are read from Kafka once more, for guards that start or fell behind."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from agents_registry.facts import Fact
from enforcement.kafka.connecting import stopped, whole
from schemas.codec import in_force
from schemas.entries import read_entry, realm_of
from schemas.errors import SchemaError
from streams.engines.kafka.records.layout import FACTS
from streams.engines.kafka.records.schema_registry import learn
from streams.services.feed_frames import CHUNK, PIECE, SnapshotPiece, facts_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from schemas.codec import Codec
    from streams.settings.kafka import KafkaSettings

MOST_IDLE: Final = 2
POLL_MS: Final = 200
PIECE_SECONDS: Final = 20.0
FETCH_BYTES: Final = 1 << 20


class LogPieces:
    """Reads pieces of any realm, each over a connection that nobody else uses."""

    def __init__(self, kafka: KafkaSettings) -> None:
        """Set up; connections are made when they are needed."""
        self._kafka = kafka
        self._idle: list[Any] = []

    async def close(self) -> None:
        """Close the connections that nobody uses."""
        async with AsyncExitStack() as stack:
            while self._idle:
                stack.push_async_callback(stopped, self._idle.pop().stop)

    async def read(
        self, realm: str, partition: int, position: int, end: int
    ) -> SnapshotPiece:
        """Next facts of a realm from an offset on, of those below another one.

        Raises:
            ConnectionError: Kafka cannot be read.
        """
        place = TopicPartition(self._kafka.topic(FACTS), partition)
        keys = f"{realm}/".encode()
        try:
            async with asyncio.timeout(PIECE_SECONDS), self._consumer() as consumer:
                await _begin(consumer, place, position)
                records: list[Any] = []
                at = position
                while at < end:
                    room = CHUNK - len(records)
                    more, at = await _fetched(consumer, place, room, end)
                    records += (each for each in more if _is_of(each, keys))
                    if len(records) == CHUNK or _size(records) > PIECE:
                        break
        except (KafkaError, OSError, TimeoutError) as error:
            text = f"facts cannot be read: {type(error).__name__}"
            raise ConnectionError(text) from error
        if (fitting := _fitting(records)) < len(records):
            at = records[fitting].offset
        await learn({partition: records[:fitting]})
        # In a thread: a healthy guard may be waiting for its pong.
        facts = await asyncio.to_thread(_json, records[:fitting], realm, in_force())
        return SnapshotPiece(position, at, facts)

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[Any]:
        """Consumer for the length of a block; one that failed is not used again."""
        consumer = self._idle.pop() if self._idle else None
        try:
            if consumer is None:
                consumer = AIOKafkaConsumer(
                    **self._kafka.client(),
                    enable_auto_commit=False,
                    auto_offset_reset="none",
                    max_partition_fetch_bytes=FETCH_BYTES,
                )
                await whole(consumer.start())
            yield consumer
            if len(self._idle) < MOST_IDLE:
                self._idle.append(consumer)
                consumer = None
        finally:
            if consumer is not None:
                await stopped(consumer.stop)


async def _begin(consumer: Any, place: TopicPartition, position: int) -> None:
    """Have a consumer read on from an offset; what it fetched already is not lost."""
    if consumer.assignment() != {place}:
        consumer.assign([place])
    elif await consumer.position(place) == position:
        return
    consumer.seek(place, position)


async def _fetched(
    consumer: Any, place: TopicPartition, room: int, end: int
) -> tuple[list[Any], int]:
    """Next records below an offset, and where it goes on."""
    found = await consumer.getmany(place, timeout_ms=POLL_MS, max_records=room)
    records = [each for each in found.get(place, ()) if each.offset < end]
    # The position passes over what compaction took away.
    return records, min(end, await consumer.position(place))


def _is_of(record: Any, keys: bytes) -> bool:
    return record.value is not None and (record.key or b"").startswith(keys)


def _size(records: Sequence[Any]) -> int:
    return sum(len(each.value) for each in records)


def _fitting(records: Sequence[Any]) -> int:
    """Count the records that fit into one piece, one at least."""
    size = 0
    for count, each in enumerate(records):
        size += len(each.value)
        if count and size > PIECE:
            return count
    return len(records)


def _json(records: Sequence[Any], realm: str, codec: Codec) -> str:
    return facts_json(_facts(records, realm, codec))


def _facts(records: Sequence[Any], realm: str, codec: Codec) -> Iterator[Fact]:
    for each in records:
        try:
            entry = read_entry(each.key, each.value, codec)
            if isinstance(entry, Fact) and realm_of(each.key) == realm:
                yield entry
        except SchemaError:
            continue  # as a guard that reads the log passes over it
