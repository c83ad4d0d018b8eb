"""Watermarks that come faster than an issuer can be asked: each is carried out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import Effect, fact_id
from agents_registry.identifiers import Identifier
from streams.model.times import SECOND
from streams.stages.ending.items import EndingItem, EndingState
from tests.ending_world import ids, until
from tests.unit.test_ending_rounds import AGENT, KEY, USER, marked, states, told

if TYPE_CHECKING:
    from tests.ending_world import World

pytestmark = pytest.mark.unit

SLOW = 0.5  # requests a second: one end takes four
OTHER = Identifier("aws.user", "v")


def mark(world: World, name: Identifier = USER) -> str:
    """End what was issued under a name until now, and return the cause."""
    world.end(name, Effect.NOT_BEFORE, not_before=world.clock())
    return fact_id(world.accepted[-1]).hex()


async def flood(world: World, *names: Identifier, every: float) -> None:
    """Accept a watermark on each, ever again."""
    while True:
        for name in names:
            mark(world, name)
        await asyncio.sleep(every)


async def beside_a_flood(
    world: World, *names: Identifier, every: float = 1.0
) -> asyncio.Task[None]:
    """Begin a flood on users that live."""
    for name in names:
        world.node(name, AGENT, alive=True)
    flooding = asyncio.create_task(flood(world, *names, every=every))
    await until(world, lambda: set(names) <= world.items().keys())
    return flooding


def test_watermarks_without_end_are_carried_out() -> None:
    """Each is done a while after it came, whatever came since."""
    late: list[float] = []

    async def story(world: World) -> None:
        flooding = await beside_a_flood(world, USER)
        for _ in range(3):
            cause, now = mark(world), world.now()
            await until(world, lambda c=cause: shown(world, c) == "ended", 300)
            late.append(world.now() - now)
        flooding.cancel()

    world = told(story, per_second=SLOW)

    assert max(late) < 60
    assert len(world.issuers["aws"].acts) > 3


def shown(world: World, cause: str, name: Identifier = USER) -> str | None:
    """Return what closure of a cause shows of a name."""
    item = world.items().get(name)
    named = item.naming(cause, world.grouped.get(cause)) if item else None
    return named.shown_to(cause) if named else None


def test_a_flood_on_one_name_keeps_no_other_waiting() -> None:
    """Each of two users has its turn."""

    async def story(world: World) -> None:
        flooding = await beside_a_flood(world, USER, OTHER)
        for _ in range(3):
            causes = {name: mark(world, name) for name in (USER, OTHER)}
            for name, cause in causes.items():
                await until(
                    world, lambda n=name, c=cause: shown(world, c, n) == "ended", 300
                )
        flooding.cancel()

    told(story, per_second=SLOW)


def test_a_flood_on_one_name_keeps_the_closure_of_others_open_no_longer() -> None:
    """All that another cause reaches is planned, though more is to be planned ever."""

    async def story(world: World) -> None:
        # At each look somebody works on one of them.
        flooding = await beside_a_flood(world, *ids("aws.user", range(5)))
        await asyncio.sleep(20)
        world.end(KEY)
        cause = fact_id(world.accepted[-1]).hex()
        await until(world, lambda: cause in world.planned, 10)
        await until(world, lambda: states(world).get(KEY) is EndingState.ENDED, 90)
        assert {"aws", "vault"} == world.looked
        flooding.cancel()

    told(story, per_second=SLOW)


def test_a_flood_is_given_up_where_the_issuer_does_nothing() -> None:
    """Attempts count on, so that the suspend behind it is carried out."""

    async def story(world: World) -> None:
        world.issuers["aws"].lies[USER] = 3
        flooding = await beside_a_flood(world, USER)
        world.end(USER, Effect.SUSPEND)
        await until(world, lambda: USER in world.issuers["aws"].suspended, 300)
        flooding.cancel()

    told(story)


def test_a_flood_that_fails_is_told_and_tried_again_later() -> None:
    """Nobody hears of a failure that each later one forgets."""

    async def story(world: World) -> None:
        vendor = world.issuers["aws"]
        vendor.unsure.add(USER)
        flooding = await beside_a_flood(world, USER, every=5.0)
        await until(world, lambda: 2 == world.items()[USER].failures, 600)
        await asyncio.sleep(60)
        assert EndingState.FAILED is states(world)[USER]
        assert "did not end" in world.signals[-1]["detail"]
        vendor.unsure.clear()
        await until(world, lambda: USER in vendor.marks, 600)
        flooding.cancel()
        await until(world, lambda: not world.signals[-1]["detail"], 60)

    told(story, attempts=3)


def test_an_approval_of_one_watermark_lets_no_later_one_act() -> None:
    """What the later one ends may be much more."""

    async def story(world: World) -> None:
        world.node(USER, AGENT, alive=True)
        first = mark(world)
        await until(world, lambda: USER in world.items())
        world.approved["aws"] = frozenset({first})
        await until(world, lambda: states(world)[USER] is EndingState.ENDED)
        later = mark(world)
        await until(world, lambda: states(world)[USER] is EndingState.WAITING, 60)
        await asyncio.sleep(60)
        assert ("ended", "pending") == (shown(world, first), shown(world, later))
        world.approved["aws"] = frozenset({first, later})
        await until(world, lambda: shown(world, later) == "ended", 60)

    world = told(story, mode="approve")

    assert 2 == len(world.issuers["aws"].acts)


def test_a_later_watermark_that_is_withdrawn_leaves_the_one_before_done() -> None:
    """Nothing of it is done again."""

    async def story(world: World) -> None:
        world.node(USER, AGENT, alive=True)
        first = mark(world)
        await until(world, lambda: states(world).get(USER) is EndingState.ENDED)
        world.issuers["aws"].away = (world.now(), world.now() + 60)
        mark(world)
        await until(world, lambda: states(world)[USER] is EndingState.PENDING)
        world.withdraw(USER)
        await until(world, lambda: states(world)[USER] is EndingState.ENDED, 600)
        assert "ended" == shown(world, first)

    world = told(story)

    assert 1 == len(world.issuers["aws"].acts)


@pytest.mark.parametrize("state", EndingState)
def test_what_was_found_done_shows_as_ended_while_a_later_one_is_not(
    state: EndingState,
) -> None:
    """And is read again by whoever takes the work up."""
    given: dict[str, Any] = {"causes": ("later",), "past": ("first",), "state": state}
    item = EndingItem(actuator="a", identifier=USER, not_before=SECOND, **given)

    assert "ended" == item.shown_to("first")
    assert not item.waits_for("first")
    assert item == EndingItem.load(item.dump())


def test_a_word_of_a_person_is_no_proof_of_a_watermark() -> None:
    """What comes later is probed for both."""
    item = EndingItem(
        actuator="a", identifier=USER, not_before=SECOND, causes=("first",),
        state=EndingState.CONFIRMED,
    )  # fmt: skip

    assert not item.is_past("first")


def test_a_suspend_that_waits_behind_a_watermark_is_next_at_once() -> None:
    """Nobody waits for the next look that comes anyway."""
    done: list[float] = []

    async def story(world: World) -> None:
        world.node(USER, AGENT, alive=True)
        marked(world)
        world.end(USER, Effect.SUSPEND)
        await until(world, lambda: USER in world.issuers["aws"].marks)
        begun = world.now()
        await until(world, lambda: USER in world.issuers["aws"].suspended)
        done.append(world.now() - begun)

    told(story)

    assert done[0] < 5


def test_a_watermark_after_a_failure_is_tried_at_once() -> None:
    """The issuer may be well again; who is told of the failure was told."""

    async def story(world: World) -> None:
        vendor = world.issuers["aws"]
        vendor.lies[USER] = 100
        world.node(USER, AGENT, alive=True)
        first = mark(world)
        await until(world, lambda: shown(world, first) == "failed", 600)
        vendor.lies.clear()
        later = mark(world)
        await until(world, lambda: shown(world, later) is not None, 60, every=0.01)
        assert "pending" == shown(world, later)
        await until(world, lambda: shown(world, later) == "ended", 30)
        assert 0 == world.items()[USER].failures

    told(story)


def test_what_was_never_tried_does_not_show_as_failed() -> None:
    """It waits behind what failed."""
    item = EndingItem(
        actuator="a", identifier=USER, not_before=SECOND, causes=("first",),
        behind=("later",), state=EndingState.FAILED,
    )  # fmt: skip

    assert ("failed", "pending") == (item.shown_to("first"), item.shown_to("later"))
