"""A lane to a partition: who comes while a batch is on its way shares the next one."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from attrs import Factory, define

from streams.engines.kafka.client.batcher import (
    WAITING_BYTES,
    Acked,
    NotAckedError,
    PartitionBatcher,
)
from streams.engines.kafka.client.batches import BATCH_BYTES
from streams.engines.kafka.records.codec import Outgoing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.unit


def record(name: str, size: int = 10) -> Outgoing:
    """Give a record of some size."""
    return Outgoing(partition=7, key=name.encode(), value=b"x" * size, headers=())


@define(eq=False)
class Client:
    """Takes one batch at a time, like the producer, and acks when it is told to."""

    sent: list[list[bytes]] = Factory(list)
    acks: list[asyncio.Future[Any]] = Factory(list)
    error: Exception | None = None
    untold: int = 0

    def create_batch(self) -> Any:
        """Give an empty batch."""
        keys: list[bytes] = []

        def append(key: bytes, **_: Any) -> int | None:
            keys.append(key)
            return None if key == b"too large" else 1

        return SimpleNamespace(keys=keys, append=append, close=lambda: None)

    async def send_batch(
        self, batch: Any, topic: str, *, partition: int
    ) -> asyncio.Future[Any]:
        """Take a batch once the one before is acked."""
        assert (topic, partition) == ("facts", 7)
        if self.error is not None:
            raise self.error
        if self.untold:
            self.untold -= 1
            await asyncio.sleep(0)
            raise UnknownTopicOrPartitionError
        while self.acks and not self.acks[-1].done():
            await asyncio.wait(self.acks[-1:])
        self.sent.append(batch.keys)
        self.acks.append(asyncio.get_running_loop().create_future())
        return self.acks[-1]

    async def ack(self, offset: int) -> None:
        """Ack the last batch, and let what waits go."""
        acked = SimpleNamespace(offset=offset, timestamp=1, timestamp_type=0)
        self.acks[-1].set_result(acked)
        await turns()


async def turns() -> None:
    """Let everything go that can."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def client() -> Client:
    """Give a client."""
    return Client()


@pytest.fixture
async def lane(client: Client) -> AsyncIterator[PartitionBatcher]:
    """Give a lane of it."""
    async with asyncio.TaskGroup() as tasks:
        lane = PartitionBatcher(client, "facts", 7, tasks)
        yield lane
        lane.close()


async def test_who_comes_meanwhile_shares_a_batch(
    client: Client, lane: PartitionBatcher
) -> None:
    """Each gets the offsets of its own records, in the order in which all came."""
    waiting = [await lane.put([record("a")])]
    await turns()
    for names in ("bc", "d", "ef"):
        waiting.append(await lane.put([record(name) for name in names]))
        await turns()

    await client.ack(100)
    await client.ack(200)
    await client.ack(300)

    # One waited for its turn already when the last two came.
    assert [[b"a"], [b"b", b"c"], [b"d", b"e", b"f"]] == client.sent
    acked = [Acked(7, 100, 101), Acked(7, 200, 202), Acked(7, 300, 301)]
    assert [*acked, Acked(7, 301, 303)] == [each.result() for each in waiting]


async def test_nobody_is_torn_apart(client: Client, lane: PartitionBatcher) -> None:
    """What does not fit beside others goes whole into the next batch."""
    half = BATCH_BYTES // 2
    for names in ("a", "b", "cd"):
        await lane.put([record(name, half) for name in names])
    await turns()
    for offset in range(3):
        await client.ack(offset)

    assert [[b"a"], [b"b"], [b"c", b"d"]] == client.sent


async def test_who_gave_up_is_left_out(client: Client, lane: PartitionBatcher) -> None:
    """Its records are not written behind its back while a busy broker has no time."""
    waiting = []
    for name in "abcd":
        waiting.append(await lane.put([record(name)]))
        await turns()
    waiting[2].cancel()
    for offset in (0, 10, 20):
        await client.ack(offset)

    assert [[b"a"], [b"b"], [b"d"]] == client.sent
    assert waiting[2].cancelled()
    assert Acked(7, 20, 21) == waiting[3].result()


async def test_who_gives_up_on_its_way_takes_nobody_along(
    client: Client, lane: PartitionBatcher
) -> None:
    """The others of its batch get their own offsets."""
    one, other = await lane.put([record("a")]), await lane.put([record("b")])
    await turns()
    one.cancel()
    await client.ack(5)

    assert Acked(7, 6, 7) == other.result()


async def test_a_full_lane_takes_no_more_until_there_is_room(
    client: Client, lane: PartitionBatcher
) -> None:
    """Who sends without end waits, and holds no more than that in memory."""
    put, asked = 0, 2 * WAITING_BYTES // BATCH_BYTES

    async def fill() -> None:
        nonlocal put
        for _ in range(asked):
            await lane.put([record("a", BATCH_BYTES)])
            put += 1

    filling = asyncio.create_task(fill())
    await turns()
    assert put < asked
    while not filling.done():
        await client.ack(0)


async def test_a_refusal_is_told_to_all_of_the_batch(
    client: Client, lane: PartitionBatcher
) -> None:
    """And the next ones are sent all the same."""
    client.error = KafkaError()
    refused = [await lane.put([record("a")]), await lane.put([record("b")])]
    await turns()
    client.error = None
    later = await lane.put([record("c")])
    await turns()
    client.acks[-1].set_exception(KafkaError("late"))
    await turns()

    for each in (*refused, later):
        with pytest.raises(KafkaError):
            each.result()


async def test_what_no_batch_holds_is_refused(lane: PartitionBatcher) -> None:
    """By a sentence of ours: nothing retries it."""
    refused = await lane.put([record("too large")])
    await turns()

    with pytest.raises(NotAckedError, match="facts: a batch is too large"):
        refused.result()


async def test_what_waits_when_it_is_closed_is_not_acked(
    client: Client, lane: PartitionBatcher
) -> None:
    """Also what was just handed to the client, and what it lets fall."""
    waiting = []
    for name in "abc":
        waiting.append(await lane.put([record(name)]))
        await turns()
    lane.close()
    client.acks[0].cancel()
    await turns()

    for each in waiting:
        with pytest.raises(NotAckedError, match="was closed"):
            each.result()


async def test_what_no_broker_told_of_in_time_is_tried_until_its_caller_gives_up(
    client: Client, lane: PartitionBatcher
) -> None:
    """The client takes a cluster that does not answer for a topic that is gone."""
    client.untold = 1000
    first = await lane.put([record("a")])
    second = await lane.put([record("b")])
    await turns()
    assert not first.done()
    first.cancel()
    client.untold = 1
    await turns()
    await client.ack(3)
    assert Acked(7, 3, 4) == await second
    assert [[b"b"]] == client.sent
