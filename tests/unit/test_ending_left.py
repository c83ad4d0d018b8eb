"""What an issuer cannot do or show: left to the guards, or confirmed by a person."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from agents_registry.facts import Effect, Node, fact_id
from agents_registry.identifiers import Identifier
from streams.model.times import SECOND
from streams.services import ending
from streams.services.ending_ports import Confirmation
from streams.stages.ending.items import EndingItem, EndingState
from streams.stages.ending.progress import NO_SUSPEND
from tests.ending_world import BEGIN, until
from tests.unit.test_ending_rounds import AGENT, KEY, LEASE, TOKEN, states, told

if TYPE_CHECKING:
    from tests.ending_world import World

pytestmark = pytest.mark.unit

LEFT = EndingState.LEFT
STUCK = Identifier("vault.entity", "e")  # of a kind that the fake has no way for


def last_cause(world: World) -> str:
    """Id of what was accepted last."""
    return fact_id(world.accepted[-1]).hex()


async def left(world: World, name: Identifier) -> EndingItem:
    """Wait until something is left to the guards."""
    await until(world, lambda: states(world).get(name) is LEFT)
    return world.items()[name]


def test_a_suspend_that_the_issuer_cannot_do_is_left_to_the_guards() -> None:
    """It has an item of its own, with the reason; what can be suspended is."""

    async def story(world: World) -> None:
        world.end(AGENT, Effect.SUSPEND)
        item = await left(world, LEASE)
        assert NO_SUSPEND == item.reason
        assert "left_to_guards" == item.shown == item.shown_to(last_cause(world))
        await until(world, lambda: states(world).get(TOKEN) is EndingState.ENDED)

    world = told(story)

    assert ("suspended", TOKEN) in world.issuers["vault"].acts
    assert LEASE not in [name for _, name in world.issuers["vault"].acts]


def test_a_suspend_of_a_kind_without_a_way_is_left_to_the_guards() -> None:
    """A revoke of it has no way there."""

    async def story(world: World) -> None:
        world.accept(Node, node=STUCK)
        world.end(STUCK, Effect.SUSPEND)
        await left(world, STUCK)
        world.end(STUCK)
        await until(world, lambda: states(world)[STUCK] is EndingState.NO_WAY)

    told(story)


def test_what_is_left_stops_with_the_lift_and_ends_with_a_revoke() -> None:
    """Another suspend finds it left again."""

    async def story(world: World) -> None:
        world.end(LEASE, Effect.SUSPEND)
        await left(world, LEASE)
        world.lift(LEASE)
        await until(world, lambda: states(world)[LEASE] is EndingState.STOPPED)
        world.end(TOKEN, Effect.SUSPEND)
        item = await left(world, LEASE)
        assert (last_cause(world),) == item.causes
        world.end(LEASE, Effect.SUSPEND)
        await until(world, lambda: 2 == len(world.items()[LEASE].causes))
        assert LEFT is states(world)[LEASE]
        world.end(LEASE)
        await until(world, lambda: states(world)[LEASE] is EndingState.ENDED)

    world = told(story)

    assert ("ended", LEASE) in world.issuers["vault"].acts


def test_what_is_left_counts_for_no_limit() -> None:
    """Nothing is done there, so nobody has to approve it."""

    async def story(world: World) -> None:
        world.end(AGENT, Effect.SUSPEND)
        await left(world, LEASE)
        await until(world, lambda: states(world).get(TOKEN) is EndingState.ENDED)

    world = told(story, limit=2)  # the token and its child can be suspended

    assert TOKEN in world.issuers["vault"].suspended


def test_a_watermark_shows_beside_a_suspend_that_is_left() -> None:
    """Each cause has its own answer for one name."""
    item = EndingItem(
        actuator="a", identifier=KEY, not_before=5, causes=("mark",), left=("lent",),
        state=EndingState.ENDED,
    )  # fmt: skip

    assert ("ended", "left_to_guards") == (item.shown_to("mark"), item.shown_to("lent"))
    assert not item.waits_for("lent")
    assert {"mark", "lent"} == set(item.concerns)
    assert item == EndingItem.load(item.dump())


async def given_up(world: World) -> EndingItem:
    """Have the end of a key given up."""
    world.issuers["aws"].unsure.add(KEY)
    world.end(KEY)
    await until(world, lambda: states(world).get(KEY) is EndingState.FAILED)
    return world.items()[KEY]


def said(world: World, item: EndingItem, by: str = "ann") -> None:
    """Confirm the end of the key, as it was given up."""
    causes = frozenset(item.causes)
    word = Confirmation(item.changed, causes, by, "deleted in the console")
    world.said["aws"] = {KEY: word}


async def confirmed(world: World) -> None:
    """Have the end of a key given up and confirmed."""
    said(world, await given_up(world))
    await until(world, lambda: states(world)[KEY] is EndingState.CONFIRMED)


def test_an_operator_confirms_what_no_probe_can_tell() -> None:
    """It shows as confirmed by a name, never as ended."""

    async def story(world: World) -> None:
        await confirmed(world)
        item = world.items()[KEY]
        assert ("confirmed", "confirmed by ann: deleted in the console") == (
            item.shown, item.reason,
        )  # fmt: skip
        await until(world, lambda: not world.signals[-1]["detail"])

    told(story)


def test_a_confirmation_says_nothing_of_what_is_given_up_later() -> None:
    """A new cause is probed anew, and its failure needs a word of its own."""

    async def story(world: World) -> None:
        await confirmed(world)
        await asyncio.sleep(120)
        world.end(AGENT)
        await until(world, lambda: states(world)[KEY] is EndingState.FAILED)
        await asyncio.sleep(60)
        assert EndingState.FAILED is states(world)[KEY]

    told(story)


@pytest.mark.parametrize("again", [False, True])
def test_a_confirmation_is_kept_for_as_long_as_its_cause_stands(
    monkeypatch: pytest.MonkeyPatch, *, again: bool
) -> None:
    """No probe would find it again; whoever withdraws the cause ends it."""
    monkeypatch.setattr(ending, "KEPT", 60 * SECOND)

    async def story(world: World) -> None:
        await confirmed(world)
        if again:
            world.withdraw(KEY)
            await until(world, lambda: KEY not in states(world))
            return
        before = world.items()[KEY]
        await asyncio.sleep(200)
        assert before == world.items()[KEY]

    told(story)


@pytest.mark.parametrize("other", [{"changed": BEGIN}, {"causes": ()}])
def test_a_confirmation_of_another_failure_is_none(other: dict[str, Any]) -> None:
    """Nor is one that was given before another cause wanted the same."""

    async def story(world: World) -> None:
        said(world, attrs.evolve(await given_up(world), **other))
        await asyncio.sleep(30)

    assert EndingState.FAILED is states(told(story))[KEY]


def test_what_a_probe_finds_alive_is_not_confirmed() -> None:
    """The issuer says that it is done: nobody's word makes that true."""

    async def story(world: World) -> None:
        world.issuers["aws"].lies[KEY] = 1000
        world.end(KEY)
        await until(world, lambda: states(world).get(KEY) is EndingState.FAILED)
        said(world, world.items()[KEY])
        await asyncio.sleep(30)

    assert EndingState.FAILED is states(told(story))[KEY]


def test_a_lift_ends_a_confirmation() -> None:
    """What comes later is probed, and needs a word of its own."""

    async def story(world: World) -> None:
        world.issuers["aws"].unsure.add(KEY)
        world.end(KEY, Effect.SUSPEND)
        await until(world, lambda: states(world).get(KEY) is EndingState.FAILED)
        item = world.items()[KEY]
        said(world, attrs.evolve(item, suspended=False))
        await until(world, lambda: states(world)[KEY] is EndingState.CONFIRMED)
        world.lift(KEY)
        await until(world, lambda: states(world)[KEY] is not EndingState.CONFIRMED)

    told(story)


@pytest.mark.parametrize("state", EndingState)
def test_only_what_was_given_up_can_be_confirmed(state: EndingState) -> None:
    """What is still tried is told by the probe, and what is to be given back too."""
    given: dict[str, Any] = {"actuator": "a", "identifier": KEY, "state": state}
    back = EndingItem.load(
        EndingItem(**given).dump().replace(b'"wanted":"ended"', b'"wanted":"restored"')
    )

    over = state in (EndingState.FAILED, EndingState.NO_WAY)
    unproven = attrs.evolve(EndingItem(**given), unproven=True)
    assert over is unproven.may_be_confirmed
    assert (state is EndingState.NO_WAY) is EndingItem(**given).may_be_confirmed
    assert not attrs.evolve(unproven, kept="half").may_be_confirmed
    assert not back.may_be_confirmed
