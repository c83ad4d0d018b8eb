"""Whoever is cancelled while it connects leaves no connection behind."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

import aiokafka.client
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from aiokafka.protocol.metadata import MetadataRequest

from enforcement.kafka.connecting import stopped, whole
from streams.engines.kafka.client.group_consumer import GroupConsumer
from streams.engines.kafka.client.log_reader import reading
from streams.engines.kafka.client.publisher import Publisher
from streams.engines.kafka.records.genesis import read_geneses
from streams.engines.kafka.topics.administration import connected
from tests.integration.kafka_guards import FAMILY, allowing, guard_of, writing
from tests.integration.serving import until
from tests.integration.working import lay_out

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from streams.settings.kafka import KafkaSettings

pytestmark = pytest.mark.integration


class Gate:
    """Holds the question for the brokers up, on the connection that asks it first.

    Attributes:
        asked: somebody asks.
        opened: all may ask.
        connections: that were made.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        """Stand between clients and brokers."""
        self.asked, self.opened = asyncio.Event(), asyncio.Event()
        self.connections: list[AIOKafkaConnection] = []
        make, send = aiokafka.client.create_conn, AIOKafkaConnection.send

        async def made(*args: Any, **more: Any) -> AIOKafkaConnection:
            self.connections.append(await make(*args, **more))
            return self.connections[-1]

        async def sent(of: AIOKafkaConnection, request: Any, **more: Any) -> Any:
            if isinstance(request, MetadataRequest):
                self.asked.set()
                await self.opened.wait()
            return await send(of, request, **more)

        patch.setattr(aiokafka.client, "create_conn", made)
        patch.setattr(AIOKafkaConnection, "send", sent)

    async def pass_by(self, work: Coroutine[Any, Any, Any]) -> int:
        """Cancel something that asks; count the connections that stay open."""
        doing = asyncio.create_task(work)
        await self.asked.wait()
        doing.cancel()
        await asyncio.sleep(0)
        self.opened.set()
        await asyncio.wait([doing])
        assert doing.cancelled()
        return sum(each.connected() for each in self.connections)


def entered(block: AbstractAsyncContextManager[Any]) -> Coroutine[Any, Any, None]:
    """Give what enters a block and stays in it."""

    async def enter() -> None:
        async with block:
            await asyncio.Event().wait()

    return enter()


@pytest.mark.parametrize(
    "connect",
    [
        lambda settings: entered(connected(settings)),
        lambda settings: entered(reading(settings)),
        lambda settings: entered(Publisher(settings, 30.0)),
        lambda settings: entered(GroupConsumer(settings, "t", partitions=[0])),
        read_geneses,
        lambda settings: entered(guard_of(settings)),
        lambda settings: entered(guard_of(settings, receipts=False)),
    ],
    ids=["admin", "reader", "publisher", "member", "geneses", "guard", "quiet guard"],
)
async def test_nothing_stays_open(
    connect: Callable[[KafkaSettings], Coroutine[Any, Any, Any]],
    kafka_settings: KafkaSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is cancelled while it asks for the brokers, and the answer comes then."""
    await lay_out(kafka_settings)
    gate = Gate(monkeypatch)

    assert 0 == await gate.pass_by(connect(kafka_settings))
    assert gate.connections


async def test_an_answer_that_does_not_come_is_not_waited_for_for_ever() -> None:
    """What was waited for is cancelled as well."""
    begun, gone = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()

    doing = asyncio.create_task(whole(hang(), 0.01))
    await begun.wait()
    doing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doing
    await asyncio.wait_for(gone.wait(), 10)


async def test_a_fetch_that_ends_slowly_does_not_hold_the_end_up(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fetcher takes its own end for that of a fetch, where an assignment goes."""
    await lay_out(kafka_settings)
    fetch, fetching = Fetcher._proc_fetch_request, asyncio.Event()

    async def fetched(*args: Any, **more: Any) -> Any:
        try:
            fetching.set()
            return await fetch(*args, **more)
        except asyncio.CancelledError:
            for _ in range(100):
                await asyncio.sleep(0)
            raise

    async def read() -> None:
        async with reading(kafka_settings) as reader:
            _, end = await reader.bounds("facts", 0)
            async for _ in reader.records("facts", 0, end, end + 1):
                pass

    monkeypatch.setattr(Fetcher, "_proc_fetch_request", fetched)
    doing = asyncio.create_task(read())
    await fetching.wait()
    doing.cancel()
    await asyncio.wait([doing], timeout=30)

    assert doing.cancelled()


async def test_an_end_that_hangs_is_cancelled_and_goes_on() -> None:
    """What it waits for took its first cancellation for something else."""
    waits = asyncio.Event()
    steps: list[str] = []

    async def stubborn() -> None:
        for _ in range(2):
            with suppress(asyncio.CancelledError):
                waits.set()
                await asyncio.Event().wait()

    async def stop() -> None:
        task = asyncio.create_task(stubborn())
        await waits.wait()
        task.cancel()
        await task
        steps.append("closed")

    await stopped(stop, 0.01)
    assert ["closed"] == steps


async def test_an_end_takes_no_cancellation_of_ours_for_its_own() -> None:
    """It would go on as if nobody had asked it to end."""
    begun, end = asyncio.Event(), asyncio.Event()
    steps: list[str] = []

    async def stop() -> None:
        begun.set()
        with suppress(asyncio.CancelledError):
            await end.wait()
        steps.append("closed")

    async def whoever() -> None:
        await stopped(stop)
        steps.append("went on")

    doing = asyncio.create_task(whoever())
    await begun.wait()
    doing.cancel()
    await asyncio.sleep(0)
    end.set()
    await asyncio.wait([doing])

    assert doing.cancelled()
    assert ["closed"] == steps


async def test_a_client_that_breaks_off_cancels_nobody() -> None:
    """The end of a task of its own is not that of whoever waits for it."""

    async def broken_off() -> None:
        raise asyncio.CancelledError

    await stopped(broken_off)
    with pytest.raises(ConnectionAbortedError):
        await whole(broken_off())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncio.CancelledError, nullcontext()),
        (TopicAuthorizationFailedError, pytest.raises(TopicAuthorizationFailedError)),
    ],
)
async def test_a_client_that_breaks_its_end_off_is_closed(
    error: type[BaseException],
    expected: AbstractContextManager[Any],
    kafka_settings: KafkaSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its connections come last, and it does nothing when it is asked again.

    A task of one that has no rights passes that on to whoever awaits its end.
    """
    close = Fetcher.close

    async def closed(of: Fetcher) -> None:
        await close(of)
        raise error

    monkeypatch.setattr(Fetcher, "close", closed)
    consumer = AIOKafkaConsumer(**kafka_settings.client())
    await consumer.start()
    await consumer.topics()
    connections = list(consumer._client._conns.values())
    with expected:
        await stopped(consumer.stop)

    assert [False] == [each.connected() for each in connections]


@pytest.mark.parametrize("where", ["stop", "getmany"])
async def test_a_guard_outlives_a_client_that_breaks_off(
    where: str, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reader makes another one, and does not take that for its own end."""
    await lay_out(kafka_settings)
    real, broken = getattr(AIOKafkaConsumer, where), asyncio.Event()

    async def break_off(*args: Any, **more: Any) -> Any:
        result = await real(*args, **more)
        if not broken.is_set():
            broken.set()
            raise asyncio.CancelledError
        return result

    async def refuse(*_: object, **__: object) -> Any:
        raise KafkaError

    async with writing(kafka_settings) as writer, guard_of(kafka_settings) as guard:
        await writer.say(*FAMILY)
        await allowing(guard)
        connections = guard.feed.connections
        with monkeypatch.context() as patched:
            patched.setattr(AIOKafkaConsumer, "getmany", refuse)
            patched.setattr(AIOKafkaConsumer, where, break_off)
            await broken.wait()
        await until(lambda: guard.feed.connections > connections)
        await allowing(guard)
