"""Whoever is cancelled while it connects leaves no connection behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiokafka.client
import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.metadata import MetadataRequest

from enforcement.kafka.connecting import whole
from streams.kafka.administration import connected
from streams.kafka.audit_state import reading
from streams.kafka.genesis import read_geneses
from streams.kafka.membership import Membership
from streams.kafka.publisher import Publisher
from tests.integration.kafka_guards import guard_of
from tests.integration.working import lay_out

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextlib import AbstractAsyncContextManager

    from streams.kafka.settings import KafkaSettings

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
            if isinstance(request, MetadataRequest | type(MetadataRequest([]))):
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
        lambda settings: entered(Membership(settings, "t", partitions=[0])),
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
