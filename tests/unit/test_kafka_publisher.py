"""Batches built by hand: of one partition, in order, no event torn apart."""

from __future__ import annotations

import asyncio
import gc
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from streams.engines.kafka.client import publisher
from streams.engines.kafka.client.batches import BATCH_BYTES, MOST_BYTES, batches
from streams.engines.kafka.client.publisher import NotAckedError
from streams.engines.kafka.records.codec import Outgoing
from streams.settings.kafka import KafkaSettings

pytestmark = pytest.mark.unit


def record(partition: int, name: str, size: int = 10) -> Outgoing:
    """Give a record of some size."""
    return Outgoing(
        partition=partition, key=name.encode(), value=b"x" * size, headers=()
    )


def test_groups_of_a_partition_share_a_batch_in_their_order() -> None:
    """Records of two partitions become two batches."""
    groups = [[record(0, "a"), record(0, "b")], [record(1, "c")], [record(0, "d")], []]
    found = {p: [r.key for r in batch] for p, batch in batches(groups)}
    assert {0: [b"a", b"b", b"d"], 1: [b"c"]} == found


def test_a_group_is_not_torn_apart() -> None:
    """What does not fit any more goes whole into the next batch."""
    half = BATCH_BYTES // 2
    groups = [[record(0, "a", half)], [record(0, "b", 100), record(0, "c", half)]]
    found = [[r.key for r in batch] for _, batch in batches(groups)]
    assert [[b"a"], [b"b", b"c"]] == found


def test_a_group_beyond_every_batch_is_sent_in_pieces_and_in_order() -> None:
    """Nothing before or in it is lost."""
    large = [record(0, str(n), BATCH_BYTES - 200) for n in range(5)]
    assert sum(len(r.value) for r in large) > MOST_BYTES
    groups = [[record(0, "before")], large, [record(0, "after")]]
    found = [r.key for _, batch in batches(groups) for r in batch]
    assert [b"before", b"0", b"1", b"2", b"3", b"4", b"after"] == found


class Producer:
    """Takes the first batch only, and never acks it."""

    def __init__(self) -> None:
        """Start with nothing taken."""
        self.taken = 0
        self.client = SimpleNamespace(_request_timeout_ms=0)
        self._sender = SimpleNamespace(_request_timeout_ms=0)

    async def start(self) -> None:
        """Connect to nothing."""

    async def stop(self) -> None:
        """Disconnect."""

    def create_batch(self) -> Any:
        """Give a batch that holds anything."""
        return SimpleNamespace(append=lambda **_: 1, close=lambda: None)

    async def send_batch(self, *_: Any, **__: Any) -> asyncio.Future[Any]:
        """Take a batch, or break."""
        self.taken += 1
        if self.taken > 1:
            raise KafkaError
        return asyncio.get_running_loop().create_future()


@pytest.fixture
def producer(monkeypatch: pytest.MonkeyPatch) -> Producer:
    """Give the producer that a publisher makes."""
    producer = Producer()
    monkeypatch.setattr(publisher, "AIOKafkaProducer", lambda **_: producer)
    return producer


@pytest.mark.usefixtures("producer")
async def test_what_nobody_awaits_is_left_quietly() -> None:
    """An ack of one batch is not asked for once that of another has failed."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        async with publisher.Publisher(KafkaSettings(), 60) as writer:
            groups = [[record(0, "a")], [record(1, "b")]]
            waiting = await writer.send("facts", groups)
            with pytest.raises(NotAckedError):
                await writer.acks(waiting[1:])
        del waiting
        gc.collect()

    assert [] == [str(each.message) for each in warned]


@pytest.mark.usefixtures("producer")
async def test_who_waits_too_long_takes_back_what_is_not_on_its_way() -> None:
    """And is told that it may be there."""
    async with publisher.Publisher(KafkaSettings(), 0) as writer:
        (waiting,) = await writer.send("facts", [[record(0, "a")]])
        with pytest.raises(NotAckedError, match="no ack within 0 s"):
            await writer.acks([waiting])

    assert isinstance(waiting, asyncio.Future)
    assert waiting.cancelled()


async def broken() -> None:
    """Break while something is on its way."""
    async with publisher.Publisher(KafkaSettings(), 60) as writer:
        await writer.send("facts", [[record(0, "a")]])
        raise LookupError


@pytest.mark.usefixtures("producer")
async def test_what_breaks_inside_is_raised_as_it_is() -> None:
    """Not in a group with errors of sending, of which there are none."""
    with pytest.raises(LookupError):
        await broken()
