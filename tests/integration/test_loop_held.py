"""No step of the stages holds the event loop, however the lineage is shaped."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import pytest

from agents_registry.facts import Alias, Cause, Edge, Effect, Fact, Node, OwnerSet
from agents_registry.identifiers import Identifier
from streams.stages import dead_bits
from streams.stages.uses import Seen
from streams.turns import in_turns
from tests.held_loop import slowness, watched_loop
from tests.integration.serving import until
from tests.integration.test_stages_loop import S, append, looping, show

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agents_registry.steps import Steps

pytestmark = pytest.mark.integration

# The aim is 20 ms. Steps of the stages take 4 to 15 ms; what is not cut yet, the walk
# up from a use and the writing of what was found, takes up to 80 ms here. What this is
# to catch took 150 to 10,000 ms.
LIMIT: Final = 0.100
USED: Final = 300  # the fact that names what is used: as deep in a chain
ANN: Final = Identifier("person.id", "ann")
SAID: Final[dict[str, Any]] = {"authority": "a", "received_at": S}


def said(number: int) -> dict[str, Any]:
    """Give what each fact carries."""
    return SAID | {"version": S + number}


def names(kind: str, count: int) -> list[Identifier]:
    """Give identifiers."""
    return [Identifier(kind, f"n{number}") for number in range(count)]


def chain(kind: str, count: int, *, upwards: bool = False) -> list[Fact]:
    """Give a chain below one owner, told from its top or from its end."""
    line = names(kind, count)
    edges: list[Fact] = [
        Edge(child=child, parent=parent, **said(0)) for parent, child in pairwise(line)
    ]
    nodes: list[Fact] = [Node(node=each, issued_at=1, **said(0)) for each in line]
    owned = OwnerSet(node=line[0], owners=(ANN,), **said(0))
    return [*nodes, owned, *(reversed(edges) if upwards else edges)]


def aliases(count: int) -> list[Fact]:
    """Give many names of one owned node."""
    line = names("vault.token_hmac", count)
    joined: list[Fact] = [
        Alias(first=line[0], second=other, **said(0)) for other in line[1:]
    ]
    return [OwnerSet(node=line[0], owners=(ANN,), **said(0)), *joined]


def owned(count: int) -> list[Fact]:
    """Give many agents of one owner."""
    return [
        OwnerSet(node=each, owners=(ANN,), **said(0))
        for each in names("agent.id", count)
    ]


WORLDS: Final[dict[str, Callable[[], list[Fact]]]] = {
    "a chain": lambda: chain("vault.accessor", 1500),
    "a chain told from its end": lambda: chain("vault.accessor", 1500, upwards=True),
    "a chain of agents": lambda: chain("agent.id", 1000, upwards=True),
    "many names": lambda: aliases(1000),
    "an owner of many": lambda: owned(3000),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("world", WORLDS)
async def test_no_step_holds_the_loop(world: str, tmp_path: Path) -> None:
    """The facts of a shape, a use, the end of its owner and one more use."""
    facts = WORLDS[world]()
    # One use is judged by one walk up, which is not cut: 10 us for each node above.
    (used,) = fact_names(facts[USED])
    async with looping(tmp_path) as (store, stages):
        with watched_loop() as held:
            for start in range(0, len(facts), 100):
                await append(store, *facts[start : start + 100])
            await until(lambda: stages.idle)
            await show(store, Seen((used,), "door", "allowed", 2 * S, "e1"))
            end = Cause(target=ANN, effect=Effect.REVOKE, at=S, **said(1))
            await append(store, end)
            await until(lambda: stages.idle)
        found = await stages.invalidations(0, 1)

    assert found
    assert held.seconds < LIMIT * slowness(), held


def fact_names(fact: Fact) -> tuple[Identifier, ...]:
    """Give a name that the fact gives to what it speaks of."""
    for field in ("child", "second", "node"):
        name = getattr(fact, field, None)
        if name is not None:
            return (name,)
    return ()


async def test_the_watch_sees_work_that_is_not_cut() -> None:
    """A planted bug: steps without a place to stop."""

    def whole() -> Steps[int]:
        total = 0
        for number in range(3_000_000):
            total += number
        yield
        return total

    with watched_loop() as held:
        await asyncio.sleep(0)  # what runs already is not measured
        await in_turns(whole())

    assert held.seconds > LIMIT


async def test_work_in_steps_lets_others_have_their_turn() -> None:
    """As long as all of it takes, no turn is long."""

    def cut() -> Steps[int]:
        total = 0
        for number in range(600_000):
            total += number
            if not number % 1000:
                yield
        return total

    with watched_loop() as held:
        await asyncio.sleep(0)
        assert sum(range(600_000)) == await in_turns(cut())

    assert held.seconds < LIMIT * slowness()
    assert dead_bits.GROWN_AT_ONCE <= 1000
