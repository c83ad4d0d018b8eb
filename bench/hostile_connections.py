"""Hostile connections: that never send, never read, dribble, or read everything."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from yarl import URL

from bench.hostile_sizes import DEAF, HOSTILE

if TYPE_CHECKING:
    from bench.hostile_callers import Target

HELD: Final = 25.0  # seconds that connections are held; the server waits less
OF_ADDRESS: Final = 200  # connections from one address
DRIBBLE: Final = 1.0  # seconds between two bytes
PINGS: Final = 1_000
HEAD: Final = b"GET /healthz/live HTTP/1.1\r\nHost: x\r\n"
# Nothing, half a head, and large answers that nobody reads.
SENT: Final = (b"", HEAD, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 30)
DRIBBLED: Final = (
    HEAD,
    f"POST /v1/events/{HOSTILE} HTTP/1.1\r\nHost: x\r\n"
    f"Authorization: Bearer {HOSTILE}\r\nContent-Length: 1000\r\n\r\n".encode(),
)


async def snapshots(target: Target) -> None:
    """Take everything as a guard that reads no tables, from the first fact."""
    async with AsyncExitStack() as on:
        feed = await _subscribe(on, target, f"reader-{target.round}")
        async for frame in feed:
            if '"more":false' in frame.data[:10_000]:
                target.answers["snapshot"] += 1
                break


async def deaf(target: Target) -> None:
    """Subscribe many times, and read nothing."""
    async with AsyncExitStack() as on:
        for number in range(target.sizes.deaf):
            feed = await _subscribe(on, target, f"deaf-{number}")
            target.answers["subscribed"] += 1
            _read_nothing(feed)
        await asyncio.sleep(HELD)


async def silent(target: Target) -> None:
    """Open many connections, from several addresses, that only sit there."""
    async with AsyncExitStack() as on:
        for number in range(target.sizes.connections):
            reader, writer = await _open(target, f"127.0.0.{2 + number // OF_ADDRESS}")
            on.callback(writer.transport.abort)
            reader._transport.pause_reading()  # type: ignore[attr-defined]  # noqa: SLF001
            with suppress(ConnectionError):
                writer.write(SENT[number % len(SENT)])
            target.answers["opened"] += 1
            await asyncio.sleep(0)
        await asyncio.sleep(HELD)


async def dribbling(target: Target) -> None:
    """Send heads and bodies a byte at a time."""

    async def one(number: int) -> None:
        with suppress(OSError):
            _, writer = await _open(target, "127.0.0.1")
            try:
                writer.write(DRIBBLED[number % len(DRIBBLED)])
                while not writer.transport.is_closing():
                    writer.write(b"x")
                    await asyncio.sleep(DRIBBLE)
            finally:
                writer.transport.abort()
        target.answers["cut"] += 1

    await asyncio.gather(*(one(number) for number in range(target.sizes.dribbling)))


async def frames(target: Target) -> None:
    """Flood the feed with pings, and read no answer."""
    async with AsyncExitStack() as on:
        feed = await _subscribe(on, target, f"pinging-{target.round}")
        _read_nothing(feed)
        with suppress(TimeoutError):
            async with asyncio.timeout(HELD):
                for number in range(PINGS):
                    await feed.ping(b"x" * 100)
                    await feed.send_json({"type": "ping", "seq": number})
                    target.answers["pinged"] += 1


async def _open(
    target: Target, address: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    where = URL(target.url)
    return await asyncio.open_connection(
        where.host, where.port, local_addr=(address, 0)
    )


async def _subscribe(
    on: AsyncExitStack, target: Target, name: str
) -> aiohttp.ClientWebSocketResponse:
    feed = await target.session.ws_connect(
        f"{target.url}/v1/feed",
        headers={"Authorization": f"Bearer {DEAF}"},
        max_msg_size=0,
        timeout=aiohttp.ClientWSTimeout(ws_close=0.1),
    )
    on.push_async_callback(feed.close)
    await feed.send_json({"type": "hello", "guard": name})
    return feed


def _read_nothing(feed: aiohttp.ClientWebSocketResponse) -> None:
    response: Any = feed._response  # noqa: SLF001 - it has no other way to be deaf
    response.connection.transport.pause_reading()
