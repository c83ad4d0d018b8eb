"""A feed server that does what a test tells it, faults included."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web
from attrs import define, field

from agents_registry.facts import Fact, to_plain
from agents_registry.identifiers import VOCABULARY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CREDENTIAL = "guard-credential-of-the-tests"


@define(slots=True, eq=False)
class Connection:
    """One guard that is connected, and what it was sent."""

    socket: web.WebSocketResponse
    request: web.Request
    hello: dict[str, Any]
    position: int = 0

    def cut(self) -> None:
        """Drop the line without a word, as a pulled cable does."""
        if self.request.transport is not None:
            self.request.transport.abort()


@define(slots=True, eq=False)
class ScriptedFeed:
    """A log in memory, served by the feed protocol.

    Attributes:
        log: the facts; a fact's offset is its index.
        genesis: the id of the log.
        chunk: facts in one snapshot message.
        remaining_ms: the lease that it passes on.
        answers: it answers pings.
        refuses: it takes no connections.
        snapshots: cleared, no snapshot leaves.
        connections: the ones that stand.
        hellos: what all guards asked for so far.
        pings: how many came so far.
        refused: how many connections it did not take so far.
        url: where it listens.
    """

    log: list[Fact] = field(factory=list)
    genesis: str = "g1"
    chunk: int = 500
    remaining_ms: int = 60_000
    answers: bool = True
    refuses: bool = False
    snapshots: asyncio.Event = field(factory=asyncio.Event)
    connections: list[Connection] = field(factory=list)
    hellos: list[dict[str, Any]] = field(factory=list)
    pings: int = 0
    refused: int = 0
    url: str = ""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[ScriptedFeed]:
        """Serve on an ephemeral loopback port."""
        self.snapshots.set()
        app = web.Application()
        app.router.add_get("/v1/feed", self._feed)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{port}"
        try:
            yield self
        finally:
            self.cut()
            await runner.cleanup()

    async def append(self, *facts: Fact) -> str:
        """Accept facts, push them, and give the token that covers them."""
        self.log.extend(facts)
        for connection in list(self.connections):
            with suppress(ConnectionError):  # it was cut; its guard comes back
                await self._push(connection)
        return f"{self.genesis}:0:{len(self.log)}"

    def cut(self) -> None:
        """Cut every line."""
        for connection in list(self.connections):
            connection.cut()

    async def say(self, message: object) -> None:
        """Send any message to every guard."""
        for connection in list(self.connections):
            await connection.socket.send_json(message)

    async def _feed(self, request: web.Request) -> web.StreamResponse:
        if self.refuses:
            self.refused += 1
            raise web.HTTPServiceUnavailable
        if request.headers.get("Authorization") != f"Bearer {CREDENTIAL}":
            raise web.HTTPUnauthorized
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        hello = await socket.receive_json()
        self.hellos.append(hello)
        connection = Connection(socket, request, hello)
        self.connections.append(connection)
        try:
            async with asyncio.TaskGroup() as tasks:
                start = tasks.create_task(self._start(connection))
                async for frame in socket:
                    if frame.type is WSMsgType.TEXT:
                        await self._answer(socket, frame.json())
                start.cancel()
        except* ConnectionError:
            pass
        finally:
            self.connections.remove(connection)
        return socket

    async def _answer(self, socket: web.WebSocketResponse, ping: Any) -> None:
        self.pings += ping["type"] == "ping"
        if self.answers and ping["type"] == "ping":
            await socket.send_json(
                {
                    "type": "pong",
                    "seq": ping["seq"],
                    "genesis": self.genesis,
                    "end": len(self.log),
                    "remaining_ms": self.remaining_ms,
                }
            )

    async def _start(self, connection: Connection) -> None:
        hello, end = connection.hello, len(self.log)
        position = hello["position"]
        if hello["genesis"] == self.genesis and position <= end:
            connection.position = position
        else:
            connection.position = -1  # nothing is pushed before the snapshot is out
            await self.snapshots.wait()
            end = len(self.log)
            await self._snapshot(connection, end)
            connection.position = end
        await self._push(connection)

    async def _snapshot(self, connection: Connection, end: int) -> None:
        for start in range(0, max(end, 1), self.chunk):
            stop = min(start + self.chunk, end)
            await connection.socket.send_json(
                {
                    "type": "snapshot",
                    "genesis": self.genesis,
                    "realm": "acme",
                    "vocabulary": {k: c.value for k, c in VOCABULARY.items()},
                    "offset": end,
                    "facts": [to_plain(fact) for fact in self.log[start:stop]],
                    "more": stop < end,
                }
            )
            await asyncio.sleep(0)  # a socket with room does not suspend its writer

    async def _push(self, connection: Connection) -> None:
        start, end = connection.position, len(self.log)
        if 0 <= start < end:
            connection.position = end
            await connection.socket.send_json(
                {
                    "type": "delta",
                    "from": start,
                    "to": end,
                    "facts": [to_plain(fact) for fact in self.log[start:end]],
                }
            )
