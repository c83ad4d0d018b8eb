"""A guard that keeps up waits for nobody who reads the file; see ADR 0070."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from agents_registry.facts import Fact, Node, ScopeSet, to_plain
from agents_registry.identifiers import Identifier
from streams.engines.embedded.reading import Reading
from streams.http.frames import Pieces
from streams.services.feed_frames import AT_ONCE, PIECE, SnapshotPiece, deltas
from tests.integration.serving import DEADLINE, running, until
from tests.integration.test_lease_path import fill, subscribe

if TYPE_CHECKING:
    from pathlib import Path

    import aiohttp

pytestmark = pytest.mark.integration

MANY = 750  # facts


def node(number: int) -> Node:
    """Give a fact."""
    name = Identifier("vault.accessor", f"{number}")
    return Node(authority="vault", version=number, received_at=1, node=name)


async def told(feed: aiohttp.ClientWebSocketResponse, end: int) -> list[dict[str, Any]]:
    """Take messages until the deltas reach an offset."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(DEADLINE):
        async for frame in feed:
            message = orjson.loads(frame.data)
            if message["type"] == "delta":
                found.append(message)
                if message["to"] >= end:
                    break
    return found


async def test_large_commits_reach_who_keeps_up_while_others_read_the_file(
    tmp_path: Path,
) -> None:
    """Nothing is read for it, and what is there of it is proven piece by piece."""
    begun, enough = threading.Event(), threading.Event()

    def read(_: Reading) -> None:
        begun.set()
        enough.wait(DEADLINE)

    async with (
        running(tmp_path) as server,
        subscribe(server, "follower") as feed,
        asyncio.TaskGroup() as tasks,
    ):
        await until(lambda: server.served.feed.connections)
        (connection,) = server.served.feed.connections
        store = server.served.stages.store
        threads = store._feeder.threads._max_workers
        readers = [tasks.create_task(store.look(read)) for _ in range(2 * threads)]
        try:
            assert await asyncio.to_thread(begun.wait, DEADLINE)
            await fill(server, MANY)
            frames = await told(feed, MANY)

            assert MANY == connection.position
            assert not any(each.done() for each in readers)
        finally:
            enough.set()
    assert [0, *(each["to"] for each in frames)][:-1] == [e["from"] for e in frames]
    assert max(len(each["facts"]) for each in frames) <= AT_ONCE
    assert MANY == sum(len(each["facts"]) for each in frames)


async def test_who_goes_on_waits_for_nobody_who_starts() -> None:
    """However many start, from wherever they read."""
    asked: list[int] = []
    enough = asyncio.Event()

    class Log:
        async def piece(self, position: int, end: int) -> SnapshotPiece:
            asked.append(position)
            if position < MANY:
                await enough.wait()
            return SnapshotPiece(position, end, "[]")

    pieces = Pieces(Log())  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(DEADLINE):
        for position in range(100):
            tasks.create_task(pieces.at(position, MANY))
        await asyncio.sleep(0)
        piece = await pieces.at(MANY, MANY + 1, going_on=True)

        assert (MANY, MANY + 1) == piece[:2]
        assert [0, MANY] == asked
        enough.set()
    assert 101 == len(asked)


async def test_who_is_behind_the_tail_goes_on_from_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And gets each fact once, whatever is written meanwhile."""
    monkeypatch.setattr("streams.services.feed_frames.TAIL", 1)
    async with running(tmp_path) as server, subscribe(server, "follower") as feed:
        await until(lambda: server.served.feed.connections)
        await fill(server, MANY)
        frames = await told(feed, MANY)
    assert [0, *(each["to"] for each in frames)][:-1] == [e["from"] for e in frames]
    assert MANY == sum(len(each["facts"]) for each in frames)


def test_frames_of_a_commit_are_bounded_in_facts_and_bytes() -> None:
    """A fact that is larger has one of its own, and none is left out."""
    large = [
        ScopeSet(
            node=Identifier("vault.accessor", f"{size}"),
            scopes=tuple(f"api|{n:0>100}" for n in range(size)),
            authority="vault",
            version=size,
            received_at=1,
        )
        for size in (1, 2000, 2000, 3000, 1)
    ]
    facts: list[Fact] = [*map(node, range(MANY)), *large]
    frames = [*deltas(7, facts, {0: "first", AT_ONCE: "second"})]
    sent = [orjson.loads(each.text) for each in frames]

    assert [7, *(each.end for each in frames)][:-1] == [each.start for each in frames]
    assert [to_plain(each) for each in facts] == [f for m in sent for f in m["facts"]]
    assert [(each.start, each.end) for each in frames] == [
        (each["from"], each["to"]) for each in sent
    ]
    assert [["first"], ["second"]] == [each["traces"] for each in sent[:2]]
    assert not any("traces" in each for each in sent[2:])
    for each in frames:
        assert each.end - each.start <= AT_ONCE
        assert len(each.text) < PIECE + 1000 or each.end - each.start == 1
    assert [] == [*deltas(7, [], {})]
