"""From an accepted revocation to a denial at a guard that reads Kafka.

Accepted means acked by the broker, as ingress answers then. The peer is one hop with
nothing around it: a record of the same size, produced and acked in the same way, at a
bare consumer in another process. Open loop: each revocation has a time when it is due,
whatever became of the one before. What is presented is a child of what is revoked.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import ExitStack, asynccontextmanager
from itertools import chain
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka.admin import NewTopic
from attrs import define, field

from bench.kafka_broker import lay_out
from bench.kafka_propagation_parts import DEADLINE, family, revocation
from bench.processes import end, line, part
from bench.report import Row
from bench.rounds import spread
from streams.devkafka.broker import Cluster, prepare
from streams.devkafka.launch import Processes
from streams.engines.kafka.client.publisher import Publisher
from streams.engines.kafka.clock.heartbeats import Heart
from streams.engines.kafka.records.codec import Outgoing, fact_record
from streams.engines.kafka.records.genesis import read_geneses
from streams.engines.kafka.topics.administration import connected
from streams.settings.kafka import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

A_SECOND: Final = 100  # revocations due
ROUNDS: Final = {"tiny": 1, "small": 4, "full": 12}
BLOCK: Final = {"tiny": 5, "small": 25, "full": 100}  # twice a round, on each side
PARTS: Final = "bench.kafka_propagation_parts"
WARM: Final = 10  # the first ones open connections, and are not counted
P50: Final = 1.5
P99: Final = 2.0


class Times(NamedTuple):
    """When one record was handed to the producer, acked, and took effect (ns)."""

    sent: int
    acked: int
    seen: int


@define
class Side:
    """One of the two that are compared.

    Attributes:
        record: gives the record of a number.
        sent: by number, when it was sent and acked.
        blocks: the numbers of each block, in order.
    """

    topic: str
    publisher: Publisher
    record: Callable[[int], Outgoing]
    sent: dict[int, tuple[int, int]] = field(factory=dict)
    blocks: list[range] = field(factory=list)


def rows(scale: str) -> list[Row]:
    """Measure ours and the bare peer in interleaved blocks."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "learn").mkdir()
        launcher = Processes(prepare(path / "learn"))
        with Cluster(path / "kafka", launcher) as cluster:
            return asyncio.run(_measure(cluster, ROUNDS[scale], BLOCK[scale]))


async def _measure(cluster: Cluster, rounds: int, block: int) -> list[Row]:
    await cluster.ready()
    kafka = KafkaSettings(
        bootstrap_servers=cluster.bootstrap,
        partitions=4,
        access_partitions=1,
        replication_factor=1,
        min_insync_replicas=1,
        # A crowded machine may lag, and that is measured; it is no failure. (aiokafka
        # counts the wait for a place in its queue several times over.)
        request_timeout_ms=600_000,
    )
    await lay_out(kafka)
    async with connected(kafka) as admin:
        await admin.create_topics([NewTopic("bare", 1, 1)])
    count = rounds * block * 2 + WARM
    async with _writer(kafka) as ours, Publisher(kafka, DEADLINE) as publisher:
        # The guard's own records, so that both sides carry the same bytes.
        peer = Side("bare", publisher, lambda n: _bare(ours.record(n), n))
        families = [
            [fact_record("default", each, kafka.partitions) for each in family(n)]
            for n in range(count)
        ]
        await ours.publisher.publish(ours.topic, families)
        with ExitStack() as parts:
            where, most = kafka.bootstrap_servers, str(count)
            guard = parts.enter_context(part(PARTS, "guard", where, kafka.prefix, most))
            bare = parts.enter_context(part(PARTS, "bare", where, "bare", most))
            for process in (guard, bare):
                assert await asyncio.to_thread(line, process) == "ready"
            await _rounds(ours, peer, rounds, block)
            guarded = await asyncio.to_thread(end, guard, 2 * DEADLINE)
            consumed = await asyncio.to_thread(end, bare, 2 * DEADLINE)
    return _report(_joined(ours, guarded), _joined(peer, consumed), guarded, consumed)


@asynccontextmanager
async def _writer(kafka: KafkaSettings) -> AsyncIterator[Side]:
    """Run what ingress runs: one producer for facts and for heartbeats."""
    topic = kafka.topic("facts")
    geneses = await read_geneses(kafka)
    async with Publisher(kafka, DEADLINE) as publisher, asyncio.TaskGroup() as tasks:
        heart = Heart(topic, "bench", geneses, time.time_ns)
        beating = tasks.create_task(heart.run(publisher))
        try:
            yield Side(
                topic,
                publisher,
                lambda n: fact_record("default", revocation(n), kafka.partitions),
            )
        finally:
            beating.cancel()


def _bare(record: Outgoing, number: int) -> Outgoing:
    padded = record.value + record.key
    return Outgoing(
        partition=0, key=str(number).encode(), value=padded, headers=record.headers
    )


async def _rounds(ours: Side, peer: Side, rounds: int, block: int) -> None:
    for side in (ours, peer):
        await _block(side, range(WARM))
        side.blocks.clear()
    for number in range(rounds):
        start = WARM + number * 2 * block
        first = range(start, start + block)
        second = range(start + block, start + 2 * block)
        await _block(ours, first)
        await _block(peer, first)
        await _block(peer, second)
        await _block(ours, second)


async def _block(side: Side, numbers: range) -> None:
    """Send each record when it is due, whether or not others are acked."""
    side.blocks.append(numbers)
    start = time.monotonic_ns() + 20_000_000
    records = {number: side.record(number) for number in numbers}

    async def send(number: int) -> None:
        sent = time.monotonic_ns()
        await side.publisher.publish(side.topic, [[records[number]]])
        side.sent[number] = (sent, time.monotonic_ns())

    async with asyncio.TaskGroup() as tasks:
        for place, number in enumerate(numbers):
            due = start + place * 1_000_000_000 // A_SECOND
            await asyncio.sleep((due - time.monotonic_ns()) / 1e9)
            tasks.create_task(send(number))


def _report(
    ours: list[list[Times]],
    peer: list[list[Times]],
    guarded: dict[str, Any],
    consumed: dict[str, Any],
) -> list[Row]:
    count = sum(map(len, ours))
    sides = (ours, peer)
    found: list[Row] = []
    for name, of, target in (("p50", median, P50), ("p99", _p99, P99)):
        rounds = [[of(_ms(block, 0)) for block in side] for side in sides]
        one, other = (of(_ms(chain(*side), 0)) for side in sides)
        ratios = [a / b for a, b in zip(*rounds, strict=True)]
        found.append(
            Row(
                what=f"sent -> denied, {name} of {count}, {A_SECOND}/s, ms",
                value=f"{one:.2f}",
                peer=f"bare consumer, {other:.2f}",
                ratio=spread(ratios),
                target=f"<= {target:g}x",
                met=median(ratios) <= target,
            )
        )
    # The ack and the record are on their way at once, so these lie about zero, on
    # either side of it, and their ratio says nothing.
    told = [
        f"p50 {median(times):.2f}, p99 {_p99(times):.2f}"
        for times in (_ms(chain(*side), 1) for side in sides)
    ]
    found.append(
        Row("accepted -> denied, ms", told[0], peer=f"bare consumer, {told[1]}")
    )
    cpu = guarded["cpu"] / consumed["cpu"]
    found.append(
        Row(
            what="CPU-seconds of the reading process",
            value=f"{guarded['cpu']:.2f}",
            peer=f"bare consumer, {consumed['cpu']:.2f}",
            ratio=(cpu, cpu, cpu),
        )
    )
    return found


def _ms(times: Iterable[Times], start: int) -> list[float]:
    """Give how long it took from being sent (0) or acked (1) until it was seen."""
    return [(each.seen - each[start]) / 1e6 for each in times]


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100, method="inclusive")[98]


def _joined(side: Side, told: dict[str, Any]) -> list[list[Times]]:
    """Give the times of each round; every record must have been seen."""
    seen = {int(number): at for number, at in told["seen"].items()}
    missing = side.sent.keys() - seen.keys()
    if missing:
        raise AssertionError(f"{len(missing)} records never took effect")
    blocks = [[Times(*side.sent[n], seen[n]) for n in block] for block in side.blocks]
    return [blocks[n] + blocks[n + 1] for n in range(0, len(blocks), 2)]
