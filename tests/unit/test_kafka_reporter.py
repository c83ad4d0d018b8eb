"""A guard is registered from when it asked on, and only for the log it knew then."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from attrs import define

from enforcement.kafka import feed as feeds
from enforcement.kafka.feed import LogFeed
from enforcement.kafka.genesis import NoLogError, read_genesis
from enforcement.kafka.reporter import REGISTERED_LEASES, Reporter
from streams.model.times import SECOND

pytestmark = pytest.mark.unit

LEASE = SECOND


@define
class Clock:
    """Stands until it is set."""

    now: int = 100 * SECOND

    def __call__(self) -> int:
        """Give ns."""
        return self.now


class Producer:
    """Acks after a while."""

    def __init__(self, clock: Clock, standing: Any) -> None:
        """Set up; nothing takes any time, and nothing is doubted meanwhile."""
        self.clock = clock
        self.standing = standing
        self.seconds = 0
        self.doubts = 0

    async def send_and_wait(self, *_: Any, **__: Any) -> None:
        """Ack."""
        self.clock.now += self.seconds * SECOND
        self.standing.doubts += self.doubts


@pytest.fixture
def reporting() -> tuple[Reporter, Producer, Clock, Any]:
    """Give a reporter that is connected."""
    clock = Clock()
    standing: Any = SimpleNamespace(
        lease=SimpleNamespace(length=LEASE), doubts=0, applied=lambda: 0
    )
    receipts: Any = SimpleNamespace(record=lambda *_: b"", key=b"k")
    reporter = Reporter(
        {}, "receipts", receipts, standing, clock=clock, jitter=lambda: 0.0
    )
    producer = Producer(clock, standing)
    reporter._producer = producer
    reporter.partition = 0
    return reporter, producer, clock, standing


async def said(reporter: Reporter) -> None:
    """Send one receipt."""

    async def progress() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(reporter._say(progress))
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()


async def test_a_registration_ends_with_what_casts_doubt_on_the_log(
    reporting: tuple[Reporter, Producer, Clock, Any],
) -> None:
    """Closure may have let the guard go meanwhile."""
    reporter, _, clock, standing = reporting
    assert not reporter.covers(clock.now)
    await said(reporter)
    assert reporter.covers(clock.now)
    standing.doubts += 1
    assert not reporter.covers(clock.now)


async def test_a_registration_counts_from_when_it_was_sent(
    reporting: tuple[Reporter, Producer, Clock, Any],
) -> None:
    """Closure counts from when it lies in the log, which may be long before the ack."""
    reporter, producer, clock, _ = reporting
    sent, producer.seconds = clock.now, 2
    await said(reporter)
    assert reporter.covers(clock.now)
    assert reporter.covers(sent + REGISTERED_LEASES * LEASE - 1)
    assert not reporter.covers(sent + REGISTERED_LEASES * LEASE)


async def test_a_doubt_while_it_is_on_its_way_is_not_covered(
    reporting: tuple[Reporter, Producer, Clock, Any],
) -> None:
    """The receipt spoke of the log before."""
    reporter, producer, clock, _ = reporting
    producer.doubts = 1
    await said(reporter)
    assert not reporter.covers(clock.now)


async def test_a_log_without_its_head_is_no_log() -> None:
    """Whatever says further on that it is the genesis."""
    consumer: Any = SimpleNamespace()
    place: Any = SimpleNamespace(partition=0, topic="facts")
    with pytest.raises(NoLogError, match="lost its head"):
        await read_genesis(consumer, place, (3, 9), None)  # type: ignore[arg-type]


@pytest.mark.parametrize(("partitions", "number"), [(8, 0), (4, 1)])
async def test_a_topic_that_was_laid_out_otherwise_is_not_read(
    monkeypatch: pytest.MonkeyPatch, partitions: int, number: int
) -> None:
    """With more partitions than that realms lie elsewhere."""

    async def genesis(*_: Any) -> Any:
        return SimpleNamespace(genesis="g", partitions=4, partition=0)

    async def offsets(places: list[Any]) -> dict[Any, int]:
        return dict.fromkeys(places, 0)

    monkeypatch.setattr(feeds, "read_genesis", genesis)
    standing: Any = SimpleNamespace(lease=SimpleNamespace(length=LEASE))
    feed = LogFeed(
        {}, topic="facts", realm="acme", standing=standing, jitter=lambda: 0.0
    )
    reader: Any = SimpleNamespace(replica=SimpleNamespace(codec=None))
    consumer: Any = SimpleNamespace(beginning_offsets=offsets, end_offsets=offsets)
    place = TopicPartition("facts", number)
    with pytest.raises(NoLogError, match="realms lie elsewhere"):
        await feed._take_up(reader, consumer, place, partitions)
