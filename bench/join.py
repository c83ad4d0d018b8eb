"""Access lines joined with causes, through Kafka, against two peers.

Ours is a worker with the sentinel as it is deployed: it fetches blocks, judges each
line, remembers all of them for a day, sends findings, awaits the acks, saves and
commits. quixstreams joins the same lines by credential in its state, without lineage,
repeats or lateness; its lines are a record each, since its state hangs on the key.
The other peer reads blocks of JSON and asks Redis about each line, and remembers
nothing. Credentials are drawn evenly; one in a hundred is revoked. What is counted is
the CPU time (user and system, all threads) of the processing process from before the
lines are written until all of them are committed, of Redis with its server.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from random import Random
from statistics import quantiles
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from attrs import define, field

from bench import join_lines, join_memory
from bench.credentials import NOW
from bench.kafka_broker import (
    Group,
    Process,
    broker,
    cpu_of,
    ends,
    lay_out,
    process,
    settings_of,
)
from bench.peers.environment import python_of
from bench.peers.redis_server import redis
from bench.report import Row, rate
from bench.rounds import Rounds
from streams.engines.kafka.client.publisher import Publisher
from streams.engines.kafka.finding_records import read_finding
from streams.engines.kafka.records.codec import Outgoing, fact_record
from streams.engines.kafka.records.layout import ACCESS, FACTS, Topic
from streams.engines.kafka.topics.administration import connected, create

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from streams.settings.kafka import KafkaSettings
    from streams.stages.access.uses import AccessEvent

    Written = Callable[[list[AccessEvent]], list[Outgoing]]

REALM: Final = "realm0"
QUIX: Final = "quixstreams==3.28.1"
KNOWN: Final = {"tiny": 2_000, "small": 50_000, "full": 1_000_000}
LINES: Final = {"tiny": 4_000, "small": 100_000, "full": 1_000_000}  # in a block
OF_PEER: Final = {"tiny": 1, "small": 5, "full": 20}  # they get one line in so many
ROUNDS: Final = {"tiny": 1, "small": 1, "full": 3}
ALERTS: Final = {"tiny": 10, "small": 50, "full": 300}
ALERT_SECONDS: Final = 0.1  # between two bad lines
BESIDE: Final = 500  # good lines written with each bad one
PIECE: Final = 8 << 20  # bytes handed over at once
LEAST: Final = 300_000  # lines a CPU-second
QUIX_RATIO: Final = 5
ALERT_MS: Final = 100


@define
class Side:
    """One of those that are compared.

    Attributes:
        topic: that it reads; group: under which it commits.
        written: gives the records of lines as it reads them.
        share: it gets one line in so many.
        helper: process id of what works for it, besides its own process.
        cpu: seconds a line, of each block.
    """

    name: str
    topic: str
    group: str
    process: Process
    written: Written
    share: int = 1
    helper: int | None = None
    cpu: list[float] = field(factory=list)

    def cpu_now(self) -> float:
        """Give its CPU-seconds so far."""
        return self.process.cpu() + (cpu_of(self.helper) if self.helper else 0)


def rows(scale: str) -> list[Row]:
    """Measure on a broker of our own, and memory in a process of its own."""
    with broker() as bootstrap:
        found = measured(bootstrap, scale, peers=True)
    return [*found, *join_memory.rows(scale)]


def measured(bootstrap: str, scale: str, *, peers: bool) -> list[Row]:
    """Measure on a broker that runs."""
    settings = settings_of(bootstrap, 1)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        asyncio.run(lay_out(settings))
        asyncio.run(_fill(settings, KNOWN[scale]))
        end = asyncio.run(ends(settings, settings.topic(FACTS), 1))[0]
        sides = [stack.enter_context(_ours(settings, Path(folder), end))]
        if peers:
            asyncio.run(_topics(settings))
            share = OF_PEER[scale]
            sides.append(stack.enter_context(_quix(settings, Path(folder), share)))
            sides.append(stack.enter_context(_redis(settings, folder, scale)))
        return asyncio.run(_measure(settings, sides, scale))


async def _measure(settings: KafkaSettings, sides: list[Side], scale: str) -> list[Row]:
    async with Publisher(settings, 60) as publisher:
        await _prepare(publisher, sides, KNOWN[scale])
        random = Random(1)
        # The first one starts connections and caches, and is not counted.
        for side in sides:
            await _block(settings, publisher, side, _lines(random, scale, 10))
            side.cpu.clear()
        for number in range(2 * ROUNDS[scale]):
            lines = _lines(random, scale)
            for side in sides if number % 2 else sides[::-1]:
                await _block(settings, publisher, side, lines)
        told = await ends(settings, settings.topic("findings"), 1)
        if told[0] == 0:
            raise AssertionError("nothing was found")
        return [
            *_report(sides, scale),
            await _alerts(settings, publisher, sides[0], scale),
        ]


def _lines(random: Random, scale: str, part: int = 1) -> list[AccessEvent]:
    count = LINES[scale] // part
    return join_lines.uses(count, KNOWN[scale], random, _now())


async def _block(
    settings: KafkaSettings, publisher: Publisher, side: Side, lines: list[AccessEvent]
) -> None:
    """Write lines to a side, wait until it is done, note the CPU-seconds a line."""
    lines = lines[:: side.share]
    records = side.written(lines)
    group = Group(settings, side.group, side.topic)
    await group.start()
    try:
        before = side.cpu_now()
        await group.reached(await _publish(publisher, side.topic, records))
        side.cpu.append((side.cpu_now() - before) / len(lines))
    finally:
        await group.stop()


async def _prepare(publisher: Publisher, sides: list[Side], known: int) -> None:
    """Tell quixstreams which credentials there are; its first block waits for it."""
    for side in sides:
        if side.name == "quixstreams":
            records = (
                _keyed(
                    name,
                    orjson.dumps({"at": NOW, "revoked": number % 100 == 0}),
                )
                for number in range(known)
                for name in [join_lines.credential(number).value]
            )
            await _publish(publisher, side.topic, records)


async def _fill(settings: KafkaSettings, count: int) -> None:
    """Write the facts."""
    async with Publisher(settings, 60) as publisher:
        records = (fact_record(REALM, fact, 1) for fact in join_lines.known(count))
        await _publish(publisher, settings.topic(FACTS), records)


async def _publish(
    publisher: Publisher, topic: str, records: Iterable[Outgoing]
) -> dict[int, int]:
    """Write records, not all of them at once; give the ends of the partitions."""
    ends: dict[int, int] = {}
    piece: list[Outgoing] = []
    size = 0
    for record in records:
        piece.append(record)
        size += len(record.value)
        if size > PIECE:
            acked = await publisher.publish(topic, [piece])
            ends |= {each.partition: each.end for each in acked}
            piece, size = [], 0
    if piece:
        acked = await publisher.publish(topic, [piece])
        ends |= {each.partition: each.end for each in acked}
    return ends


def _report(sides: list[Side], scale: str) -> list[Row]:
    ours, *peers = [_means(side.cpu) for side in sides]
    own = Rounds(ours, ours)
    speed = 1 / own.ours_median
    what = (
        f"{LINES[scale]:,} lines a block, {KNOWN[scale]:,} known, 1 % revoked: read, "
        "judged, kept, told, acked, saved, committed"
    )
    common: dict[str, Any] = {"what": what, "value": f"{rate(speed)} of CPU"}
    found = [
        Row(
            **common,
            cpu=own.cpu * LINES[scale],
            target=f">= {rate(LEAST)}",
            met=speed >= LEAST,
        )
    ]
    for side, cpu in zip(sides[1:], peers, strict=True):
        measured = Rounds(ours, cpu)
        judged = side.name == "quixstreams"
        found.append(
            Row(
                **common,
                peer=f"{side.name}, {rate(1 / measured.peer_median)}",
                ratio=measured.ratio,
                target=f"<= 1/{QUIX_RATIO}" if judged else "",
                met=measured.ratio[0] <= 1 / QUIX_RATIO if judged else None,
            )
        )
    return found


def _means(blocks: list[float]) -> list[float]:
    """Join the two blocks of each round; the order within them was turned round."""
    return [(one + two) / 2 for one, two in zip(blocks[::2], blocks[1::2], strict=True)]


async def _alerts(
    settings: KafkaSettings, publisher: Publisher, side: Side, scale: str
) -> Row:
    """Write bad lines when they are due; see how long until each is in `findings`."""
    times: list[float] = []
    random = Random(2)
    async with _findings(settings) as consumer:
        start = time.monotonic()
        for number in range(ALERTS[scale]):
            await asyncio.sleep(start + number * ALERT_SECONDS - time.monotonic())
            lines = join_lines.uses(BESIDE, KNOWN[scale], random, _now())
            use = join_lines.bad(number % (KNOWN[scale] // 100), _now())
            use = use._replace(point=f"door-{number}")  # none was alerted there
            records = side.written([*lines, use])
            sent = time.monotonic_ns()
            await publisher.publish(side.topic, [records])
            await _until_told(consumer, use.point)
            times.append((time.monotonic_ns() - sent) / 1e6)
    cuts = quantiles(times, n=100, method="inclusive")
    return Row(
        what=f"first bad line written -> its finding readable, {len(times)} times, ms",
        value=f"p50 {cuts[49]:.1f}, p99 {cuts[98]:.1f}",
        target=f"p99 <= {ALERT_MS}",
        met=cuts[98] <= ALERT_MS,
    )


@asynccontextmanager
async def _findings(settings: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    """Give a consumer that stands at the end of the findings."""
    consumer = AIOKafkaConsumer(**settings.client(), enable_auto_commit=False)
    await consumer.start()
    try:
        place = TopicPartition(settings.topic("findings"), 0)
        consumer.assign([place])
        await consumer.seek_to_end(place)
        yield consumer
    finally:
        await consumer.stop()


async def _until_told(consumer: AIOKafkaConsumer, point: str) -> None:
    async with asyncio.timeout(60):
        while True:
            record = await consumer.getone()
            if read_finding(record.value, record.headers).change.finding.point == point:
                return


async def _topics(settings: KafkaSettings) -> None:
    names = [*_names(settings, "quix")[:2], _names(settings, "redis")[0]]
    async with connected(settings) as admin:
        for name in names:
            await create(admin, [Topic(name, 1, 1, {})])


def _now() -> int:
    return time.time_ns()


@contextmanager
def _ours(settings: KafkaSettings, folder: Path, end: int) -> Iterator[Side]:
    given = (settings.model_dump_json(), str(folder / "ours"), str(folder / "ready"))
    with process(sys.executable, "bench.kafka_worker", *given, "sentinel") as running:
        yield Side(
            "ours",
            settings.topic(ACCESS),
            settings.group("sentinel"),
            running,
            lambda lines: join_lines.blocks(lines, REALM, end),
        )


@contextmanager
def _quix(settings: KafkaSettings, folder: Path, share: int) -> Iterator[Side]:
    topic, output, group = _names(settings, "quix")
    given = (settings.bootstrap_servers, topic, output, group, str(folder / "quix"))
    with process(python_of(QUIX), "bench.peers.quix_join", *given) as running:

        def written(lines: list[AccessEvent]) -> list[Outgoing]:
            return [
                _keyed(use.identifiers[0].value, join_lines.as_json(use))
                for use in lines
            ]

        yield Side("quixstreams", topic, group, running, written, share)


@contextmanager
def _redis(settings: KafkaSettings, folder: str, scale: str) -> Iterator[Side]:
    topic, _, group = _names(settings, "redis")
    with redis(Path(folder)) as server:
        asyncio.run(_revoke(server.port, KNOWN[scale]))
        given = (settings.bootstrap_servers, topic, group, str(server.port))
        with process(sys.executable, "bench.peers.redis_get", *given) as running:

            def written(lines: list[AccessEvent]) -> list[Outgoing]:
                starts = range(0, len(lines), 700)
                return [
                    _keyed("lines", orjson.dumps(list(map(join_lines.plain, some))))
                    for some in (lines[start : start + 700] for start in starts)
                ]

            yield Side(
                "Redis GET a line", topic, group, running, written, OF_PEER[scale],
                helper=server.pid,
            )  # fmt: skip


async def _revoke(port: int, known: int) -> None:
    """Set a key for each revoked credential."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in range(0, known, join_lines.REVOKED):
        name = join_lines.credential(number).value
        writer.write(f"SET {name} {NOW}\r\n".encode())
        await reader.readline()
    writer.close()


def _keyed(key: str, value: bytes) -> Outgoing:
    return Outgoing(partition=0, key=key.encode(), value=value, headers=())


def _names(settings: KafkaSettings, peer: str) -> tuple[str, str, str]:
    """Give input, output and group of a peer."""
    prefix = f"{settings.prefix}-{peer}"
    return f"{prefix}-in", f"{prefix}-out", f"{prefix}-group"
