"""Long work rests from the commit of a cause until guards that kept up were sent it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from agents_registry.facts import Cause, Effect, Fact, Node
from agents_registry.identifiers import Identifier
from enforcement.turns import give_way_to, in_turns
from streams.engines.embedded.feed_log import StoredLog
from streams.engines.embedded.right_of_way import LONGEST, TAKEN_UP, RightOfWay
from streams.http.fact_sender import AWAITED_SECONDS, FactSender
from streams.http.guard_connection import Connection
from tests.virtual import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from agents_registry.steps import Steps

pytestmark = pytest.mark.unit

NODE = Identifier("agent.id", "planner")
CAUSE = Cause(
    authority="operator", version=1, received_at=1, target=NODE,
    effect=Effect.SUSPEND, at=1,
)  # fmt: skip
ISSUE = Node(authority="vault", version=1, received_at=1, node=NODE)


class Clock:
    """Seconds that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def in_virtual_time(work: Coroutine[Any, Any, Any]) -> Any:
    """Do work in a loop whose time passes at once."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


def test_it_is_taken_until_it_is_given_back() -> None:
    """Whoever looks in between rests, and for a moment more."""
    clock = Clock()
    way = RightOfWay(clock)
    seen = [way.taken()]
    way.take(1)
    seen.append(way.taken())
    way.give(1)
    clock.now += 0.9 * TAKEN_UP
    seen.append(way.taken())
    way.give(2)  # of another commit, which ends nothing
    clock.now += 0.1 * TAKEN_UP

    assert [False, True, True, False] == [*seen, way.taken()]


def test_a_commit_of_before_gives_nothing_back() -> None:
    """The feed hands it on when the cause behind it is on the disk, and not told of."""
    clock = Clock()
    way = RightOfWay(clock)
    way.take(7)
    way.give(6)
    clock.now += TAKEN_UP
    before = way.taken()
    way.take(9)  # of a second cause, meanwhile
    way.give(7)
    clock.now += 0.9 * TAKEN_UP
    between = way.taken()
    way.give(9)
    clock.now += TAKEN_UP

    assert [True, True, False] == [before, between, way.taken()]


def test_no_guard_holds_long_work_up() -> None:
    """It goes on by itself, though nobody was sent anything."""
    clock = Clock()
    way = RightOfWay(clock)
    way.take(1)
    clock.now += LONGEST

    assert not way.taken()


@pytest.mark.parametrize("given_after", [0.01, 10.0])
def test_long_work_has_half_of_the_time(given_after: float) -> None:
    """However many causes come, and whether guards read them or not."""
    clock = Clock()
    way = RightOfWay(clock)
    rested, millisecond = 0, 0.001
    taken_at = 0.0
    for _ in range(10_000):
        if not way.taken():
            way.take(1)
            taken_at = clock.now
        rested += way.taken()
        clock.now += millisecond
        if clock.now - taken_at >= given_after:
            way.give(1)

    assert 4_500 < rested <= 5_010


def test_steps_of_a_loop_rest_until_it_is_given_back() -> None:
    """And for a moment more, then they go on."""
    begun: list[float] = []

    def steps(clock: Any) -> Steps[None]:
        for _ in range(3):
            begun.append(clock())
            yield

    async def main() -> float:
        loop = asyncio.get_running_loop()
        way = RightOfWay(loop.time)
        give_way_to(way)
        way.take(1)
        loop.call_later(0.01, way.give, 1)
        began = loop.time()
        await in_turns(steps(loop.time))
        return began

    began = in_virtual_time(main())

    assert [0.01 + TAKEN_UP] * 3 == [pytest.approx(at - began) for at in begun]


def test_steps_of_a_loop_rest_no_longer_than_they_may() -> None:
    """Where nobody gives it back."""

    def steps() -> Steps[None]:
        yield

    async def main() -> float:
        loop = asyncio.get_running_loop()
        way = RightOfWay(loop.time)
        give_way_to(way)
        way.take(1)
        began = loop.time()
        await in_turns(steps())
        return loop.time() - began

    assert LONGEST == pytest.approx(in_virtual_time(main()))


class Sent(FactSender):
    """Sends facts over sockets that are not there."""

    def __init__(self, way: RightOfWay) -> None:
        """Follow an empty log."""
        log = StoredLog(cast("Any", EmptyStore()), "default", 1000, way)
        super().__init__(log, {}, 1000)
        self.log, self.handed_on = log, way.give

    def commit(self, *facts: Fact) -> None:
        """Tell of a commit, as the writer and then the loop are told."""
        self.log._frame(self.log.end, facts)
        self.told(self.log.end + len(facts))

    def told(self, end: int) -> None:
        """Tell the loop of a commit that the writer made."""
        commit: Any = EmptyStore()
        commit.end, commit.facts = end, (ISSUE,)
        self.log._on_commit(commit)


class EmptyStore:
    """A store without facts."""

    end = 0
    facts: tuple[Fact, ...] = ()
    genesis = "g"

    def __init__(self) -> None:
        """Start without listeners."""
        self.listeners: list[Any] = []
        self.framing: Any = None


class Socket:
    """A connection that takes frames after some seconds."""

    def __init__(self, takes: float) -> None:
        """Wait for so long with each frame."""
        self.takes = takes

    async def send_str(self, _: str) -> None:
        """Take a frame."""
        await asyncio.sleep(self.takes)


async def rests(*takes: float, facts: tuple[Fact, ...] = (CAUSE,)) -> float:
    """Seconds for which long work rests, beside guards that read so slowly."""
    loop = asyncio.get_running_loop()
    way = RightOfWay(loop.time)
    feed = Sent(way)
    async with asyncio.TaskGroup() as tasks:
        pushing = []
        for each in takes:
            connection = Connection(cast("Any", Socket(each)), "g", lambda: None)
            feed.connections.add(connection)
            pushing.append(tasks.create_task(feed._push(connection, {}, 0)))
        await asyncio.sleep(0)
        feed.commit(*facts)
        began = loop.time()
        await way.over()
        rested = loop.time() - began
        for task in pushing:
            task.cancel()
    return rested


def test_long_work_rests_until_the_last_guard_was_sent_a_cause() -> None:
    """And until that one had a moment to take it up."""
    assert 0.02 + TAKEN_UP == pytest.approx(in_virtual_time(rests(0.0, 0.02, 0.01)))


def test_a_commit_that_is_told_late_gives_no_cause_back() -> None:
    """The writer is ahead of the loop that tells of its commits."""

    async def main() -> bool:
        loop = asyncio.get_running_loop()
        way = RightOfWay(loop.time)
        feed = Sent(way)
        connection = Connection(cast("Any", Socket(0.0)), "g", lambda: None)
        feed.connections.add(connection)
        async with asyncio.TaskGroup() as tasks:
            pushing = tasks.create_task(feed._push(connection, {}, 0))
            await asyncio.sleep(0)
            feed.log._frame(0, (ISSUE,))
            feed.log._frame(1, (CAUSE,))
            feed.told(1)
            await asyncio.sleep(1.1 * TAKEN_UP)
            rests = way.taken()
            feed.told(2)
            await asyncio.sleep(1.1 * TAKEN_UP)
            pushing.cancel()
        return rests and not way.taken()

    assert in_virtual_time(main())


def test_long_work_rests_for_causes_alone() -> None:
    """What is issued may come a little later."""
    assert 0.0 == in_virtual_time(rests(0.02, facts=(ISSUE,)))


def test_long_work_does_not_rest_without_guards() -> None:
    """There is nobody to be sent anything."""
    assert 0.0 == in_virtual_time(rests())


def test_a_guard_that_does_not_read_is_waited_for_once() -> None:
    """The next causes find it behind."""

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        way = RightOfWay(loop.time)
        feed = Sent(way)
        found, pushing = [], []
        async with asyncio.TaskGroup() as tasks:
            for takes in (0.0, 1000.0):
                connection = Connection(cast("Any", Socket(takes)), "g", lambda: None)
                connection.end = lambda: None
                feed.connections.add(connection)
                push = feed._push(connection, {}, 0)
                pushing.append(tasks.create_task(push))
            await asyncio.sleep(0)
            for _ in range(2):
                feed.commit(CAUSE)
                began = loop.time()
                await way.over()
                found.append(loop.time() - began)
                await asyncio.sleep(2 * AWAITED_SECONDS)
            for task in pushing:
                task.cancel()
        return found

    assert [LONGEST, TAKEN_UP] == [pytest.approx(e) for e in in_virtual_time(main())]


def test_a_guard_that_goes_is_not_waited_for() -> None:
    """Its connection may end in the middle of a frame."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        way = RightOfWay(loop.time)
        feed = Sent(way)
        connection = Connection(cast("Any", Socket(1.0)), "g", lambda: None)
        feed.connections.add(connection)
        pushing = asyncio.create_task(feed._push(connection, {}, 0))
        await asyncio.sleep(0)
        feed.commit(CAUSE)
        began = loop.time()
        loop.call_later(0.01, pushing.cancel)
        await way.over()
        return loop.time() - began

    assert 0.01 + TAKEN_UP == pytest.approx(in_virtual_time(main()))
