"""Bodies: packed, endless and unread ones cost next to nothing without a credential."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import compression_utils
from yarl import URL

from streams.http.server import listen
from streams.pdp.metrics import DecisionMetrics
from streams.pdp.service import application
from tests.integration.beside import guarded
from tests.pdp import point

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

EVENTS = "/v1/events/cloudtrail"
OPEN = ["/", "/nothing", "/healthz/live", "/metrics", "/v1/findings", EVENTS]


@cache
def bomb() -> bytes:
    """Give 64 MB in as few bytes as gzip can."""
    return gzip.compress(b" " * (64 << 20), 9)


@pytest.fixture
def inflated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give how many bytes aiohttp unpacked by itself, call by call."""
    unpacked: list[int] = []
    real = compression_utils.ZLibDecompressor.decompress_sync

    def counting(self: Any, *given: Any, **more: Any) -> bytes:
        data = real(self, *given, **more)
        unpacked.append(len(data))
        return data

    monkeypatch.setattr(compression_utils.ZLibDecompressor, "decompress_sync", counting)
    return unpacked


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Run a server that takes bodies of at most 2 MB, with a guard beside it."""
    async with guarded(tmp_path, max_body_bytes=2_000_000) as server:
        yield server


async def send(
    url: str, body: bytes, encoding: str = "gzip", *, method: str = "POST", **more: str
) -> tuple[int, str]:
    """Send a body in a connection of its own; give status and answer."""
    headers = {"Content-Encoding": encoding} | more
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30)) as session,
        session.request(method, url, data=body, headers=headers) as answer,
    ):
        return answer.status, await answer.text()


async def to_events(server: Server, body: bytes, encoding: str) -> int:
    """Send an authority's body; give the status."""
    url, bearer = server.url + EVENTS, "Bearer aws"
    status, _ = await send(url, body, encoding, Authorization=bearer)
    return status


@pytest.mark.long
@pytest.mark.parametrize("path", OPEN)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_nothing_is_unpacked_without_a_credential(
    server: Server, inflated: list[int], path: str, method: str
) -> None:
    """On no path, whether it answers, refuses or does not exist."""
    status, _ = await send(server.url + path, bomb(), method=method)

    assert status in {200, 401, 404, 405}
    assert inflated == []


@asynccontextmanager
async def deciding() -> AsyncIterator[str]:
    """Serve a decision point; give its URL."""
    made = point()
    metrics = DecisionMetrics(made.guard, made.keys, None)
    app = application(made.decider, metrics, made.keys)
    listening, url = await listen(app, "127.0.0.1", 0)
    try:
        yield url
    finally:
        await listening.cleanup()


@pytest.mark.parametrize(
    "path", ["/", "/v1/check", "/access/v1/evaluation", "/v1/introspect", "/metrics"]
)
async def test_a_decision_point_unpacks_nothing_of_strangers(
    inflated: list[int], path: str
) -> None:
    """It is open to whoever reaches it."""
    async with deciding() as url:
        status, _ = await send(url + path, bomb())

    assert status in {200, 401, 404, 405}
    assert inflated == []


def test_every_server_listens_in_the_one_way() -> None:
    """Nobody else starts a server of aiohttp, so none unpacks by itself.

    The agent's socket has a test of its own.
    """
    root = Path(__file__).parents[2]
    starting = {
        str(file.relative_to(root))
        for folder in ("streams", "enforcement")
        for file in (root / folder).rglob("*.py")
        if any(
            name in file.read_text("utf-8")
            for name in ("AppRunner(", "ServerRunner(", "run_app(app,", "TCPSite(")
        )
    }
    assert starting == {"streams/http/server.py", "enforcement/shared/answering.py"}


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("identity", bytes),
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("x-gzip", lambda body: gzip.compress(body[:1]) + gzip.compress(body[1:])),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body, wbits=-15)),
    ],
    ids=["identity", "gzip", "capitals", "members", "deflate", "raw_deflate"],
)
async def test_an_authority_may_pack_its_events(
    server: Server, encoding: str, pack: Any
) -> None:
    """Each form that senders use is read."""
    assert await to_events(server, pack(b'{"Records":[]}'), encoding) == 202


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress", "x"])
async def test_other_encodings_are_refused_by_name(
    server: Server, encoding: str
) -> None:
    """What cannot be unpacked within bounds is not tried."""
    assert await to_events(server, b"[]", encoding) == 415


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(b"[]")[:-4],
        gzip.compress(b"[]") + b"behind",
        gzip.compress(b"") * 2000,
        b"[]",
    ],
    ids=["torn", "tail", "members", "plain"],
)
async def test_a_body_that_is_not_what_it_says_is_refused(
    server: Server, body: bytes
) -> None:
    """Torn, or made of parts without end."""
    assert await to_events(server, body, "gzip") == 400


async def test_a_credential_buys_no_bomb_either(server: Server) -> None:
    """The answer comes before the body's cap is unpacked a second time."""
    assert await to_events(server, bomb(), "gzip") == 413


async def test_what_packs_beyond_all_measure_is_refused(server: Server) -> None:
    """1.5 MB would fit, and 1.5 kB of blanks buys no more than 1 MiB."""
    assert await to_events(server, gzip.compress(b" " * 1_500_000), "gzip") == 413


async def raw(url: str, head: bytes, piece: bytes, most: int) -> int:
    """Send a head, then pieces; give how many bytes of them were taken."""
    where = URL(url)
    reader, writer = await asyncio.open_connection(where.host, where.port)
    taken = 0
    try:
        async with asyncio.timeout(30):
            writer.write(head)
            while taken < most:
                writer.write(piece)
                taken += len(piece)
                await writer.drain()
                await asyncio.sleep(0)
            await reader.read()
    except ConnectionError:
        pass
    writer.close()
    return taken


@pytest.mark.parametrize("path", ["/nothing", "/metrics", EVENTS])
async def test_an_endless_body_ends_its_connection(server: Server, path: str) -> None:
    """Nobody reads it; the server does not read it to throw it away either."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    taken = await raw(server.url, head.encode(), chunk, 1 << 28)

    assert taken < 1 << 26


async def test_a_huge_announced_body_is_refused_unread(server: Server) -> None:
    """An authority that announces 1 TB learns at once that it is too large."""
    head = (
        f"POST {EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer aws\r\n"
        "Content-Length: 1000000000000\r\n\r\n"
    )
    taken = await raw(server.url, head.encode(), b"x" * (1 << 16), 1 << 28)

    assert taken < 1 << 26


async def test_an_unread_short_body_leaves_the_connection_usable(
    server: Server,
) -> None:
    """Who sent a wrong token gets two answers over one connection."""
    where = URL(server.url)
    reader, writer = await asyncio.open_connection(where.host, where.port)
    head = f"POST {EVENTS} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n".encode()
    async with asyncio.timeout(30):
        for _ in range(2):
            writer.write(head)
            await writer.drain()
            await asyncio.sleep(0)
            writer.write(b"[]")
            assert b"401" in await reader.readline()
            length = 0
            while (line := await reader.readline()) != b"\r\n":
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            await reader.readexactly(length)
    writer.close()
