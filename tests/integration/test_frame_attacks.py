"""WebSocket frames of the feed: each has a bound, and a guard keeps its lease."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from streams.http.guard_connection import MAX_FRAME
from tests.integration.beside import guarded
from tests.integration.serving import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import aiohttp

    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

HELLO = '{"type":"hello","guard":"hostile"}'
DEEP = "[" * 30_000
LONG = '{"type":"ping","seq":"' + "x" * MAX_FRAME + '"}'
GUARD = {"Authorization": "Bearer guard"}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Run a server with a healthy guard beside."""
    async with guarded(tmp_path) as server:
        yield server


async def ended(socket: aiohttp.ClientWebSocketResponse) -> bool:
    """Read until the server ends the connection; it has to."""
    async with asyncio.timeout(30):
        while not socket.closed:
            await socket.receive()
    return True


@pytest.mark.long
@pytest.mark.parametrize("before", [(), (HELLO,)], ids=["first", "later"])
@pytest.mark.parametrize(
    "sent",
    [LONG, DEEP, '{"type":', '["ping"]', '{"type":"ping"', "\0"],
    ids=["long", "deep", "torn", "list", "open", "nul"],
)
async def test_a_frame_beyond_all_bounds_ends_its_connection(
    server: Server, before: tuple[str, ...], sent: str
) -> None:
    """Before and after the hello."""
    url = f"{server.url}/v1/feed"
    async with server.session.ws_connect(url, headers=GUARD) as socket:
        for each in before:
            await socket.send_str(each)
        with suppress(ConnectionError):
            await socket.send_str(sent)
        assert await ended(socket)


async def test_a_message_of_fragments_without_end_is_cut(server: Server) -> None:
    """Their sum counts."""
    url = f"{server.url}/v1/feed"
    async with server.session.ws_connect(url, headers=GUARD) as socket:
        await socket.send_str(HELLO)
        connection = socket._response.connection
        assert connection is not None
        transport = connection.transport
        assert transport is not None
        # RFC 6455 section 5.2: no FIN, a mask of zeros, 1,000 bytes.
        for opcode in (b"\x01", *[b"\x00"] * (MAX_FRAME // 1000 + 2)):
            transport.write(opcode + b"\xfe\x03\xe8" + bytes(4) + b" " * 1000)
            await asyncio.sleep(0)
        assert await ended(socket)


async def test_nothing_on_the_feed_is_packed(server: Server) -> None:
    """Whoever offers permessage-deflate gets none, so no frame unpacks to many."""
    url = f"{server.url}/v1/feed"
    async with server.session.ws_connect(url, headers=GUARD, compress=15) as socket:
        assert socket.compress == 0


async def test_a_flood_of_pings_costs_no_lease(server: Server) -> None:
    """Of frames and of messages, from one that reads no answer."""
    url = f"{server.url}/v1/feed"
    async with server.session.ws_connect(url, headers=GUARD) as socket:
        await socket.send_str(HELLO)
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(10):
                for number in range(5_000):
                    await socket.ping(b"x" * 100)
                    await socket.send_str(f'{{"type":"ping","seq":{number}}}')
    await until(lambda: len(server.served.feed.connections) <= 1)
