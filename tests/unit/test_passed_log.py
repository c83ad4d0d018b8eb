"""The log of an upstream: what is handed on of it, and when guards must begin anew."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

import orjson
import pytest
from attrs import Factory, define

from agents_registry.facts import Node, to_plain
from agents_registry.identifiers import Identifier
from enforcement.replica import GapError
from streams.engines.upstream.passed_log import PassedLog, PassedTable
from streams.engines.upstream.passed_table import PassedReplica

pytestmark = pytest.mark.unit


@define
class Follower:
    """Notes what it is told."""

    watched: bool = True
    woken: int = 0
    restarts: int = 0

    def wake(self) -> None:
        """Note it."""
        self.woken += 1

    def restart(self) -> None:
        """Note it."""
        self.restarts += 1


@define
class Passed:
    """A log that no connection feeds."""

    follower: Follower = Factory(Follower)
    log: PassedLog = Factory(
        lambda: PassedLog("http://above", "guard", "acme", 0.05, None, lambda: 0)
    )

    def __attrs_post_init__(self) -> None:
        """Follow it."""
        self.log.follow(self.follower)

    def begin(self, position: int, genesis: str = "g1") -> PassedReplica:
        """Have a replica complete at a position; it is in force where it may be."""
        standing = self.log.standing
        replica = standing.replica.successor()
        assert isinstance(replica, PassedReplica)
        start = {"genesis": genesis, "facts": [], "offset": position, "more": False}
        for _ in replica.snapshot(start):
            pass
        standing.meet(genesis)
        standing.offer(replica)
        return replica

    def sent(self, position: int) -> tuple[int, int] | None:
        """Give the delta that a guard at a position gets."""
        frame = self.log.frame(position)
        if frame is None:
            return None
        plain: dict[str, Any] = orjson.loads(frame.text)
        assert (frame.start, frame.end) == (plain["from"], plain["to"])
        return frame.start, frame.end


def feed(replica: PassedReplica, start: int, end: int) -> None:
    """Feed a delta without facts."""
    for _ in replica.delta({"from": start, "to": end, "facts": []}):
        pass


def test_deltas_are_handed_on_before_they_are_merged() -> None:
    """A guard waits for its own table alone."""
    passed = Passed()
    replica = passed.begin(5)

    slices = replica.delta({"from": 5, "to": 7, "facts": [], "traces": ["t"]})
    next(slices, None)

    assert 7 == passed.log.end
    assert (5, 7) == passed.sent(5)
    assert '"traces":["t"]' in (passed.log.frame(5) or ("", "", ""))[2]


def test_a_successor_goes_on_from_what_was_handed_on() -> None:
    """It reads beside the table in force, and nobody misses a delta."""
    passed = Passed()
    first = passed.begin(5)
    feed(first, 5, 7)
    second = first.successor()
    start = {"genesis": "g1", "facts": [], "offset": 6, "more": False}
    for _ in second.snapshot(start):
        pass

    feed(second, 6, 9)
    feed(first, 7, 8)

    assert (7, 9) == passed.sent(7)
    assert 9 == passed.log.end
    assert passed.log.standing.offer(second)
    assert 1 == passed.follower.restarts  # when the first began


@pytest.mark.parametrize(("position", "genesis"), [(9, "g1"), (7, "g2"), (3, "g2")])
def test_guards_come_again_where_the_log_does_not_go_on(
    position: int, genesis: str
) -> None:
    """There is a hole, or it is another log."""
    passed = Passed()
    replica = passed.begin(5)
    feed(replica, 5, 7)
    passed.log.standing.fail(replica, GapError("a hole"))
    assert not passed.log.serves

    passed.begin(position, genesis)

    assert 2 == passed.follower.restarts
    assert (genesis, position) == (passed.log.genesis, passed.log.end)
    assert passed.sent(5) is None or genesis == "g2"


async def test_a_log_that_lost_its_end_is_begun_anew() -> None:
    """Its offsets come again with other facts: nobody may go on from one."""
    passed = Passed()
    feed(passed.begin(5), 5, 7)
    passed.log.standing.condemn(forget=True)

    passed.begin(6)

    assert 2 == passed.follower.restarts
    assert 6 == passed.log.end
    assert not await passed.log.reaches(7)


async def test_no_facts_are_kept() -> None:
    """A guard that fell behind begins with the table."""
    passed = Passed()
    passed.begin(5)

    assert not await passed.log.reaches(4)
    assert await passed.log.reaches(5)
    for asking in (passed.log.piece(0, 5), passed.log.taken_back()):
        with pytest.raises(ConnectionError):
            await asking
    assert 0 == passed.log.remaining(None, 0)
    table = PassedTable(passed.log)
    assert table.loaded.is_set()
    assert 5 == table.applied


def test_a_delta_of_very_many_facts_is_handed_on_in_steps() -> None:
    """As it is, whoever made it so large."""
    passed = Passed()
    replica = passed.begin(5)
    name = Identifier("vault.accessor", "a")
    facts = [
        to_plain(Node(authority="vault", version=at, received_at=at, node=name))
        for at in range(1, 251)
    ]
    steps = replica.delta({"from": 5, "to": 300, "facts": facts})
    assert 3 == sum(1 for _ in takewhile(lambda _: passed.log.end == 5, steps))
    for _ in steps:
        pass
    frame = passed.log.frame(5)
    assert frame is not None
    assert facts == orjson.loads(frame.text)["facts"]
    assert (300, 300) == (passed.log.end, replica.position)
