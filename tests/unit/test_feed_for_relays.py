"""What a relay's guards are answered by one of several servers behind an address."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from aiohttp import WSMsgType

from streams.http.feed import FeedServer
from streams.http.guard_connection import Connection
from tests.virtual import VirtualLoop

pytestmark = pytest.mark.unit

LEASE = 1.0


class Log:
    """A log that this server has read up to 5 so far."""

    genesis, end = "g1", 5

    def follow(self, _: Any) -> None:
        """Follow nothing."""

    def end_from(self, _: int) -> int:
        """Give the end."""
        return self.end

    def remaining(self, *_: Any) -> int:
        """Give what is left of a proof."""
        return 900


def answered(reaches_after: float | None, sent: int = 7) -> tuple[float, int]:
    """Give when a ping is answered that tells of facts up to 7, and with which end."""
    log, told = Log(), []
    pings = [{"type": "ping", "seq": 1, "position": 4, "sent": sent}]

    async def receive() -> Any:
        if not pings:
            return SimpleNamespace(type=WSMsgType.CLOSED)
        data = orjson.dumps(pings.pop()).decode()
        return SimpleNamespace(type=WSMsgType.TEXT, data=data)

    async def send(text: str) -> None:
        now = asyncio.get_running_loop().time()
        told.append((now, orjson.loads(text)["end"]))

    async def ask() -> tuple[float, int]:
        feed = FeedServer(cast("Any", log), {}, round(1000 * LEASE), cast("Any", None))
        socket = SimpleNamespace(receive=receive, send_str=send)
        connection = Connection(cast("Any", socket), "orders", lambda: None)
        connection.relayed = True
        feed.connections.add(connection)
        began = asyncio.get_running_loop().time()

        def reach() -> None:
            log.end = 7
            feed.wake()

        if reaches_after is not None:
            asyncio.get_running_loop().call_later(reaches_after, reach)
        await feed._answer(connection)
        ((at, end),) = told
        return round(at - began, 6), end

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(ask())


def test_a_server_that_is_behind_by_a_moment_answers_when_it_is_level() -> None:
    """Its end would prove nothing before: another one has sent what follows."""
    assert (0.02, 7) == answered(0.02)


def test_a_server_that_does_not_get_there_answers_soon() -> None:
    """The relay finds out for how long it stays behind."""
    assert (LEASE / 10, 5) == answered(None)


def test_a_server_that_has_all_answers_at_once() -> None:
    """As it does nearly always."""
    assert (0.0, 5) == answered(None, sent=5)
