"""What a record of ``facts`` costs a worker until it is durable, against two peers.

Ours is the worker process with the registry stage as it is deployed. All three read
the same values from topics of their own on one broker, decode them, merge them into
state, send an output for each revocation, await the acks and commit. The peers' records
are keyed by credential, since their state hangs on the key; lineage they do not have.
They take turns; what is counted is the CPU time (user and system, all threads) of the
processing process from before a block is written until all of it is committed. A
consumer that only reads and commits is beside them: what the client alone costs.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
from attrs import define, field

from bench import kafka_events
from bench.kafka_broker import (
    Group,
    Process,
    broker,
    ends,
    lay_out,
    process,
    realms,
    settings_of,
)
from bench.peers.environment import python_of
from bench.report import Row, rate
from bench.rounds import Rounds
from schemas.codec import decode_fact
from streams.engines.kafka.client.publisher import Publisher
from streams.engines.kafka.records.layout import FACTS, Topic
from streams.engines.kafka.topics.administration import connected, create

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.engines.kafka.records.codec import Outgoing
    from streams.settings.kafka import KafkaSettings

PARTITIONS: Final = 4
QUIX: Final = "quixstreams==3.28.1"
FAUST: Final = "faust-streaming==0.15.3"
ROUNDS: Final = {"tiny": 1, "small": 2, "full": 3}
BLOCK: Final = {"tiny": 400, "small": 2_000, "full": 8_000}  # credentials a block
TARGETS: Final = {"quixstreams": 4, "Faust": 20}
_NAMED: Final = {
    "node": "node", "edge": "child", "renewal": "node", "cause": "target",
}  # fmt: skip


@define
class Side:
    """One of those that are compared.

    Attributes:
        source: the topic that it reads; output: the one that it writes, if any.
        group: under which it commits.
        by_credential: its records are keyed so.
        cpu: seconds of each block.
    """

    name: str
    source: str
    output: str | None
    group: str
    process: Process
    by_credential: bool = True
    cpu: list[float] = field(factory=list)


def rows(scale: str) -> list[Row]:
    """Measure on a broker of our own."""
    with broker() as bootstrap:
        return measured(bootstrap, scale, peers=True)


def measured(bootstrap: str, scale: str, *, peers: bool) -> list[Row]:
    """Measure on a broker that runs."""
    settings = settings_of(bootstrap, PARTITIONS)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        asyncio.run(lay_out(settings))
        sides = [stack.enter_context(_ours(settings, Path(folder)))]
        if peers:
            asyncio.run(_topics(settings))
            sides.append(stack.enter_context(_quix(settings, Path(folder))))
            sides.append(stack.enter_context(_faust(settings, Path(folder))))
            sides.append(stack.enter_context(_client(settings)))
        return asyncio.run(_compare(settings, sides, scale))


async def _compare(settings: KafkaSettings, sides: list[Side], scale: str) -> list[Row]:
    size, rounds = BLOCK[scale], ROUNDS[scale]
    blocks = 0
    async with Publisher(settings, 60) as publisher:

        async def block(numbers: range, order: list[Side]) -> int:
            written = [
                kafka_events.records(kafka_events.lives(numbers), realm, PARTITIONS)
                for realm in realms(PARTITIONS)
            ]
            for side in order:
                side.cpu.append(await _block(settings, publisher, side, written))
            return sum(map(len, written))

        # The first one starts connections and caches, and is not counted.
        await block(range(size // 10), sides)
        for side in sides:
            side.cpu.clear()
        records = 0
        for number in range(2 * rounds):
            start = size * (number + 1) // PARTITIONS
            order = sides if number % 2 else sides[::-1]
            records = await block(range(start, start + size // PARTITIONS), order)
            blocks += 1
    told = blocks * len(range(0, size // PARTITIONS, kafka_events.LIVES))
    await _check(settings, sides, told)
    return _report(sides, records)


async def _block(
    settings: KafkaSettings,
    publisher: Publisher,
    side: Side,
    written: list[list[Outgoing]],
) -> float:
    """Write a block to a side and wait until it is done; give its CPU-seconds."""
    group = Group(settings, side.group, side.source)
    await group.start()
    try:
        if side.by_credential:
            written = [list(map(_rekeyed, group)) for group in written]
        before = side.process.cpu()
        acked = await publisher.publish(side.source, written)
        wanted = {each.partition: each.end for each in acked}
        await group.reached(wanted)
        return side.process.cpu() - before
    finally:
        await group.stop()


def _rekeyed(record: Outgoing) -> Outgoing:
    fact = decode_fact(record.value)
    named = getattr(fact, _NAMED[fact.NAME])
    return attrs.evolve(record, key=str(named).encode())


async def _check(settings: KafkaSettings, sides: list[Side], told: int) -> None:
    """Refuse to compare what was not done."""
    for side in sides:
        if side.output is None:
            continue
        found = await ends(settings, side.output, PARTITIONS)
        if sum(found.values()) < told:
            raise AssertionError(f"{side.name} sent {sum(found.values())} of {told}")


def _report(sides: list[Side], records: int) -> list[Row]:
    _, *peers = sides
    per_round = [_means(side.cpu) for side in sides]
    own = Rounds(per_round[0], per_round[0])
    what = f"{records:,} records a block: decoded, kept, told, acked, committed"
    value = f"{rate(records / own.ours_median)} of CPU"
    if not peers:
        return [Row(what=what, value=value, cpu=own.cpu)]
    found = []
    for side, cpu in zip(peers, per_round[1:], strict=True):
        measured = Rounds(per_round[0], cpu)
        target = TARGETS.get(side.name)
        found.append(
            Row(
                what=what,
                value=value,
                cpu=measured.cpu,
                peer=f"{side.name}, {rate(records / measured.peer_median)}",
                ratio=measured.ratio,
                target=f"<= 1/{target}" if target else "",
                met=measured.ratio[0] <= 1 / target if target else None,
            )
        )
    return found


def _means(blocks: list[float]) -> list[float]:
    """Join the two blocks of each round; the order within them was turned round."""
    return [(one + two) / 2 for one, two in zip(blocks[::2], blocks[1::2], strict=True)]


@contextmanager
def _ours(settings: KafkaSettings, folder: Path) -> Iterator[Side]:
    module = "bench.kafka_worker"
    given = (settings.model_dump_json(), str(folder / "ours"))
    with process(sys.executable, module, *given) as running:
        yield Side(
            "ours",
            settings.topic(FACTS),
            settings.topic("invalidations"),
            settings.group("registry"),
            running,
            by_credential=False,
        )


@contextmanager
def _quix(settings: KafkaSettings, folder: Path) -> Iterator[Side]:
    topic, output, group = _names(settings, "quix")
    given = (settings.bootstrap_servers, topic, output, group, str(folder / "quix"))
    with process(python_of(QUIX), "bench.peers.quix", *given) as running:
        yield Side("quixstreams", topic, output, group, running)


@contextmanager
def _faust(settings: KafkaSettings, folder: Path) -> Iterator[Side]:
    topic, output, group = _names(settings, "faust")
    given = (
        settings.bootstrap_servers,
        topic,
        output,
        group,
        str(folder / "faust"),
        str(PARTITIONS),
    )
    with process(python_of(FAUST), "bench.peers.faust_agent", *given) as running:
        yield Side("Faust", topic, output, group, running)


@contextmanager
def _client(settings: KafkaSettings) -> Iterator[Side]:
    topic, _, group = _names(settings, "client")
    given = (settings.bootstrap_servers, topic, group)
    with process(sys.executable, "bench.peers.bare_group", *given) as running:
        yield Side("aiokafka that only reads", topic, None, group, running)


def _names(settings: KafkaSettings, peer: str) -> tuple[str, str, str]:
    """Give input, output and group of a peer."""
    prefix = f"{settings.prefix}-{peer}"
    return f"{prefix}-in", f"{prefix}-out", f"{prefix}-group"


async def _topics(settings: KafkaSettings) -> None:
    """Make the peers' topics: Faust's must be there before it starts."""
    names = [*_names(settings, "quix")[:2], *_names(settings, "faust")[:2]]
    names.append(f"{_names(settings, 'faust')[2]}-state-changelog")
    names.append(_names(settings, "client")[0])
    async with connected(settings) as admin:
        for name in names:
            await create(admin, [Topic(name, PARTITIONS, 1, {})])
