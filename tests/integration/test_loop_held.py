"""No step of the stages holds the event loop, however the lineage is shaped.

The attacks: deep chains below one owner, told from the top or from the end; chains of
agents; many names of one node; very many agents of one owner; a chain of which each
was signed out; a credential that was suspended and that lifted again and again. Each
is told while the stages run. Then its deepest part is used, its owner is ended, what
was used is listed and judged again, and it is used once more.
"""

from __future__ import annotations

import asyncio
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from agents_registry.facts import Alias, Cause, Edge, Effect, Fact, Lift, Node, OwnerSet
from agents_registry.identifiers import Identifier
from enforcement.turns import in_turns
from streams.stages.access.uses import AccessEvent
from streams.stages.sentinel import node_prints
from tests.campaigns import some
from tests.held_loop import REPEATS, least_held
from tests.integration.serving import listed, until
from tests.integration.test_stages_loop import S, append, looping, show

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.steps import Steps

pytestmark = pytest.mark.integration

# The rule. It is held in CPU time of the loop's thread: on the clock of the wall a
# loaded machine would hold the loop by itself.
LIMIT: Final = 0.020
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


def signed_out(count: int) -> list[Fact]:
    """Give a chain of which each was signed out, the top first."""
    line = names("vault.accessor", count)
    outs = [
        Cause(target=each, effect=Effect.NOT_BEFORE, at=S + number, **said(number))
        for number, each in enumerate(line)
    ]
    return [*chain("vault.accessor", count), *outs]


def lifted(count: int) -> list[Fact]:
    """Give a credential that was suspended, and that lifted, again and again."""
    top, _ = names("vault.accessor", 2)
    pairs: list[Fact] = [*chain("vault.accessor", 2)]
    for number in range(0, 2 * count, 2):
        suspended = Cause(target=top, effect=Effect.SUSPEND, at=S, **said(number))
        pairs += [suspended, Lift(target=top, **said(number + 1))]
    return pairs


# The deepest of each.
USED: Final = {
    "a chain": Identifier("vault.accessor", "n1999"),
    "a chain told from its end": Identifier("vault.accessor", "n1999"),
    "a chain of agents": Identifier("agent.id", "n999"),
    "many names": Identifier("vault.token_hmac", "n1999"),
    "an owner of many": Identifier("agent.id", "n2999"),
    "a chain that is signed out": Identifier("vault.accessor", "n599"),
    "suspended and lifted": Identifier("vault.accessor", "n1"),
}
WORLDS: Final[dict[str, Callable[[], list[Fact]]]] = {
    "a chain": lambda: chain("vault.accessor", 2000),
    "a chain told from its end": lambda: chain("vault.accessor", 2000, upwards=True),
    "a chain of agents": lambda: chain("agent.id", 1000, upwards=True),
    "many names": lambda: aliases(2000),
    "an owner of many": lambda: owned(3000),
    "a chain that is signed out": lambda: signed_out(600),
    "suspended and lifted": lambda: lifted(1000),
}


# The others are chains too, or cost half a minute.
QUICK: Final = ("a chain", "many names", "an owner of many", "suspended and lifted")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("world", some(WORLDS, QUICK, pytest.mark.long))
async def test_no_step_holds_the_loop(world: str, tmp_path: Path) -> None:
    """The facts of a shape, a use, the end of its owner and one more use."""
    facts = WORLDS[world]()
    used = USED[world]

    async def tell() -> None:
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        async with looping(folder) as (store, stages):
            for start in range(0, len(facts), 50):  # the appending loop is the same
                await append(store, *facts[start : start + 50])
            await until(lambda: stages.idle)
            await show(store, AccessEvent((used,), "door", "allowed", 2 * S, "e1"))
            end = Cause(target=ANN, effect=Effect.REVOKE, at=S, **said(1))
            await append(store, end)
            await until(lambda: stages.idle)
            await show(store, AccessEvent((used,), "door", "allowed", 2 * S + 1, "e2"))
            await until(lambda: stages.idle)
            assert await listed(store)

    held = await least_held(tell, LIMIT)

    assert held.seconds < LIMIT, held


def computing(numbers: int, *, between: int) -> Steps[int]:
    """Add numbers, with a place to stop after so many."""
    total = 0
    for number in range(numbers):
        total += number
        if not number % between:
            yield
    return total


async def test_the_watch_sees_work_that_is_not_cut() -> None:
    """A planted bug: steps without a place to stop, beside some that have it."""
    done: list[int] = []

    async def whole() -> None:
        await in_turns(computing(600_000, between=1000))
        done.append(await in_turns(computing(1_000_000, between=10**9)))

    async def work() -> None:
        await asyncio.create_task(whole())

    held = await least_held(work, LIMIT)

    assert REPEATS == len(done)
    assert held.seconds > LIMIT, held


async def test_what_is_long_once_is_noise() -> None:
    """Whichever callback it falls on, and in all repeats but one."""
    done: list[int] = []

    async def disturbed() -> None:
        rest = REPEATS - 1 - len(done)
        done.append(await in_turns(computing(1 + 1_000_000 * rest, between=10**9)))

    async def work() -> None:
        await asyncio.create_task(disturbed())

    assert (await least_held(work, LIMIT)).seconds < LIMIT
    assert 1 < len(done) <= REPEATS


async def test_work_in_steps_lets_others_have_their_turn() -> None:
    """As long as all of it takes, no turn is long."""

    async def cut() -> None:
        assert sum(range(600_000)) == await in_turns(computing(600_000, between=1000))

    async def work() -> None:
        await asyncio.create_task(cut())

    assert (await least_held(work, LIMIT)).seconds < LIMIT
    assert node_prints.GROWN_AT_ONCE <= 1000
