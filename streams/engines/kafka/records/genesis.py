"""Read and write the genesis records: which log a partition of ``facts`` is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from enforcement.kafka.connecting import stopped, whole
from schemas.entries import GENESIS
from schemas.errors import SchemaError
from streams.engines.kafka.records.codec import Genesis, genesis_record, read_entry
from streams.engines.kafka.records.layout import FACTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from streams.settings.kafka import KafkaSettings

# Bytes of a partition that are read at once: its genesis comes first, and to take a
# whole fetch of records apart holds the loop.
HEAD: Final = 1 << 16


class FactsTopic(NamedTuple):
    """What the partitions of ``facts`` are.

    Attributes:
        geneses: in force, of each partition that has one and its head.
        lost: where each partition begins that has lost its head.
        foreign: partitions whose genesis is written with the ids of other schemas.
    """

    geneses: dict[int, Genesis]
    lost: dict[int, int]
    foreign: frozenset[int] = frozenset()


async def read_geneses(settings: KafkaSettings) -> dict[int, Genesis]:
    """Genesis in force of each partition of ``facts`` that has one.

    A partition that has lost its head has none: see `read_log`.
    """
    return (await read_log(settings)).geneses


async def read_log(settings: KafkaSettings) -> FactsTopic:
    """Log that each partition of ``facts`` is.

    The genesis in force is the one with the lowest offset, and thus the first that is
    met. Compaction never moves the offset at which a partition begins; where it is
    above 0, somebody has deleted records, revocations perhaps, and whatever says that
    it is the genesis there is no start of a log.
    """
    found: dict[int, Genesis | None] = {}
    consumer = AIOKafkaConsumer(
        **settings.client(),
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=HEAD,
    )
    try:
        await whole(consumer.start())
        parts = [
            TopicPartition(settings.topic(FACTS), p) for p in range(settings.partitions)
        ]
        ends = await consumer.end_offsets(parts)
        starts = await consumer.beginning_offsets(parts)
        lost = {tp.partition: start for tp, start in starts.items() if start > 0}
        left = {tp for tp in parts if ends[tp] > starts[tp] == 0}
        consumer.assign(left)
        while left:
            fetched = await consumer.getmany(timeout_ms=500)
            for tp, records in fetched.items():
                _first_genesis(found, tp.partition, records)
            done = {
                tp
                for tp in left
                if tp.partition in found or await consumer.position(tp) >= ends[tp]
            }
            consumer.pause(*done)
            left -= done
    finally:
        await stopped(consumer.stop)
    foreign = {number for number, genesis in found.items() if genesis is None}
    return FactsTopic(
        {n: g for n, g in found.items() if g is not None}, lost, frozenset(foreign)
    )


def _first_genesis(
    found: dict[int, Genesis | None], partition: int, records: Sequence[Any]
) -> None:
    for record in records:
        if partition in found:
            return
        try:
            entry = read_entry(record.key, record.value)
        except SchemaError:
            # What it is else, is for the readers of facts to say.
            if (record.key or b"").startswith(f"{GENESIS}/".encode()):
                found[partition] = None
            continue
        if isinstance(entry, Genesis):
            found[partition] = entry


async def write_geneses(
    settings: KafkaSettings,
    partitions: Iterable[int],
    *,
    operator: str,
    now: int,
    new_id: Callable[[], str],
) -> None:
    """Write a genesis to each of these partitions, which must have none.

    Args:
        settings: of the cluster and the layout.
        partitions: of ``facts``.
        operator: who lays the topic out.
        now: in nanoseconds.
        new_id: makes a random id, one for each genesis.

    Raises:
        KafkaError: a record was not acked by enough copies.
    """
    producer = AIOKafkaProducer(
        **settings.client(), acks="all", enable_idempotence=True
    )
    try:
        await whole(producer.start())
        for partition in partitions:
            record = genesis_record(
                Genesis(
                    genesis=new_id(),
                    partition=partition,
                    partitions=settings.partitions,
                    created_at=now,
                    created_by=operator,
                )
            )
            await producer.send_and_wait(
                settings.topic(FACTS),
                record.value,
                record.key,
                record.partition,
                headers=list(record.headers),
            )
    finally:
        await stopped(producer.stop)
