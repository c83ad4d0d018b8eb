"""Frames of a feed of up to 16 MiB are read in turns, as the protocol allows them."""

from __future__ import annotations

import asyncio
import json
from itertools import repeat
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast
from unittest.mock import AsyncMock, Mock, patch

import orjson
import pytest

from enforcement import large_json
from enforcement.feed import MOST_PROBED, Feed, Link
from enforcement.replica import SLICE, Replica
from enforcement.standing import Freshness
from streams.engines.upstream.passed_log import PassedLog
from streams.http.guard_connection import Connection
from streams.http.passed_feed import _Passage, is_of_facts
from streams.process.large_json import LARGE, drop

if TYPE_CHECKING:
    from collections.abc import Awaitable

pytestmark = pytest.mark.unit

FACT: Final = {
    "fact": "node", "event_id": "e", "node": f"vault.accessor:{7:064}",
    "authority": "vault.example.com",
    "version": 1_767_225_600_000_000_000, "received_at": 1_767_225_600_000_000_000,
    "issued_at": 1_767_225_600_000_000_000,
}  # fmt: skip
MANY: Final = 2_000
SIZE: Final = 4 << 20  # a quarter of what a frame may have
TURNS: Final = 3  # of others meanwhile, at least: each of ours is 4 ms long


def large(*, first: str = "", last: str = "") -> str:
    """Frame with many facts, and members before and after them."""
    fact = json.dumps(FACT)
    facts = ",".join(repeat(fact, SIZE // (len(fact) + 1)))
    return "{" + ",".join(filter(None, [first, f'"facts":[{facts}]', last])) + "}"


def guards_feed() -> Feed:
    """Feed of a guard that is not connected."""
    standing = cast("Any", Mock(spec=Freshness))
    return Feed("http://s", "t", name="g", standing=standing, jitter=float)


def passage() -> _Passage:
    """Passage of a guard whose facts come another way."""
    connection = Connection(cast("Any", None), "orders", lambda: None)
    feed = cast("Any", SimpleNamespace(genesis=lambda: "g1"))
    found = _Passage(feed, connection, cast("Any", None), 1.0)
    found._carried = True
    return found


async def beside(work: Awaitable[Any]) -> tuple[Any, int]:
    """Await a work; return its result, and how many turns others had meanwhile."""
    turns = 0
    doing = asyncio.ensure_future(work)
    while not doing.done():
        await asyncio.sleep(0)
        turns += 1
    return await doing, turns


async def test_facts_that_a_guard_gets_elsewhere_are_not_read() -> None:
    """Whatever an upstream sends that does not know that it should send none."""
    for kind in ("snapshot", "delta", "table"):
        frame = f'{{"type":"{kind}","facts":[' + "no JSON" * LARGE
        assert await passage()._passed(frame) is None


async def test_a_large_frame_that_has_to_be_read_does_not_hold_the_loop() -> None:
    """Its type may stand behind what is large."""
    with patch.object(orjson, "loads", Mock(wraps=orjson.loads)) as loads:
        dropped, turns = await beside(passage()._passed(large(last='"type":"delta"')))
    assert dropped is None
    assert turns > TURNS
    # To be freed takes turns too: what is read at once is looked at by itself.
    assert all(len(call.args[0]) <= LARGE for call in loads.call_args_list)
    frame = large(first='"type":"of a later version"')
    passed, turns = await beside(passage()._passed(frame))
    assert frame == passed
    assert turns > TURNS


async def test_what_a_relay_reads_for_all_its_guards_does_not_hold_its_loop() -> None:
    """What is read is what is in it."""
    log = PassedLog("http://above", "guard", "acme", 1.0, None, lambda: 0)
    frame = large(first='"type":"snapshot","offset":9', last='"more":false')
    told, turns = await beside(log.feed._decoded(frame))
    assert turns > TURNS
    assert ("snapshot", 9, False) == (told["type"], told["offset"], told["more"])
    facts = told["facts"]
    assert [FACT] * (SIZE // (len(json.dumps(FACT)) + 1)) == facts
    await drop(facts)
    assert [] == facts


@pytest.mark.parametrize(
    ("text", "are"),
    [
        ('{"type":"delta","facts":[]}', True),
        ('{"type":"table","sections":[]}', True),
        (' { "type" : "snapshot" }', True),
        ('{"type":"snapshots"}', False),
        ('{"type":"pong","facts":[]}', False),
        ('{"facts":[],"type":"delta"}', False),
        ('{"type":"delta', False),
        ('["type","delta"]', False),
        (" " * LARGE + '{"type":"delta"}', False),
    ],
)
def test_facts_are_told_by_how_a_frame_begins(text: str, *, are: bool) -> None:
    """Where it begins otherwise it has to be read."""
    assert are is is_of_facts(text)


async def test_a_guard_reads_a_large_frame_in_turns() -> None:
    """Its pings and its checks are not kept waiting for it."""
    feed = guards_feed()
    with patch.object(large_json, "_DECODER", Mock(wraps=large_json._DECODER)) as by:
        message, turns = await beside(feed._decoded(large(last='"type":"delta"')))
    assert message["facts"][-1] == FACT
    assert turns > TURNS
    assert all(len(call.args[0]) <= LARGE for call in by.decode.call_args_list)


async def test_a_guard_takes_a_large_frame_apart_in_turns() -> None:
    """All at once takes as long as to read it."""
    feed = guards_feed()
    link = Link(succeeds=False)
    facts = [dict(FACT) for _ in range(MANY)]
    message = {
        "type": "snapshot", "genesis": "g", "offset": MANY, "more": False,
        "facts": facts,
    }  # fmt: skip
    await beside(feed._receive(link, message))
    assert link.replica.position == MANY
    assert not facts


async def test_a_probe_of_very_many_is_answered_for_some() -> None:
    """They are looked at in one go, as of one position."""
    allows = Mock(return_value=False)
    standing = cast("Any", Mock(spec=Freshness))
    standing.applied.return_value = ("g", 7)
    feed = Feed(
        "http://s", "t", name="g", standing=standing, jitter=float,
        allows=allows,
    )  # fmt: skip
    socket = Mock(send_json=AsyncMock())
    await feed._probed(socket, {"identifiers": ["agent.id:a"] * MANY, "probe": 1})
    assert allows.call_count == MOST_PROBED
    assert socket.send_json.call_args.args[0]["allowed"] == []


async def test_many_corrections_are_merged_in_turns() -> None:
    """They come in one frame, and a guard that gets it may hold a lease."""
    taken = {
        "fact": "withdraw", "authority": "operators", "event_id": "e", "version": 1,
        "received_at": 2, "kind": "cause", "target": "agent.id:a",
    }  # fmt: skip
    facts = [taken | {"fact_id": f"{each:064x}"} for each in range(MANY)]
    message = {
        "type": "snapshot", "genesis": "g", "offset": 0, "more": False, "facts": facts,
    }  # fmt: skip
    replica = Replica()
    steps = replica.snapshot(message)
    opened = sum(1 for _ in steps)

    assert replica.position == 0
    assert len(replica.corrections) == MANY
    assert opened > 2 * MANY / SLICE  # read, noted, built, merged
