"""What a relay of another feed lets through to a guard whose facts it brings."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from aiohttp import WSMsgType

from streams.http.guard_connection import Connection
from streams.http.passed_feed import PassedFeed, _Passage
from tests.virtual import VirtualLoop

pytestmark = pytest.mark.unit

LEASE = 1.0


def passage(position: int, *, carried: bool = True) -> _Passage:
    """Give the passage of a guard that was sent everything below a position."""
    connection = Connection(cast("Any", None), "orders", lambda: None)
    connection.position = position
    feed = cast("PassedFeed", SimpleNamespace(genesis=lambda: "g1"))
    found = _Passage(feed, connection, cast("Any", None), LEASE)
    found._carried = carried
    return found


def pong(end: int, genesis: str = "g1") -> str:
    """Give a pong of the upstream."""
    plain = {"type": "pong", "seq": 1, "genesis": genesis, "end": end}
    return orjson.dumps(plain | {"remaining_ms": 900}).decode()


async def test_a_pong_is_passed_on_as_it_is() -> None:
    """What is left of the proof is the upstream's to say."""
    assert pong(7) == await passage(7)._passed(pong(7))
    assert pong(9) == await passage(7)._passed(pong(9))


async def test_a_pong_of_another_log_ends_the_connection() -> None:
    """The facts are of one log, and the proof of another."""
    with pytest.raises(ConnectionError):
        await passage(7)._passed(pong(7, "g2"))


def test_a_pong_below_what_was_sent_proves_nothing() -> None:
    """A relay above that is behind is told from a log that lost its end by time."""

    async def behind() -> None:
        guard = passage(7)
        told = orjson.loads(await guard._passed(pong(5)) or "")
        assert (7, 0) == (told["end"], told["remaining_ms"])
        await asyncio.sleep(LEASE / 2)
        assert 0 == orjson.loads(await guard._passed(pong(6)) or "")["remaining_ms"]
        assert pong(7) == await guard._passed(pong(7))
        await guard._passed(pong(6))
        await asyncio.sleep(LEASE * 1.1)
        with pytest.raises(ConnectionError):
            await guard._passed(pong(6))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(behind())


async def test_an_answer_that_facts_overtook_is_as_good_for_them() -> None:
    """The upstream had all that the guard was sent when it asked."""
    guard = passage(7)
    guard._ask({"type": "ping", "seq": 1})
    guard._connection.position = 9
    told = orjson.loads(await guard._passed(pong(8)) or "")
    assert (9, 900) == (told["end"], told["remaining_ms"])
    assert 0 == orjson.loads(await guard._passed(pong(8)) or "")["remaining_ms"], "once"


async def test_an_upstream_that_lacks_what_was_sent_proves_nothing() -> None:
    """Nor does one that was asked before the guard was sent anything."""
    guard = passage(7)
    guard._ask({"type": "ping", "seq": 1})
    assert 0 == orjson.loads(await guard._passed(pong(6)) or "")["remaining_ms"]
    guard = passage(0)
    guard._ask({"type": "ping", "seq": 1})
    guard._connection.position = 9
    assert 0 == orjson.loads(await guard._passed(pong(6)) or "")["remaining_ms"]


def test_pings_that_nobody_answers_take_no_memory() -> None:
    """However many a guard sends."""
    guard = passage(7)
    for seq in range(1000):
        guard._ask({"type": "ping", "seq": seq})
    guard._ask({"type": "ping", "seq": [1]})
    assert len(guard._asked) <= 64


@pytest.mark.parametrize("first_word", [True, False])
def test_a_guard_whose_pings_bring_nothing_comes_again(*, first_word: bool) -> None:
    """Facts go on over another connection: it would not look elsewhere by itself."""
    assert held(30, lambda _: False, first_word=first_word) < 11 * LEASE


def test_a_guard_whose_pings_are_answered_stays() -> None:
    """Each time in less than two leases."""
    assert 30 == held(30, lambda seq: seq % 6 == 0)


def held(seconds: float, answers: Any, *, first_word: bool = True) -> float:
    """Give how long a guard's connection is held, with facts all the time."""
    down: asyncio.Queue[Any] = asyncio.Queue()
    seqs = iter(range(1, 10_000))

    async def ping() -> Any:
        await asyncio.sleep(LEASE / 4)
        data = orjson.dumps({"type": "ping", "seq": next(seqs), "position": 7})
        return SimpleNamespace(type=WSMsgType.TEXT, data=data.decode())

    async def answer(text: str) -> None:
        if answers(orjson.loads(text)["seq"]):
            down.put_nowait(SimpleNamespace(type=WSMsgType.TEXT, data=pong(7)))

    async def nothing(*_: Any) -> None:
        return

    async def facts(*_: Any) -> None:
        await asyncio.Event().wait()

    async def carries(_: Any) -> tuple[bool, int]:
        return True, 7

    async def hold() -> float:
        ended = asyncio.Event()
        socket = SimpleNamespace(receive=ping, send_str=nothing)
        connection = Connection(cast("Any", socket), "orders", ended.set)
        connection.position = 7
        above = SimpleNamespace(receive=down.get, send_str=answer, send_json=nothing)
        pace = SimpleNamespace(hear=lambda *_: None)
        feed = SimpleNamespace(
            genesis=lambda: "g1", carries=carries, carry=facts, pace=pace
        )
        if first_word:
            word = '{"type":"registered"}'
            down.put_nowait(SimpleNamespace(type=WSMsgType.TEXT, data=word))
        passed = _Passage(cast("Any", feed), connection, cast("Any", above), LEASE)
        holding = asyncio.create_task(passed.hold({"type": "hello"}))
        began = asyncio.get_running_loop().time()
        await asyncio.wait([holding], timeout=seconds)
        took = asyncio.get_running_loop().time() - began
        assert ended.is_set() is holding.done()
        holding.cancel()
        return round(took, 6)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(hold())


async def test_facts_come_once() -> None:
    """An upstream that does not know that it should send none sends them still."""
    for kind in ("delta", "snapshot", "table"):
        frame = orjson.dumps({"type": kind}).decode()
        assert await passage(7)._passed(frame) is None
        assert frame == await passage(7, carried=False)._passed(frame)
    for kind in ("registered", "probe", "of a later version"):
        frame = orjson.dumps({"type": kind}).decode()
        assert frame == await passage(7)._passed(frame)


class Log:
    """A log that goes on from position 7 alone."""

    genesis, end = "g1", 7

    def follow(self, _: Any) -> None:
        """Follow nothing."""

    async def reaches(self, position: int) -> bool:
        """Tell whether a guard can go on."""
        return position == self.end


@pytest.mark.parametrize(
    ("hello", "carried"),
    [
        ({"tables": [1, 2]}, (True, None)),
        ({"tables": [1]}, (False, None)),
        ({"tables": [1], "genesis": "g1", "position": 7}, (True, 7)),
        ({"tables": [2], "genesis": "g1", "position": 6}, (True, None)),
        ({}, (False, None)),
        ({"tables": "all"}, (False, None)),
        ({"tables": [2], "facts": False}, (False, None)),
    ],
)
async def test_who_reads_the_table_gets_the_shared_facts(
    hello: dict[str, Any], carried: tuple[bool, int | None]
) -> None:
    """But for a guard whose relay brings them."""

    async def current() -> Any:
        return SimpleNamespace(version=2)

    tables = cast("Any", SimpleNamespace(current=current))
    feed = PassedFeed(cast("Any", Log()), {}, 1000, tables, cast("Any", None))
    assert carried == await feed.carries(hello)
