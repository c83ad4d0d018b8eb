"""Very many causes on one name: few are kept by name, and each is done as any other."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import Cause, Effect, Withdraw, fact_id
from agents_registry.identifiers import Identifier
from streams.model.endings import WantedEnd
from streams.model.times import SECOND
from streams.stages.ending import groups
from streams.stages.ending.groups import (
    MOST_NAMED,
    CauseGroups,
    GroupRole,
    Membership,
    MoreCauses,
)
from streams.stages.ending.items import EndingItem, EndingState
from streams.stages.ending.queue import EndingQueue
from tests.ending_world import until
from tests.unit.test_ending_floods import mark, shown
from tests.unit.test_ending_rounds import AGENT, ALL, KEY, USER, states, told

if TYPE_CHECKING:
    from tests.ending_world import World

pytestmark = pytest.mark.unit

MANY = 60
VERY_MANY = 1_000
ALL_BY_NAME = 1_000_000
SMALL = 5_000  # bytes


def end(world: World, name: Identifier, effect: Effect, **more: Any) -> str:
    """Accept a cause, and return its id."""
    world.end(name, effect, **more)
    return fact_id(world.accepted[-1]).hex()


def suspends(world: World, count: int) -> list[str]:
    """Suspend the key many times."""
    return [end(world, KEY, Effect.SUSPEND) for _ in range(count)]


def take_back(world: World, name: Identifier, *causes: str) -> None:
    """Withdraw causes."""
    for cause in causes:
        taken: dict[str, Any] = {"fact_id": cause, "kind": Cause.NAME, "target": name}
        world.accept(Withdraw, **taken)
    gone = {each.fact_id for each in world.accepted if isinstance(each, Withdraw)}
    effects = {
        each.effect
        for each in world.accepted
        if isinstance(each, Cause) and each.target == name
        and each.effect is not Effect.NOT_BEFORE and fact_id(each).hex() not in gone
    }  # fmt: skip
    world.ends_by(name, effects)


def size(world: World, name: Identifier) -> int:
    """Bytes that an item is kept in."""
    return len(world.items()[name].dump())


@pytest.mark.parametrize("effect", [Effect.SUSPEND, Effect.REVOKE])
def test_an_item_is_small_however_many_causes_end_it(effect: Effect) -> None:
    """And closure of each says how far its end is."""
    causes: list[str] = []

    async def story(world: World) -> None:
        causes.extend(end(world, KEY, effect) for _ in range(VERY_MANY))
        await until(world, lambda: states(world).get(KEY) is EndingState.ENDED, 60)
        await until(world, lambda: world.planned.issuperset(causes), 60)
        assert {"ended"} == {shown(world, each, KEY) for each in causes}
        assert size(world, KEY) < SMALL

    world = told(story)

    assert 1 == len(world.issuers["aws"].acts)


def test_watermarks_that_wait_are_kept_in_little() -> None:
    """Each waits by its time, and is done once a probe found that."""

    async def story(world: World) -> None:
        world.node(USER, AGENT, alive=True)
        vendor = world.issuers["aws"]
        vendor.away = (world.now(), world.now() + 600)
        causes = []
        for _ in range(VERY_MANY // 10):
            causes.append(mark(world))
            await asyncio.sleep(1)
        await asyncio.sleep(30)
        assert size(world, USER) < SMALL
        assert {"unreachable"} == {shown(world, each) for each in causes}
        await until(world, lambda: shown(world, causes[-1]) == "ended", 1200)
        assert {"ended"} == {shown(world, each) for each in causes}
        assert size(world, USER) < SMALL

    world = told(story)

    assert len(world.issuers["aws"].acts) < 4


def test_what_is_suspended_by_many_is_given_back_with_the_last() -> None:
    """Those that it named may all be withdrawn while others stand."""

    async def story(world: World) -> None:
        causes = suspends(world, MANY)
        vendor = world.issuers["aws"]
        await until(world, lambda: KEY in vendor.suspended)
        await until(world, lambda: world.planned.issuperset(causes), 60)
        named = world.items()[KEY].causes
        take_back(world, KEY, *named)
        before = world.items()[KEY]
        await asyncio.sleep(30)
        # Not for a moment was it to be given back.
        assert before.changed == world.items()[KEY].changed
        assert states(world)[KEY] is EndingState.ENDED
        assert KEY in vendor.suspended
        rest = [each for each in causes if each not in named]
        take_back(world, KEY, *rest[1:])
        await asyncio.sleep(120)
        assert KEY in vendor.suspended
        assert "ended" == shown(world, rest[0], KEY)
        world.lift(KEY)
        await until(world, lambda: KEY not in vendor.suspended, 60)
        await until(world, lambda: states(world)[KEY] is EndingState.RESTORED, 60)

    told(story)


def test_an_approval_of_any_of_many_counts_up_to_its_time() -> None:
    """Also where its item does not name it."""

    async def story(world: World) -> None:
        world.node(USER, AGENT, alive=True)
        times, causes = [], []
        for _ in range(MANY):
            times.append(world.clock())
            causes.append(mark(world))
            await asyncio.sleep(1)
        await asyncio.sleep(30)
        vendor, among = world.issuers["aws"], MANY // 3
        assert not vendor.acts
        assert causes[among] not in world.items()[USER].concerns
        world.approved["aws"] = frozenset({causes[among]})
        await until(world, lambda: USER in vendor.marks, 60)
        await asyncio.sleep(60)
        assert times[among] == vendor.marks[USER]
        told_of = [shown(world, each) for each in causes]
        done = among + 1
        assert ["ended"] * done + ["pending"] * (MANY - done) == told_of

    told(story, mode="approve")


def test_an_approval_of_one_that_was_withdrawn_lets_nobody_act() -> None:
    """It is of a group of which others stand."""

    async def story(world: World) -> None:
        causes = suspends(world, MANY)
        await until(world, lambda: world.planned.issuperset(causes), 60)
        take_back(world, KEY, causes[3])
        world.approved["aws"] = frozenset({causes[3]})
        await asyncio.sleep(60)
        assert states(world)[KEY] is EndingState.WAITING
        world.approved["aws"] = frozenset(causes[3:5])
        await until(world, lambda: KEY in world.issuers["aws"].suspended, 60)

    told(story, mode="approve")


@pytest.mark.parametrize(("limit", "acts"), [(1, 0), (2, 2)])
def test_many_causes_reach_no_more_than_one_of_them(limit: int, acts: int) -> None:
    """The limit counts what each reaches, named or not."""

    async def story(world: World) -> None:
        causes = [end(world, AGENT, Effect.SUSPEND) for _ in range(MANY)]
        world.node(USER, AGENT, alive=True)
        await until(world, lambda: world.planned.issuperset(causes), 60)
        await asyncio.sleep(60)

    world = told(story, limit=limit)

    assert acts == len(world.issuers["aws"].acts)


def test_a_cause_that_comes_late_is_probed_anew() -> None:
    """However early the time that it gives: an old probe is no proof for it."""

    async def story(world: World) -> None:
        causes = [end(world, KEY, Effect.REVOKE) for _ in range(MANY)]
        await until(world, lambda: world.planned.issuperset(causes), 60)
        await asyncio.sleep(600)
        world.issuers["aws"].alive.add(KEY)  # somebody gave it back
        early = world.accepted[0].received_at
        world.accept(Cause, target=KEY, effect=Effect.REVOKE, at=early - SECOND)
        await until(world, lambda: KEY not in world.issuers["aws"].alive, 60)

    told(story)


def test_whoever_takes_the_work_up_repeats_nothing() -> None:
    """Groups are found anew, and none is forgotten."""

    async def story(world: World) -> None:
        causes = suspends(world, MANY)
        await until(world, lambda: states(world).get(KEY) is EndingState.ENDED)
        await until(world, lambda: world.planned.issuperset(causes), 60)
        before = world.items()
        second = asyncio.create_task(world.rounds().run())
        await asyncio.sleep(120)
        second.cancel()
        assert before == world.items()
        assert {"ended"} == {shown(world, each, KEY) for each in causes}

    world = told(story)

    assert 1 == len(world.issuers["aws"].acts)


def test_what_is_too_large_keeps_nothing_else_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is never planned, so no closure says that it ended."""
    monkeypatch.setattr("streams.services.ending.MOST_KEPT", 3)

    async def story(world: World) -> None:
        causes = suspends(world, 4)
        other = end(world, ALL[0], Effect.SUSPEND)
        await until(world, lambda: states(world).get(ALL[0]) is EndingState.ENDED)
        await until(world, lambda: other in world.planned, 60)
        assert KEY not in world.items()
        assert world.planned.isdisjoint(causes)

    told(story)


def test_the_reach_of_a_group_is_counted() -> None:
    """At its issuer, and without what is left to guards."""
    queue = EndingQueue()
    for name, role in (("k", GroupRole.CARRIED), ("l", GroupRole.BEHIND),
                       ("m", GroupRole.LEFT)):  # fmt: skip
        more = (MoreCauses("g", role, 0),)
        wanted: dict[str, Any] = {"wanted": WantedEnd.SUSPENDED, "more": more}
        for actuator in ("a", "b"):
            key = Identifier("aws.access_key", name)
            queue.put(EndingItem(actuator=actuator, identifier=key, **wanted))
    queue.group(CauseGroups({"x": Membership("g", 0)}, {"g": frozenset()}))

    assert not queue.is_within("a", ["x"], 1)
    assert queue.is_within("a", ["x"], 2)
    assert not queue.is_within("a", ["x", "never heard of"], 0)
    assert queue.ends_by("x")
    queue.drop(next(queue.items()))
    assert queue.is_within("a", ["x"], 1)


def test_a_cause_of_a_group_that_an_item_has_not_is_none_of_it() -> None:
    """Neither is a watermark before what it was issued."""
    more = (MoreCauses("g", GroupRole.CARRIED, 5),)
    item = EndingItem(actuator="a", identifier=KEY, causes=("c",), more=more)

    assert item.naming("x", Membership("other", 9)) is None
    assert item.naming("x", Membership("g", 4)) is None
    assert item.naming("x", None) is None
    assert item is item.naming("c", None)
    named = item.naming("x", Membership("g", 5))
    assert named is not None
    assert ("c", "x") == named.causes
    assert item == EndingItem.load(item.dump())


TARGETS = (USER, KEY, ALL[0])


async def random_orders(world: World, random: Random) -> list[str]:
    """Give and take back orders, more than are named on each target."""
    world.node(USER, AGENT, alive=True)
    given: list[tuple[Identifier, str]] = []
    for _ in range(40):
        name = random.choice(TARGETS)
        if name is USER and random.random() < 0.6:
            given.append((name, mark(world, name)))
        else:
            final = random.random() < 0.02
            effect = Effect.REVOKE if final else Effect.SUSPEND
            given.append((name, end(world, name, effect)))
        if random.random() < 0.2:
            taken = given.pop(random.randrange(len(given)))
            take_back(world, *taken)
        await asyncio.sleep(random.choice((0.0, 0.0, 1.0, 7.0)))
    await asyncio.sleep(400)
    return [cause for _, cause in given]


def answers(seed: int) -> dict[str, tuple[str | None, ...]]:
    """Return what closure says of each cause in the end."""
    found: dict[str, tuple[str | None, ...]] = {}

    async def story(world: World) -> None:
        for cause in await random_orders(world, Random(seed)):
            assert cause in world.planned
            found[cause] = tuple(shown(world, cause, name) for name in (*ALL, USER))

    told(story)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_closure_says_the_same_whether_causes_are_named(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each cause in force, about each name."""
    monkeypatch.setattr(groups, "MOST_NAMED", 2)
    few = answers(seed)
    monkeypatch.setattr(groups, "MOST_NAMED", ALL_BY_NAME)

    assert answers(seed) == few


def test_what_is_limited_is_named() -> None:
    """It does not reach what a later one reaches."""

    async def story(world: World) -> None:
        limited = {"kinds": ("aws.access_key",)}
        given = [
            end(world, AGENT, Effect.SUSPEND, **(limited if each % 2 else {}))
            for each in range(MANY)
        ]
        await until(world, lambda: world.planned.issuperset(given), 60)
        assert world.grouped.keys() <= set(given[::2])
        assert {None} == {shown(world, each, ALL[0]) for each in given[1::2]}

    told(story)


def test_few_are_named_as_they_are() -> None:
    """Nothing is grouped that items can name."""

    async def story(world: World) -> None:
        causes = suspends(world, MOST_NAMED)
        await until(world, lambda: world.planned.issuperset(causes), 60)
        assert not world.grouped
        assert set(causes) == set(world.items()[KEY].causes)

    told(story)
