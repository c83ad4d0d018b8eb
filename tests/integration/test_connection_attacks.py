"""Connections that only sit there, dribble or flood, beside a healthy guard."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

import pytest
from yarl import URL

from enforcement import Guard
from streams.http.connections import FIRST_SECONDS
from tests.integration.beside import guarded
from tests.integration.serving import Server, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.long]

BOUNDS = {"strangers": 60, "of_address": 40}
MANY = 200
HEAD = b"GET /healthz/live HTTP/1.1\r\nHost: x\r\n"
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Run a server with few places for strangers, and a guard beside them."""
    async with guarded(tmp_path, connections=BOUNDS) as server:
        yield server


async def connect(server: Server) -> Pair:
    """Open a connection."""
    where = URL(server.url)
    return await asyncio.open_connection(where.host, where.port, limit=1 << 20)


async def flood(server: Server, sent: bytes, count: int = MANY) -> list[Pair]:
    """Open many connections, and send the same on each."""
    pairs = []
    for _ in range(count):
        pair = await connect(server)
        with suppress(ConnectionError):
            pair[1].write(sent)
        pairs.append(pair)
    return pairs


def close(pairs: list[Pair]) -> None:
    """Close the connections."""
    for _, writer in pairs:
        writer.transport.abort()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        HEAD,
        HEAD + b"\r\n",
        b"POST /v1/events/cloudtrail HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
        (HEAD + b"\r\n") * 500,
        b"GET /v1/findings HTTP/1.1\r\nHost: x\r\n\r\n" * 500,
    ],
    ids=["silent", "half_a_head", "idle", "half_a_body", "pipelined", "refused"],
)
async def test_a_guard_gets_in_past_connections_that_only_sit_there(
    server: Server, sent: bytes
) -> None:
    """The one beside keeps its lease, and a further one gets one."""
    pairs = await flood(server, sent)
    async with Guard(server.url, "guard", name="late", lease=4.0) as late:
        assert await late.ready(30)
        close(pairs)


async def test_who_is_silent_is_hung_up_on(server: Server) -> None:
    """Its place is taken, or its time is over."""
    pairs = await flood(server, b"")

    async def ended() -> bool:
        return sum(reader.at_eof() for reader, _ in pairs) >= MANY - 40

    await until(ended)
    assert FIRST_SECONDS < 60
    close(pairs)


async def test_a_flood_of_headers_is_refused(server: Server) -> None:
    """By their number, their size, and all together."""
    cases = (
        HEAD + b"".join(b"x%d: y\r\n" % each for each in range(5000)) + b"\r\n",
        HEAD + b"x: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"y" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        HEAD + (b"x: " + b"y" * 8000 + b"\r\n") * 300,
    )
    for sent in cases:
        reader, writer = await connect(server)
        with suppress(ConnectionError):
            writer.write(sent)
            async with asyncio.timeout(30):
                answer = await reader.read(1 << 16)
            assert answer[9:12] in (b"", b"400", b"431")
        writer.transport.abort()


async def test_a_known_caller_keeps_its_connection(server: Server) -> None:
    """However many strangers come after it."""
    ask = HEAD.replace(b"/healthz/live", b"/v1/findings")
    reader, writer = await connect(server)

    async def asked() -> bytes:
        writer.write(ask + b"Authorization: Bearer viewer\r\n\r\n")
        async with asyncio.timeout(30):
            head = await reader.readuntil(b"\r\n\r\n")
            (length,) = [
                int(line.partition(b":")[2])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            ]
            await reader.readexactly(length)
        return head

    assert b" 200 " in await asked()
    pairs = await flood(server, b"")
    assert b" 200 " in await asked()
    close(pairs)
    writer.transport.abort()


async def test_who_never_reads_its_answers_costs_no_lease(server: Server) -> None:
    """Large answers, asked for again and again, on every place there is."""
    ask = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 30
    async with AsyncExitStack() as stack:
        pairs = await flood(server, ask, 40)
        stack.callback(close, pairs)
        for reader, _ in pairs:
            reader._transport.pause_reading()  # type: ignore[attr-defined]
        status, _ = await server.get("/v1/findings")
        assert status == 200
