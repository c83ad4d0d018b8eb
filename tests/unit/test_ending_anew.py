"""What was over once begins anew: another cause, a retry, a lift amid the end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from agents_registry.facts import Effect, fact_id
from streams.model.endings import WantedEnd
from streams.model.times import SECOND
from streams.services.ending_work import MINTS_ON, MOST_ROUNDS
from streams.stages.ending import progress
from streams.stages.ending.items import EndingItem, EndingState
from tests.ending_world import until
from tests.unit.test_ending_rounds import AGENT, KEY, TOKEN, told

if TYPE_CHECKING:
    from tests.ending_world import World

pytestmark = pytest.mark.unit

LATER = 120.0  # longer than a probe is fresh


def last_cause(world: World) -> str:
    """Id of what was accepted last."""
    return fact_id(world.accepted[-1]).hex()


async def ended(world: World) -> None:
    """Wait until the key is ended by the last cause."""
    cause = last_cause(world)

    def proven() -> bool:
        item = world.items().get(KEY)
        return item is not None and (
            cause in item.causes and item.state is EndingState.ENDED
        )

    await until(world, proven)


@pytest.mark.parametrize("effect", [Effect.REVOKE, Effect.SUSPEND])
def test_an_end_of_days_ago_proves_nothing_for_another_cause(effect: Effect) -> None:
    """Somebody made it usable there since: it is probed anew, found alive and ended."""
    again: list[bool] = []

    async def story(world: World) -> None:
        vendor = world.issuers["aws"]
        world.end(KEY, effect)
        await ended(world)
        await asyncio.sleep(LATER)
        vendor.alive.add(KEY)
        vendor.suspended.discard(KEY)
        world.end(AGENT, effect)
        await ended(world)
        again.append(vendor.usable(KEY))

    world = told(story)

    assert [False] == again
    assert 2 == len([name for _, name in world.issuers["aws"].acts if name == KEY])


def test_a_probe_of_a_moment_ago_proves_it_for_another_cause_too() -> None:
    """Else many causes on one tree would probe all of it again, each for itself."""

    async def story(world: World) -> None:
        world.end(KEY)
        await ended(world)
        before = world.items()[KEY].changed
        await asyncio.sleep(5)
        world.end(AGENT)
        await ended(world)
        assert before == world.items()[KEY].changed

    told(story)


def test_an_old_end_is_probed_and_no_act_is_made_where_it_still_holds() -> None:
    """In mode plan too, where no act may be made."""
    before = []

    async def story(world: World) -> None:
        world.issuers["aws"].alive.discard(KEY)
        world.end(KEY)
        await ended(world)
        before.append(world.items()[KEY].changed)
        await asyncio.sleep(LATER)
        world.end(AGENT)
        await ended(world)

    world = told(story, mode="plan")

    assert [] == world.issuers["aws"].acts
    assert world.items()[KEY].changed > before[0] + LATER * SECOND


def test_a_suspend_after_an_old_end_for_good_ends_nothing_for_good() -> None:
    """Its revoke was withdrawn, and somebody made it active again."""

    async def story(world: World) -> None:
        vendor = world.issuers["aws"]
        world.end(KEY)
        await ended(world)
        world.withdraw(KEY)
        await asyncio.sleep(LATER)
        vendor.alive.add(KEY)
        world.end(KEY, Effect.SUSPEND)
        await ended(world)

    world = told(story)

    assert [("ended", KEY), ("suspended", KEY)] == world.issuers["aws"].acts


def test_what_is_given_back_amid_its_end_begins_anew() -> None:
    """Nothing of the end before counts for what comes after the lift.

    A token that was suspended, then ended for good, and asked for what it made: the
    revoke is withdrawn before its issuer told of nothing new.
    """
    item = EndingItem(
        actuator="vault", identifier=TOKEN, causes=("c",), mints=True,
        wanted=WantedEnd.ENDED, suspended=True, state=EndingState.PENDING, rounds=99,
        attempts=3, denied=1, acts=2, acted_at=5, done=True,
    )  # fmt: skip

    back = progress.no_more_condemned(item, 7)

    assert WantedEnd.RESTORED is back.wanted
    assert (0, 0, 0, None, False) == (
        back.rounds, back.attempts, back.denied, back.acted_at, back.done,
    )  # fmt: skip
    assert 2 == back.acts
    assert back.suspended


def test_what_mints_on_is_asked_as_often_again_by_a_retry() -> None:
    """One round more would give it up again at once."""
    item = EndingItem(
        actuator="vault", identifier=TOKEN, mints=True, state=EndingState.FAILED,
        rounds=MOST_ROUNDS, reason=MINTS_ON, attempts=8, denied=3,
    )  # fmt: skip

    again = progress.retried(item, 7)

    assert (EndingState.PENDING, 0, 0, 0, "") == (
        again.state, again.rounds, again.attempts, again.denied, again.reason,
    )  # fmt: skip
