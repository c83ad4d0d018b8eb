"""What is ended without an approval: the limit counts all that a cause reaches."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest

from agents_registry.facts import Effect, Node
from agents_registry.identifiers import Identifier
from streams.stages.ending import groups
from streams.stages.ending.groups import (
    CauseGroups,
    GroupRole,
    Membership,
    MoreCauses,
)
from streams.stages.ending.items import EndingItem, EndingState
from streams.stages.ending.queue import EndingQueue
from tests import virtual
from tests.ending_world import World, ids, until
from tests.unit.test_ending_groups import ALL_BY_NAME, end, take_back
from tests.unit.test_ending_rounds import AGENT, ALL, KEY, TOKEN, states, told

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

pytestmark = pytest.mark.unit

LIMIT = 10
TOKENS = ids("vault.accessor", range(LIMIT + 1))


def told_of_tokens(story: Callable[[World], Coroutine[Any, Any, None]]) -> World:
    """Run a story of an agent with one token more than the limit, slow to end."""

    async def main(loop: virtual.VirtualLoop) -> World:
        world = World(loop, Random(3))
        world.issuer("vault", limit=LIMIT)
        world.issuers["vault"].slow = 5.0
        world.accept(Node, node=AGENT)
        for name in TOKENS:
            world.node(name, AGENT, alive=True)
        working = asyncio.create_task(world.rounds().run())
        try:
            await story(world)
        finally:
            working.cancel()
        return world

    world: World = virtual.run(main)
    return world


def test_what_is_rehearsed_meanwhile_counts_for_the_limit() -> None:
    """A second cause reaches it too, although it does not name it yet."""

    async def story(world: World) -> None:
        end(world, AGENT, Effect.REVOKE)
        await until(world, lambda: len(states(world)) == len(TOKENS), 3)
        await asyncio.sleep(2)
        end(world, AGENT, Effect.REVOKE)
        for _ in range(600):  # not for a moment may one be acted on
            await asyncio.sleep(0.1)
            assert {EndingState.WAITING} == set(states(world).values())
        assert {2} == {len(each.causes) for each in world.items().values()}

    world = told_of_tokens(story)

    assert not world.issuers["vault"].acts


def test_a_small_cause_acts_beside_a_rehearsal() -> None:
    """What is taken counts as one, and no more."""

    async def story(world: World) -> None:
        end(world, AGENT, Effect.REVOKE)
        await asyncio.sleep(3)
        end(world, TOKENS[0], Effect.REVOKE)
        ended = EndingState.ENDED
        await until(world, lambda: states(world).get(TOKENS[0]) is ended, 300)

    world = told_of_tokens(story)

    assert [("ended", TOKENS[0])] == world.issuers["vault"].acts


def test_what_a_look_cannot_keep_counts_for_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As what somebody began to work on while it was looked at."""
    monkeypatch.setattr("streams.services.ending.MOST_KEPT", 3)
    other = Identifier("aws.access_key", "other")

    async def story(world: World) -> None:
        world.node(other, AGENT, alive=True)
        for _ in range(4):
            end(world, KEY, Effect.SUSPEND)  # too many to be kept
        await asyncio.sleep(1)
        end(world, AGENT, Effect.SUSPEND)
        await until(world, lambda: other in states(world))
        await asyncio.sleep(60)
        assert KEY not in states(world)
        assert EndingState.WAITING is states(world)[other]

    world = told(story, limit=1)

    assert not world.issuers["aws"].acts


@pytest.mark.parametrize("effect", [Effect.REVOKE, Effect.SUSPEND])
def test_names_of_an_earlier_version_count_for_the_limit(
    effect: Effect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It kept each cause by its name, and had no groups."""
    monkeypatch.setattr(groups, "MOST_NAMED", ALL_BY_NAME)

    async def main(loop: virtual.VirtualLoop) -> World:
        world = World(loop, Random(1))
        world.issuer("vault", limit=1)
        world.accept(Node, node=AGENT)
        for name, parent in zip(ALL[:3], (AGENT, TOKEN, TOKEN), strict=True):
            world.node(name, parent, alive=True)
        before = asyncio.create_task(world.rounds().run())
        causes = [end(world, AGENT, effect) for _ in range(20)]
        await until(world, lambda: world.planned.issuperset(causes), 60)
        assert set(causes) == set(world.items()[TOKEN].causes)
        before.cancel()
        monkeypatch.setattr(groups, "MOST_NAMED", 16)
        after = asyncio.create_task(world.rounds().run())
        await asyncio.sleep(120)
        after.cancel()
        return world

    world: World = virtual.run(main)

    assert not world.issuers["vault"].acts
    assert EndingState.WAITING is states(world)[TOKEN]


def test_what_let_it_act_is_asked_for_before_the_act() -> None:
    """A small cause is withdrawn, and another one, that needs an approval, stands."""

    async def story(world: World) -> None:
        vendor = world.issuers["aws"]
        vendor.away = (world.now(), world.now() + 60)
        small = end(world, KEY, Effect.REVOKE)
        await until(world, lambda: states(world).get(KEY) is EndingState.PENDING)
        for name in ids("aws.access_key", range(3)):
            world.node(name, AGENT, alive=True)
        large = end(world, AGENT, Effect.REVOKE)
        await until(world, lambda: large in world.planned)
        take_back(world, KEY, small)
        world.ends_by(AGENT, {Effect.REVOKE})
        await asyncio.sleep(600)
        assert not vendor.acts
        assert EndingState.WAITING is states(world)[KEY]
        assert "more than the limit" in world.items()[KEY].reason
        world.approved["aws"] = frozenset({large})
        await until(world, lambda: states(world)[KEY] is EndingState.ENDED)

    told(story, limit=2)


def test_a_cause_is_small_once_a_look_knows_all_that_it_reaches() -> None:
    """Until then nothing is known of it; what it does not reach, it does not end."""
    queue = EndingQueue()
    key = Identifier("aws.access_key", "k")
    queue.put(EndingItem(actuator="a", identifier=key, causes=("c",)))

    assert not queue.is_within("a", ["c"], 9)
    assert queue.may_be_within("a", ["c"], 9)

    more = frozenset({("a", TOKEN), ("b", KEY), ("a", key)})
    queue.look_through({"c": more, "none": frozenset()})
    assert not queue.is_within("a", ["c"], 1)
    assert queue.is_within("a", ["c"], 2)
    assert not queue.is_within("a", ["none"], 9)


def test_a_group_counts_as_the_causes_that_are_named() -> None:
    """They reach the same, and an item may name one and not have the group yet."""
    queue = EndingQueue()
    more = MoreCauses("g", GroupRole.CARRIED, 0)
    for name, by in (("k", ("c", "x")), ("l", ("c", "x")), ("m", ())):
        key = Identifier("aws.access_key", name)
        has = () if by else (more,)
        queue.put(EndingItem(actuator="a", identifier=key, causes=by, more=has))
    queue.group(CauseGroups({"x": Membership("g", 0)}, {"g": frozenset({"c"})}))

    assert not queue.is_within("a", ["x"], 3)
    queue.look_through({"c": frozenset()})
    assert not queue.is_within("a", ["x"], 2)
    assert queue.is_within("a", ["x"], 3)
