"""Connections that never finish their handshake, beside a guard over TLS."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from yarl import URL

from enforcement import Guard
from streams.settings.limits import ConnectionSettings
from tests.integration.beside import healthy_guard
from tests.integration.serving import running, until
from tests.integration.test_access import context_of, secured, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(120)]

MANY = 1000
LEASE = 10.0  # both ends of all connections run in one loop, on a slow machine
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def first_words() -> bytes:
    """Give what a client says first."""
    said = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(
        ssl.MemoryBIO(), said, server_hostname="localhost"
    )
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return said.read()


HELLO = first_words()


async def flood(url: URL, sent: bytes) -> list[Pair]:
    """Open the connections, say something, and never read."""
    pairs = []
    for _ in range(MANY):
        pair = await asyncio.open_connection(url.host, url.port)
        with suppress(ConnectionError):
            pair[1].write(sent)
        pairs.append(pair)
    return pairs


@pytest.mark.parametrize("sent", [HELLO[:40], HELLO], ids=["half_a_hello", "hello"])
async def test_a_thousand_handshakes_that_never_end_cost_no_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """The guard beside keeps its own, and a further guard gets one."""
    ca = trustme.CA()
    write(tmp_path, ca)
    trusting: Any = context_of(ca)
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trusting)
    async with (
        running(tmp_path, lease_seconds=LEASE, **secured(tmp_path)) as server,
        healthy_guard(server, LEASE) as guard,
    ):
        connections = guard.feed.connections
        pairs = await flood(URL(server.url), sent)
        try:
            async with Guard(server.url, "guard", name="late", lease=LEASE) as late:
                assert await late.ready(30)

            def ended() -> bool:
                return sum(reader._eof for reader, _ in pairs) >= MANY - most  # type: ignore[attr-defined]

            most = ConnectionSettings().of_address
            await until(ended)
        finally:
            for _, writer in pairs:
                writer.transport.abort()
        assert guard.standing.holds()
        assert guard.feed.connections == connections, "it was hung up on"
