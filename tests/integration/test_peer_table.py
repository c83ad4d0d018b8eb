"""The table that a relay asks another one for, and what of it is refused."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from agents_registry.facts import Cause, Effect, Node
from agents_registry.identifiers import VOCABULARY, Identifier
from agents_registry.registry import Registry
from agents_registry.table_form import LIMITED, VERSION, pack
from streams.engines.kafka.relay import peer_table
from streams.engines.kafka.relay.peer_table import PeerTable, RelayPeers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.integration

NAME = Identifier("vault.accessor", "n1")
SAID: dict[str, Any] = {"authority": "vault", "version": 1, "received_at": 1}
REGISTRY = Registry.build(
    [Node(**SAID, node=NAME), Cause(**SAID, target=NAME, effect=Effect.REVOKE, at=1)]
)
SECTIONS, PIECES = pack(REGISTRY.dump(), orjson.dumps)
TRUE: dict[str, Any] = {
    "type": "table",
    "version": VERSION,
    "genesis": "g1",
    "partition": 0,
    "realm": "acme",
    "vocabulary": {kind: of.value for kind, of in VOCABULARY.items()},
    "offset": 2,
    "sections": [tuple(section) for section in SECTIONS],
}


@asynccontextmanager
async def sending(*frames: str | bytes) -> AsyncIterator[str]:
    """Serve a feed that sends what a test gives; give its URL."""

    async def feed(request: web.Request) -> web.StreamResponse:
        assert "acme" == request.query["realm"]
        assert "Bearer secret" == request.headers["Authorization"]
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        hello = await socket.receive_json()
        assert [VERSION, LIMITED] == hello["tables"]
        assert "receipt" not in hello  # closure waits for it as for no guard
        for frame in frames:
            if isinstance(frame, str):
                await socket.send_str(frame)
            else:
                await socket.send_bytes(frame)
        await socket.receive()
        return socket

    app = web.Application()
    app.router.add_get("/v1/feed", feed)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


def told(message: dict[str, Any]) -> list[str | bytes]:
    """Give the frames of a table, with a pong among them."""
    return [orjson.dumps(message).decode(), PIECES[0], '{"type":"pong"}', *PIECES[1:]]


async def asked(*urls: str) -> PeerTable | None:
    """Ask relays for the table of a realm."""
    peers = RelayPeers(urls, "secret", ssl.create_default_context())
    return await peers.table("acme", 0, dict(VOCABULARY))


async def test_the_first_peer_that_has_a_table_gives_it() -> None:
    """One that is away, and one that sends facts, are passed over."""
    async with sending('{"type":"snapshot"}') as facts, sending(*told(TRUE)) as url:
        found = await asked("http://127.0.0.1:1", facts, url)

    assert found is not None
    assert ("g1", 2) == (found.genesis, found.offset)
    assert REGISTRY.dump() == found.registry.dump()


@pytest.mark.parametrize(
    "lie",
    [
        {"realm": "other"},
        {"partition": 1},
        {"vocabulary": {}},
        {"version": LIMITED + 1},
        {"offset": -1},
        {"sections": TRUE["sections"][1:]},
    ],
    ids=lambda lie: next(iter(lie)),
)
async def test_a_table_that_is_another_one_is_left(lie: dict[str, Any]) -> None:
    """Then the log is read."""
    async with sending(*told(TRUE | lie)) as url:
        assert await asked(url) is None


def unfinished(patch: pytest.MonkeyPatch) -> list[str | bytes]:
    """Stop amid the table."""
    patch.setattr(peer_table, "SILENT_SECONDS", 0.01)
    return told(TRUE)[:-1]


def beyond(_: pytest.MonkeyPatch) -> list[str | bytes]:
    """Send more than was announced."""
    return [*told(TRUE)[:-1], PIECES[-1] + b"1"]


def of_no_json(_: pytest.MonkeyPatch) -> list[str | bytes]:
    """Send bytes that make no table."""
    return [*told(TRUE)[:-1], b"{" * len(PIECES[-1])]


@pytest.mark.parametrize("sent", [unfinished, beyond, of_no_json])
async def test_a_table_that_is_not_whole_is_left(
    sent: Callable[[pytest.MonkeyPatch], list[str | bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However much of it came."""
    async with sending(*sent(monkeypatch)) as url:
        assert await asked(url) is None
