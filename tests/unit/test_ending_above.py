"""A token that has no door of its own ends with what it requires, if that ends too."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from agents_registry.facts import Cause, Edge, Effect, Node
from agents_registry.identifiers import Identifier
from streams.model.endings import Alive, Ending, EndTarget, Probed, WantedEnd
from streams.stages.ending.items import EndingState
from tests import ending_world, virtual
from tests.ending_world import FakeActuator, World, until

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

AGENT = Identifier("agent.id", "planner")
MAKER = Identifier("vault.accessor", "maker")
OTHER = Identifier("vault.accessor", "other")
TOKEN = Identifier("vault.lease", "token")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[EndTarget]:
    """Give what is asked about a token, which is dead with what is above it."""
    found: list[EndTarget] = []
    probe = FakeActuator.probe

    async def probed(self: FakeActuator, target: EndTarget) -> Probed:
        if target.identifier != TOKEN:
            return await probe(self, target)
        found.append(target)
        over = [one for one in target.above if one.identifier not in self.issuer.alive]
        return Probed(Alive.DEAD if over else Alive.UNKNOWN, "by what it requires")

    monkeypatch.setattr(FakeActuator, "probe", probed)
    own = {
        "vault.accessor": Ending("revoke", dated=True),
        "vault.lease": Ending("with what it requires", above=True),
    }
    monkeypatch.setattr(ending_world, "KINDS", own)
    return found


def told(accept: Callable[[World], None], *ended: Identifier) -> World:
    """End something in a world in which a token requires two makers."""

    async def main(loop: virtual.VirtualLoop) -> World:
        world = World(loop, Random(1))
        world.issuer("vault", attempts=3)
        world.accept(Node, node=AGENT)
        for name in (MAKER, OTHER):
            world.node(name, AGENT, alive=True)
        world.node(TOKEN, MAKER, alive=True)
        world.accept(Edge, child=TOKEN, parent=OTHER)
        accept(world)
        working = asyncio.create_task(world.rounds().run())
        await until(world, lambda: done(world, *ended))
        working.cancel()
        return world

    world: World = virtual.run(main)
    return world


def done(world: World, *names: Identifier) -> bool:
    """Whether these are ended or given up."""
    items = world.items()
    return all(
        name in items and items[name].state in (EndingState.ENDED, EndingState.FAILED)
        for name in names
    )


def test_it_is_dead_with_what_ends_above_it(asked: list[EndTarget]) -> None:
    """What lives there is not asked about, nor what no issuer ends."""
    world = told(lambda world: world.end(MAKER), MAKER, TOKEN)
    assert EndingState.ENDED is world.items()[TOKEN].state
    above = {evolve(one, seen=False) for target in asked for one in target.above}
    assert {EndTarget(MAKER)} == above
    assert [("ended", MAKER)] == world.issuers["vault"].acts


def test_it_is_dead_with_any_of_them(asked: list[EndTarget]) -> None:
    """Both are named where both end."""
    told(lambda world: world.end(AGENT), MAKER, OTHER, TOKEN)
    assert {MAKER, OTHER} == {one.identifier for one in asked[-1].above}
    assert all(one.wanted is WantedEnd.ENDED for one in asked[-1].above)


def test_it_is_named_where_nothing_above_ends(asked: list[EndTarget]) -> None:
    """Its own end is no end at the issuer."""
    world = told(lambda world: world.end(TOKEN), TOKEN)
    assert EndingState.FAILED is world.items()[TOKEN].state
    assert {()} == {target.above for target in asked}
    assert [] == world.issuers["vault"].acts


def test_a_suspend_above_proves_no_end_for_good(
    asked: list[EndTarget], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lift gives back what it took, and the token with it."""
    kinds = ending_world.KINDS | {"vault.accessor": Ending("revoke", suspends=True)}
    monkeypatch.setattr(ending_world, "KINDS", kinds)

    def accept(world: World) -> None:
        world.end(MAKER, Effect.SUSPEND)
        world.end(TOKEN)

    world = told(accept, TOKEN)
    assert EndingState.FAILED is world.items()[TOKEN].state
    assert {()} == {target.above for target in asked}


def test_what_is_above_has_what_is_above_it(
    asked: list[EndTarget], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where both have no door of their own; and no further than some steps."""
    one = Ending("with what it requires", above=True, dated=True)
    monkeypatch.setattr(
        ending_world, "KINDS", {"vault.accessor": one, "vault.lease": one}
    )

    def accept(world: World) -> None:
        for number in range(4):
            above = MAKER if not number else Identifier("vault.accessor", f"{number}")
            child = Identifier("vault.accessor", f"{number + 1}")
            world.accept(Edge, child=above, parent=child)
        world.end(Identifier("vault.accessor", "4"))

    told(accept, TOKEN)
    (found,) = asked[-1].above
    depth = 1
    while found.above:
        (found,), depth = found.above, depth + 1
    assert (MAKER, 3) == (asked[-1].above[0].identifier, depth)


def test_what_was_acted_on_was_found_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Right behind the act its name missing in a list is its end, and no doubt."""
    found: list[bool] = []
    probe = FakeActuator.probe

    async def probed(self: FakeActuator, target: EndTarget) -> Probed:
        found.append(target.seen)
        return await probe(self, target)

    monkeypatch.setattr(FakeActuator, "probe", probed)
    told(lambda world: world.end(MAKER), MAKER)
    assert [False, True] == found[:2]


@pytest.mark.parametrize("later", [False, True])
def test_what_was_issued_later_does_not_end_with_it(
    asked: list[EndTarget], *, later: bool
) -> None:
    """The end of all up to a time proves nothing of a token from after that time."""

    def accept(world: World) -> None:
        now, until = world.clock(), world.clock() - later
        ended = {"target": MAKER, "effect": Effect.NOT_BEFORE, "not_before": until}
        world.accept(Cause, at=now, **ended)
        world.end(TOKEN)

    told(accept, TOKEN, *(() if later else (MAKER,)))
    above: set[Any] = {one.identifier for target in asked for one in target.above}
    assert above == (set() if later else {MAKER})
