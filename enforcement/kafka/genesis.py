"""Find out which log a partition holds: the genesis at its lowest offset says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from enforcement.replica import FeedBrokenError
from schemas.entries import Genesis, read_entry
from schemas.errors import SchemaError

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, TopicPartition

    from schemas.codec import Codec

POLL_MS: Final = 200


class NoLogError(FeedBrokenError):
    """The topic is missing, or not laid out as a log of facts."""


async def read_genesis(
    consumer: AIOKafkaConsumer,
    place: TopicPartition,
    bounds: tuple[int, int],
    codec: Codec,
) -> Genesis:
    """Genesis at the lowest offset.

    Raises:
        NoLogError: there is none.
    """
    start, end = bounds
    if start:
        # Compaction leaves it at 0: records were deleted, and were revocations perhaps.
        raise NoLogError(f"partition {place.partition} of {place.topic} lost its head")
    consumer.seek(place, start)
    while await consumer.position(place) < end:
        fetched = await consumer.getmany(place, timeout_ms=POLL_MS)
        for record in fetched.get(place, ()):
            try:
                entry = read_entry(record.key, record.value, codec)
            except SchemaError:
                continue  # it is no genesis, whatever else it may be
            if isinstance(entry, Genesis):
                return entry
    raise NoLogError(f"partition {place.partition} of {place.topic} has no genesis")
