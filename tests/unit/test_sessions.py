"""Live sessions: who is ended, when, and who is not; with clocks moved by hand."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from agents_registry.facts import (
    Alias,
    Cause,
    Distrust,
    Edge,
    Effect,
    Fact,
    Lift,
    Node,
    OwnerSet,
    Renewal,
    Withdraw,
    fact_id,
    to_plain,
)
from agents_registry.identifiers import Identifier
from agents_registry.life import Reason
from enforcement import (
    DeniedError,
    Guard,
    Lapse,
    Mode,
    Policy,
    Presented,
    Verdict,
    while_allowed,
)
from enforcement.replica import Replica

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

pytestmark = pytest.mark.unit

SECOND = 1_000_000_000
NOW = 1_000 * SECOND
LEASE = 0.2
PATIENCE = 20
ROOT = Identifier("vault.accessor", "root")
PARENT = Identifier("vault.accessor", "parent")
CHILD = Identifier("vault.accessor", "child")
OTHER = Identifier("vault.accessor", "other")
OWNER = Identifier("person.id", "owner")
STRANGER = Identifier("jwt.jti", "stranger")
SAID: dict[str, Any] = {"authority": "vault", "version": NOW, "received_at": NOW}
FAMILY: list[Fact] = [
    *(Node(**SAID, node=each, issued_at=NOW) for each in (ROOT, PARENT, CHILD, OTHER)),
    Node(**SAID, node=OWNER),
    Edge(**SAID, child=CHILD, parent=PARENT),
    Edge(**SAID, child=PARENT, parent=ROOT),
]


def cause(target: Identifier, effect: Effect = Effect.REVOKE, **more: Any) -> Cause:
    """End an identifier."""
    return Cause(**{**SAID, **more}, target=target, effect=effect, at=NOW)


@define
class World:
    """A guard without a feed: its clocks, its log, and what its sessions were told."""

    clock: int = 100 * SECOND
    wall: int = NOW
    told: list[tuple[str, Verdict]] = field(factory=list)
    offset: int = 0
    genesis: str = "g1"
    guard: Guard = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make the guard."""
        self.guard = Guard(
            "http://rescind.invalid",
            "credential",
            name="g",
            routes={mode.value: mode for mode in Mode},
            policy=Policy(unknown={"jwt.jti": "allow_and_report"}),
            lease=LEASE,
            live_sessions=True,
            clock=lambda: self.clock,
            wall_clock=lambda: self.wall,
        )

    def fill(self, *facts: Fact) -> None:
        """Put a new replica in force."""
        replica = Replica()
        self.offset += 100
        message: dict[str, Any] = {
            "genesis": self.genesis,
            "offset": self.offset,
            "facts": [to_plain(fact) for fact in facts],
            "more": False,
        }
        for _ in replica.snapshot(message):
            pass
        self.guard.standing.offer(replica)
        self.prove()

    def say(self, *facts: Fact) -> None:
        """Apply facts to the replica in force."""
        start, self.offset = self.offset, self.offset + len(facts)
        message = {
            "from": start,
            "to": self.offset,
            "facts": [to_plain(fact) for fact in facts],
        }
        for _ in self.guard.standing.replica.delta(message):
            pass
        self.guard.standing.refresh()

    def prove(self) -> None:
        """Renew the lease."""
        standing = self.guard.standing
        standing.pong(
            standing.replica, standing.ping(), self.genesis, self.offset, 60_000
        )

    def open(self, name: str, *presented: Identifier, **more: Any) -> Any:
        """Watch a session that writes down what ends it."""
        return self.guard.on_deny(
            presented or (CHILD,), lambda verdict: self.note(name, verdict), **more
        )

    def note(self, name: str, verdict: Verdict) -> None:
        """Write down what a session was told."""
        self.told.append((name, verdict))

    @property
    def ended(self) -> list[str]:
        """Give the names of the sessions that ended, in order."""
        return [name for name, _ in self.told]


@asynccontextmanager
async def watching(world: World) -> AsyncIterator[World]:
    """Run the sessions of a world's guard."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(world.guard.sessions.run())
        try:
            yield world
        finally:
            task.cancel()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Give a guard with a lease whose sessions are watched."""
    made = World()
    made.fill(*FAMILY)
    async with watching(made):
        yield made


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if condition():
                return
            await asyncio.sleep(0.001)


async def settled(world: World) -> None:
    """Wait until everything that was said so far was looked at.

    A session of its own, that another is revoked for, is judged after all others.
    """
    probe = Identifier("vault.accessor", f"probe{next(numbers)}")
    name = f"probe {probe.value}"
    world.say(Node(**SAID, node=probe, issued_at=NOW))
    world.open(name, probe, route="fail_open")
    await until(lambda: not world.guard.sessions._watchlist.suspects)
    world.say(cause(probe))
    await until(lambda: name in world.ended)
    world.told = [told for told in world.told if told[0] != name]


numbers = itertools.count()


@pytest.mark.parametrize("dead", [CHILD, PARENT, ROOT], ids=lambda each: each.value)
async def test_a_session_ends_with_its_credential_or_any_ancestor(
    world: World, dead: Identifier
) -> None:
    """The cause names the ancestor alone; the verdict tells the way to it."""
    world.open("session")
    world.open("another's", OTHER)
    await settled(world)
    world.say(cause(dead))
    await until(lambda: world.told)

    ((name, verdict),) = world.told
    assert name == "session"
    assert verdict.reason is Reason.REVOKED
    assert not verdict.allowed
    assert verdict.path[-1] == dead
    assert verdict.cause is not None
    assert verdict.cause.target == dead
    assert len(world.guard.sessions) == 1


async def test_a_session_ends_once(world: World) -> None:
    """A second cause has nobody left to end."""
    world.open("session")
    world.say(cause(PARENT))
    await until(lambda: world.told)
    world.say(cause(CHILD), cause(ROOT))
    await settled(world)

    assert world.ended == ["session"]
    assert world.guard.sessions.ended.denied["revoked"] >= 1


async def test_a_session_that_was_cancelled_hears_nothing(world: World) -> None:
    """It is over; cancelling it twice is fine."""
    session = world.open("session")
    await settled(world)
    session.cancel()
    session.cancel()
    world.say(cause(CHILD))
    await settled(world)

    assert world.ended == []
    assert not session.active
    assert len(world.guard.sessions) == 0


async def test_a_session_on_what_is_dead_already_ends_at_once(world: World) -> None:
    """Between check and on_deny a revocation may have come."""
    world.say(cause(PARENT))
    world.open("session")
    await until(lambda: world.ended == ["session"])


async def test_what_cannot_be_read_ends_at_once(world: World) -> None:
    """As the check denies it; where the route observes, nothing ends."""
    world.guard.on_deny("nonsense", lambda verdict: world.note("bad", verdict))
    world.guard.on_deny(
        "nonsense", lambda verdict: world.note("seen", verdict), route="observe"
    )
    await settled(world)

    ((name, verdict),) = world.told
    assert name == "bad"
    assert verdict.reason is Lapse.UNREADABLE
    assert world.guard.sessions.ended.observed == {"unreadable": 1}


async def test_a_session_ends_when_its_credential_expires(world: World) -> None:
    """No fact arrives then: the wall clock passes the time."""
    soon = world.wall + 60 * SECOND
    world.say(Renewal(**SAID, node=CHILD, expires_at=soon))
    world.say(Renewal(**SAID, node=PARENT, expires_at=soon - 30 * SECOND))
    world.open("session")
    world.open("longer", OTHER)
    await settled(world)
    world.wall = soon - 1
    await settled(world)
    assert world.ended == []  # a plain child outlives the expiry of its parent

    world.wall = soon
    await until(lambda: world.told)
    assert world.told[0][1].reason is Reason.EXPIRED
    assert world.ended == ["session"]


async def test_a_renewed_session_goes_on(world: World) -> None:
    """The later expiry counts."""
    soon = world.wall + 60 * SECOND
    world.say(Renewal(**SAID, node=CHILD, expires_at=soon))
    world.open("session")
    await settled(world)
    later = {**SAID, "version": NOW + 1, "received_at": NOW + 1}
    world.say(Renewal(**later, node=CHILD, expires_at=soon + 60 * SECOND))
    world.wall = soon
    await settled(world)

    assert world.ended == []


async def test_a_session_ends_with_the_last_owner(world: World) -> None:
    """Through owners passes the loss of the last one."""
    world.say(OwnerSet(**SAID, node=PARENT, owners=(OWNER,)))
    world.open("session")
    await settled(world)
    world.say(cause(OWNER))
    await until(lambda: world.told)

    assert world.told[0][1].reason is Reason.NO_LIVING_OWNER


async def test_a_narrow_ends_the_sessions_that_it_does_not_cover(world: World) -> None:
    """What was allowed for a scope that is still covered goes on."""
    world.open("wide", scope="repo|write")
    world.open("covered", scope="repo|read")
    world.open("any")
    await settled(world)
    world.say(cause(PARENT, Effect.NARROW, scopes=("repo|read",)))
    await until(lambda: len(world.told) == 2)

    assert {name: verdict.reason for name, verdict in world.told} == {
        "wide": Reason.NARROWED,
        "any": Reason.NARROWED,
    }


async def test_a_late_edge_or_alias_to_something_dead_ends_a_session(
    world: World,
) -> None:
    """The cause was there first; what condemns is how it hangs together."""
    world.say(cause(OTHER))
    world.open("by edge")
    world.open("by alias", ROOT)
    await settled(world)
    world.say(Edge(**SAID, child=CHILD, parent=OTHER))
    await until(lambda: "by edge" in world.ended)
    world.say(Alias(**SAID, first=OTHER, second=ROOT))
    await until(lambda: "by alias" in world.ended)


async def test_a_stranger_that_becomes_known_as_dead_ends(world: World) -> None:
    """A token that no fact named yet has no number to look for."""
    world.open("stranger", STRANGER)
    await settled(world)
    assert world.ended == []

    world.say(cause(STRANGER))
    await until(lambda: world.ended == ["stranger"])


async def test_the_presented_chain_counts(world: World) -> None:
    """Delegation claims are edges."""
    presented = Presented((STRANGER,), chain=(CHILD,))
    world.guard.on_deny(presented, lambda verdict: world.note("chained", verdict))
    await settled(world)
    world.say(cause(ROOT))
    await until(lambda: world.ended == ["chained"])


async def test_a_suspension_that_was_lifted_ends_nothing_more(
    world: World,
) -> None:
    """The session that a suspend ended stays ended, and the next one runs."""
    world.open("session")
    world.say(cause(PARENT, Effect.SUSPEND))
    await until(lambda: world.ended == ["session"])
    world.say(
        Lift(**{**SAID, "version": NOW + 1, "received_at": NOW + 1}, target=PARENT)
    )
    world.open("next")
    await settled(world)

    assert world.ended == ["session"]
    assert world.told[0][1].reason is Reason.SUSPENDED


async def test_a_new_replica_has_everything_judged_anew(world: World) -> None:
    """Its nodes have other numbers, and the facts between were applied elsewhere."""
    world.open("session")
    world.open("another's", OTHER)
    await settled(world)
    world.fill(cause(ROOT), *reversed(FAMILY))
    await until(lambda: world.ended == ["session"])

    world.say(cause(OTHER))
    await until(lambda: world.ended == ["session", "another's"])


async def test_a_replica_that_changes_during_a_look_is_noticed(world: World) -> None:
    """The rest of the look would be with numbers of the wrong table."""
    for number in range(100):
        world.open(f"session {number}")
    await settled(world)
    world.guard.standing.replica.registry.apply(cause(CHILD))
    world.guard.sessions._watchlist._all_shaken = True
    world.guard.sessions._wake.set()
    await until(lambda: world.told)
    world.fill(*FAMILY, cause(PARENT))
    await until(lambda: len(world.told) == 100)

    assert len(set(world.ended)) == 100


async def test_an_earlier_copy_of_a_lift_ends_a_session(world: World) -> None:
    """The earliest time over its copies counts: it was too early to lift anything."""
    lift = {**SAID, "target": PARENT, "stamped": True}
    late, early = NOW + 60 * SECOND, NOW - 60 * SECOND
    world.say(
        cause(PARENT, Effect.SUSPEND),
        Lift(**{**lift, "version": late, "received_at": late}),
    )
    world.open("session")
    await settled(world)
    assert world.ended == []

    world.say(Lift(**{**lift, "version": early, "received_at": early}))
    await until(lambda: world.ended == ["session"])


async def test_a_lift_that_is_withdrawn_ends_a_session(world: World) -> None:
    """What it had ended is in force again."""
    lift = Lift(**{**SAID, "version": NOW + 1, "received_at": NOW + 1}, target=PARENT)
    world.say(cause(PARENT, Effect.SUSPEND), lift)
    world.open("session")
    await settled(world)
    withdraw = Withdraw(
        **{**SAID, "version": NOW + 2, "received_at": NOW + 2},
        fact_id=fact_id(lift).hex(),
        kind=Lift.NAME,
        target=PARENT,
    )
    world.say(withdraw)
    await until(lambda: world.ended == ["session"])


async def test_a_correction_has_everything_judged_anew(world: World) -> None:
    """Nobody can tell whom it touches; what it asks for is a new table anyway."""
    world.open("session")
    await settled(world)
    distrust = Distrust(
        **SAID, suspect="x", suspect_key="k", received_from=0, received_to=1
    )
    world.say(cause(CHILD))
    world.say(distrust)
    await until(lambda: world.ended == ["session"])


@pytest.mark.parametrize("mode", Mode)
async def test_a_lost_lease_ends_after_one_more_what_fails_closed(
    world: World, mode: Mode
) -> None:
    """A hiccup ends nothing, an outage does; other modes go on."""
    world.open("session", route=mode.value)
    await settled(world)
    lost = world.guard.standing.deadline
    lease = round(LEASE * SECOND)
    world.clock = lost + lease - 1
    await settled(world)
    assert world.ended == []

    world.clock = lost + lease
    await settled(world)
    closed = mode is Mode.FAIL_CLOSED
    assert world.ended == (["session"] if closed else [])
    if closed:
        assert world.told[0][1].reason is Lapse.NO_LEASE
        assert world.told[0][1].stale


async def test_a_lease_that_is_renewed_in_time_ends_nothing(world: World) -> None:
    """Also over many leases."""
    world.open("session")
    for _ in range(5):
        await settled(world)
        world.clock = world.guard.standing.deadline + 1
        await settled(world)
        world.prove()
    await settled(world)

    assert world.ended == []


async def test_a_process_that_was_stopped_ends_its_sessions(world: World) -> None:
    """It may hold a lease again before anyone looks, and has served without one."""
    world.open("session")
    await settled(world)
    world.clock += 10 * SECOND
    world.prove()
    assert world.guard.standing.holds()
    await until(lambda: world.ended == ["session"])


async def test_a_session_after_an_outage_is_not_ended_for_it(world: World) -> None:
    """It began with a lease that nobody had looked at yet."""
    world.open("before", route="fail_open")
    world.open("closed")
    await settled(world)
    world.clock += 10 * SECOND
    world.prove()
    world.open("after")
    assert world.ended == ["closed"]
    await settled(world)

    assert world.ended == ["closed"]


async def test_without_a_lease_there_is_no_new_session() -> None:
    """As the check denies it."""
    world = World()
    world.fill(*FAMILY)
    world.clock += 10 * SECOND
    async with watching(world):
        world.open("session")
        await until(lambda: world.ended == ["session"])
        assert world.told[0][1].reason is Lapse.NO_LEASE

        world.prove()
        world.open("after")
        await settled(world)
        assert world.ended == ["session"]


@pytest.mark.parametrize("mode", [Mode.FAIL_CLOSED, Mode.FAIL_OPEN])
async def test_a_known_cause_ends_a_session_without_a_lease(
    world: World, mode: Mode
) -> None:
    """What is known to be dead stays dead, also where the route fails open."""
    world.open("session", route=mode.value)
    await settled(world)
    world.clock = world.guard.standing.deadline
    world.say(cause(ROOT))
    await until(lambda: world.told)

    assert world.told[0][1].reason is Reason.REVOKED
    assert world.told[0][1].stale


async def test_an_observing_route_counts_and_ends_nothing(world: World) -> None:
    """How a company starts: it learns what would have been ended."""
    world.open("session", route="observe")
    await settled(world)
    world.say(cause(ROOT))
    await settled(world)

    assert world.ended == []
    assert world.guard.sessions.ended.observed == {"revoked": 1}
    assert len(world.guard.sessions) == 0


async def test_a_callback_that_raises_stops_no_other(world: World) -> None:
    """The loop's exception handler hears of it."""
    heard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: heard.append(what))

    def fail(verdict: Verdict) -> None:
        raise RuntimeError(verdict.reason.value)

    for _ in range(3):
        world.guard.on_deny(CHILD, fail)
    world.open("session")
    world.say(cause(ROOT))
    await until(lambda: world.ended == ["session"])

    assert [str(each["exception"]) for each in heard] == ["revoked"] * 3
    assert world.guard.sessions.ended.failed == 3


async def test_a_callback_that_nobody_would_await_is_an_error(world: World) -> None:
    """Else the session would live on without a word."""
    heard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: heard.append(what))

    async def close(verdict: Verdict) -> None:
        raise AssertionError(verdict)

    with pytest.raises(TypeError, match="plain function"):
        world.guard.on_deny(CHILD, close)
    world.guard.on_deny(CHILD, lambda verdict: close(verdict))  # noqa: PLW0108
    world.say(cause(CHILD))
    await until(lambda: heard)

    assert isinstance(heard[0]["exception"], TypeError)
    assert world.guard.sessions.ended.failed == 1


async def test_a_callback_may_cancel_and_open_sessions(world: World) -> None:
    """An application closes all sessions of a user with the first that ends."""
    second = world.open("second")

    def end(verdict: Verdict) -> None:
        world.note("first", verdict)
        second.cancel()
        world.open("third", OTHER)

    second.cancel()
    world.guard.on_deny(CHILD, end)
    second = world.open("second")
    world.say(cause(ROOT))
    await until(lambda: world.told)
    await settled(world)

    assert world.ended == ["first"]
    assert len(world.guard.sessions) == 1


async def work(
    world: World, swallow: contextlib.AbstractContextManager[Any] | None = None
) -> None:
    """Work for ever on a credential that is revoked meanwhile."""
    async with while_allowed(world.guard, CHILD):
        world.say(cause(ROOT))
        with swallow or contextlib.nullcontext():
            await asyncio.Event().wait()


async def test_work_runs_while_its_credential_lives(world: World) -> None:
    """The caller learns why it stopped; other cancellations pass as they are."""
    async with while_allowed(world.guard, CHILD):
        await settled(world)
    assert len(world.guard.sessions) == 0

    with pytest.raises(DeniedError, match="revoked") as raised:
        await work(world)
    assert raised.value.verdict.path[-1] == ROOT
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()

    with pytest.raises(DeniedError):
        async with while_allowed(world.guard, CHILD):
            pytest.fail("it must not begin")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), while_allowed(world.guard, OTHER):
            await asyncio.Event().wait()


async def test_work_that_fails_by_its_cancellation_leaves_no_cancelled_task(
    world: World,
) -> None:
    """A client library makes another error of it; the next denial is told as one."""

    @contextlib.contextmanager
    def closed() -> Iterator[None]:
        try:
            yield
        except asyncio.CancelledError:
            raise OSError("connection closed") from None

    task = asyncio.current_task()
    assert task is not None
    with pytest.raises(OSError, match="connection closed"):
        await work(world, closed())
    assert not task.cancelling()

    world.fill(*FAMILY)
    with pytest.raises(DeniedError):
        await work(world)


async def test_work_of_a_cancelled_task_is_told_of_its_own_end(world: World) -> None:
    """What a task does to clean up may run under a credential, too."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()

    with pytest.raises(DeniedError):
        await work(world)
    assert task.uncancel() == 0


async def test_work_that_swallows_its_cancellation_is_told_nevertheless(
    world: World,
) -> None:
    """Its result must not be used."""
    with pytest.raises(DeniedError):
        await work(world, contextlib.suppress(asyncio.CancelledError))


async def test_a_guard_that_ends_ends_what_it_enforced() -> None:
    """Nobody would watch it any more, and nobody can be added.

    Its goodbye says so of all modes: a closure waits for it no more.
    """
    world = World()
    world.fill(*FAMILY)
    with pytest.raises(RuntimeError, match="within the guard's context"):
        world.open("before")
    async with watching(world):
        world.open("closed")
        world.open("open", route="fail_open")
        world.open("seen", route="observe")
        await settled(world)
        assert world.ended == []

    assert world.ended == ["closed", "open"]
    assert world.guard.standing.replica.observer is None
    with pytest.raises(RuntimeError, match="within the guard's context"):
        world.open("after")


async def test_sessions_that_fail_closed_must_be_declared(world: World) -> None:
    """Else a revocation would count as enforced while they may still run."""
    world.guard.live_sessions = False
    with pytest.raises(RuntimeError, match="live_sessions=True"):
        world.open("session")

    assert world.open("open", route="fail_open").active


async def test_many_sessions_leave_room_for_others(world: World) -> None:
    """A look at a thousand sessions lets the loop turn many times."""
    for number in range(1_000):
        world.open(f"session {number}")
    await settled(world)
    turns = 0
    world.say(cause(ROOT))
    async with asyncio.timeout(PATIENCE):
        while len(world.told) < 1_000:
            await asyncio.sleep(0)
            turns += 1

    assert turns >= 1_000 / 16
