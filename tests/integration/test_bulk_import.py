"""A bulk import is paced by the guards; what ends a credential is not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import Alias, Cause, Edge, Node
from streams.engines.embedded.fact_log import SLICE, slices
from streams.http.pacing import FIRST
from streams.ports.fact_log import Encoded
from tests.contract.guard_cases import CHILD, EDGE, PARENT, SAID, node, revoke
from tests.integration.serving import running, until

if TYPE_CHECKING:
    from pathlib import Path

    import aiohttp

    from agents_registry.facts import Fact
    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

MANY = FIRST + 4 * SLICE


async def enter(server: Server) -> aiohttp.ClientWebSocketResponse:
    """Connect as a guard that has applied nothing yet."""
    headers = {"Authorization": "Bearer guard"}
    socket = await server.session.ws_connect(f"{server.url}/v1/feed", headers=headers)
    await socket.send_json({"type": "hello", "guard": "slow"})
    await ping(socket, 0)
    while (await socket.receive_json())["type"] != "pong":
        pass
    return socket


async def ping(socket: aiohttp.ClientWebSocketResponse, position: int) -> None:
    """Say how far the guard has got."""
    await socket.send_json({"type": "ping", "seq": 1, "position": position})


async def adopt(server: Server, prefix: str = "a") -> dict[str, Any]:
    """Declare more credentials than a guard may be behind."""
    names = [f"vault.accessor:{prefix}{number}" for number in range(MANY)]
    entries = [{"identifier": name} for name in names]
    status, answer = await server.post(
        "/v1/adopt", "restorer", {"credentials": entries}
    )
    assert status == 201
    return dict(answer)


async def test_imports_wait_for_a_guard_and_a_revocation_does_not(
    tmp_path: Path,
) -> None:
    """The log's end stays near what the guard has applied, until that moves on."""
    async with running(tmp_path, lease_seconds=60) as server:
        feed = server.served.feed
        socket = await enter(server)
        async with asyncio.TaskGroup() as tasks:
            importing = [tasks.create_task(adopt(server, prefix)) for prefix in "abc"]
            await until(lambda: feed.end > FIRST)
            await until(lambda: not feed.pace.coming)

            body = {"identifier": "vault.accessor:a1", "reason": "stolen"}
            status, _ = await server.post("/v1/revocations", "revoker", body)

            assert status == 201
            assert feed.end <= FIRST + SLICE + 1
            assert not any(each.done() for each in importing)
            while not all(each.done() for each in importing):
                await ping(socket, feed.end)
                await asyncio.sleep(0.01)
        assert [MANY] * 3 == [each.result()["facts"] for each in importing]
        assert feed.end == 3 * MANY + 1


async def test_a_guard_that_fell_silent_stops_no_import(tmp_path: Path) -> None:
    """It holds no lease that the import could cost it."""
    async with running(tmp_path, lease_seconds=0.1) as server:
        await enter(server)

        assert MANY == (await adopt(server))["facts"]


def test_what_makes_a_name_known_is_written_last() -> None:
    """And what ends something first; a small batch stays as it is, in one commit."""
    alias = Alias(**SAID, first=PARENT, second=CHILD)
    batch: list[Fact] = [node(PARENT), alias, EDGE, revoke(PARENT)]

    def kinds(facts: list[Fact]) -> list[list[type[Fact]]]:
        encoded = [Encoded("", b"", fact) for fact in facts]
        return [[type(each.fact) for each in part] for part in slices(encoded)]

    assert [[]] == kinds([])
    assert [[Node, Alias, Edge, Cause]] == kinds(batch)
    cut = kinds(batch * SLICE)
    assert [SLICE] * len(batch) == [len(part) for part in cut]
    assert [{Cause}, {Alias, Edge}, {Alias, Edge}, {Node}] == [set(p) for p in cut]
