"""In mode approve, nothing is ended up to a later time than an approval says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import Cause, Withdraw
from streams.model.times import SECOND
from streams.stages.ending.items import EndingItem, EndingState
from tests.ending_world import BEGIN, until
from tests.unit.test_ending_floods import mark, shown
from tests.unit.test_ending_rounds import AGENT, USER, states, told

if TYPE_CHECKING:
    from tests.ending_world import World

pytestmark = pytest.mark.unit


async def marks(world: World, count: int) -> list[tuple[str, int]]:
    """Declare a user that lives, and end what was issued under it some times."""
    world.node(USER, AGENT, alive=True)
    found = []
    for _ in range(count):
        found.append((mark(world), world.clock()))
        await asyncio.sleep(5)
    return found


def approve(world: World, *causes: str) -> None:
    """Approve causes, and none else."""
    world.approved["aws"] = frozenset(causes)


def withdraw(world: World, cause: str) -> None:
    """Take a cause on the user back."""
    taken: dict[str, Any] = {"fact_id": cause, "kind": Cause.NAME, "target": USER}
    world.accept(Withdraw, **taken)


def is_open(world: World) -> bool:
    """Whether the user is to be ended up to some time."""
    return states(world).get(USER) is EndingState.PENDING


def ended(world: World) -> int | None:
    """Time up to which what was issued under the user is ended (ns)."""
    return world.issuers["aws"].marks.get(USER)


def test_of_two_that_wait_the_approved_one_is_carried_out() -> None:
    """The later one waits behind it, then for its own approval."""

    async def story(world: World) -> None:
        (first, at), (later, then) = await marks(world, 2)
        approve(world, first)
        await until(world, lambda: shown(world, first) == "ended", 60)
        await asyncio.sleep(60)
        assert at == ended(world)
        assert "pending" == shown(world, later)
        approve(world, first, later)
        await until(world, lambda: shown(world, later) == "ended", 60)
        assert then == ended(world)

    told(story, mode="approve")


def test_the_later_one_that_is_approved_carries_out_both() -> None:
    """It wants all of the earlier one too."""

    async def story(world: World) -> None:
        (first, _), (later, then), (last, _) = await marks(world, 3)
        approve(world, later)
        await until(world, lambda: shown(world, later) == "ended", 60)
        await asyncio.sleep(60)
        assert then == ended(world)
        assert ("ended", "pending") == (shown(world, first), shown(world, last))

    told(story, mode="approve")


def test_what_failed_is_not_tried_again_up_to_a_later_time() -> None:
    """However long ago it failed."""

    async def story(world: World) -> None:
        world.issuers["aws"].lies[USER] = 100
        (first, at), = await marks(world, 1)  # fmt: skip
        approve(world, first)
        await until(world, lambda: states(world)[USER] is EndingState.FAILED, 600)
        world.issuers["aws"].lies.clear()
        later = mark(world)
        await asyncio.sleep(600)
        assert (ended(world) or 0) <= at
        assert shown(world, later) == "pending"
        approve(world, first, later)
        await until(world, lambda: shown(world, later) == "ended", 60)

    told(story, mode="approve")


def test_a_withdrawal_lets_no_later_one_act() -> None:
    """The one before it, which is approved too, takes its place."""

    async def story(world: World) -> None:
        world.issuers["aws"].away = (0.0, 200.0)
        (zero, at), (first, _) = await marks(world, 2)
        approve(world, zero, first)
        await until(world, lambda: is_open(world), 60)
        later = mark(world)
        await asyncio.sleep(5)
        withdraw(world, first)
        await until(world, lambda: shown(world, zero) == "ended", 900)
        await asyncio.sleep(60)
        assert at == ended(world)
        assert "pending" == shown(world, later)

    told(story, mode="approve")


def test_a_withdrawal_of_what_was_approved_stops_what_was_not() -> None:
    """Two of one time: an approval ends with its cause, right before an act too."""

    async def story(world: World) -> None:
        world.issuers["aws"].away = (0.0, 200.0)
        world.node(USER, AGENT, alive=True)
        time = world.clock()
        first, other = mark(world), mark(world)
        approve(world, first)
        await until(world, lambda: is_open(world), 60)
        withdraw(world, first)
        await asyncio.sleep(900)
        assert ended(world) is None
        assert "pending" == shown(world, other)
        approve(world, other)
        await until(world, lambda: ended(world) == time, 60)

    told(story, mode="approve")


def test_what_an_earlier_version_let_go_too_far_waits_again() -> None:
    """It was opened for both times by the approval of the first."""

    async def story(world: World) -> None:
        world.issuers["aws"].away = (0.0, 100.0)
        (first, at), (later, then) = await marks(world, 2)
        approve(world, first, later)
        await until(world, lambda: is_open(world), 60)
        assert then == world.items()[USER].not_before
        approve(world, first)  # as if the later one had never been
        await until(world, lambda: shown(world, first) == "ended", 900)
        await asyncio.sleep(60)
        assert at == ended(world)

    world = told(story, mode="approve")

    assert at_most_one_time(world)


def at_most_one_time(world: World) -> bool:
    """Whether acts named one time: that of what was approved."""
    return world.issuers["aws"].marks[USER] < BEGIN + 5 * SECOND


def test_what_another_mode_let_in_waits_from_the_start() -> None:
    """Though it is to be tried much later: nobody would know to approve it."""

    async def story(world: World) -> None:
        world.node(USER, AGENT, alive=True)
        cause, now = mark(world), world.clock()
        item = EndingItem(
            actuator="aws", identifier=USER, not_before=now, causes=(cause,),
            state=EndingState.PENDING, due=now + 3600 * SECOND, changed=now,
        )  # fmt: skip
        world.kept[item.name] = item.dump()
        await asyncio.sleep(60)
        assert EndingState.WAITING is states(world)[USER]

    told(story, mode="approve")
