"""Turns are measured over all that a loop does in steps, not for each work anew."""

from __future__ import annotations

import asyncio
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from agents_registry.facts import Node
from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from enforcement import turns
from enforcement.turns import (
    TRIES,
    TURN_SECONDS,
    in_turns,
    resting_tables,
    undisturbed,
)

if TYPE_CHECKING:
    from agents_registry.steps import Steps

pytestmark = pytest.mark.unit

WORKS = 50
STEPS = 200
DEADLINE = 60.0


def short() -> Steps[int]:
    """Work that is over before a turn is."""
    yield
    return 1


async def test_short_works_in_a_row_do_not_hold_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each takes a quarter of a turn, and none of them waits for anything."""
    clock = count()

    def monotonic() -> float:
        return next(clock) * TURN_SECONDS / 4

    clock_of_tests = SimpleNamespace(monotonic=monotonic)
    monkeypatch.setattr("enforcement.turns.time", clock_of_tests)
    had = [0]

    async def other() -> None:
        while True:
            had[0] += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    done = [await in_turns(short()) for _ in range(WORKS)]
    beside.cancel()

    assert WORKS == sum(done)
    assert had[0] >= WORKS // 5


async def busy(registry: Registry, merged: asyncio.Event) -> None:
    """Merge facts for ever, one at each turn of the loop, as the stages do."""
    for number in count():
        async with resting_tables():
            name = Identifier("vault.accessor", f"{number}")
            registry.apply(Node(node=name, authority="a", version=1, received_at=1))
            merged.set()
        await asyncio.sleep(0)


async def test_however_many_works_there_are_one_has_a_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the turn of the loop were as long as there are works."""
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.0)
    done, most, had = [0], [0], [0]

    def work() -> Steps[None]:
        for _ in range(10):
            done[0] += 1
            yield

    async def other() -> None:
        before = 0
        while True:
            had[0] += 1
            await asyncio.sleep(0)
            most[0], before = max(most[0], done[0] - before), done[0]

    works = [in_turns(work()) for _ in range(WORKS)]
    beside = asyncio.create_task(other())
    begun = asyncio.gather(*works)
    await asyncio.sleep(0)  # each has begun
    await asyncio.sleep(0)
    most[0] = 0
    await begun
    beside.cancel()
    assert 10 * WORKS == done[0]
    assert 1 == most[0]


@pytest.mark.parametrize("error", [KeyError, RuntimeError, ValueError])
@pytest.mark.parametrize("disturbed", [0, 1, TRIES])
async def test_a_walk_is_done_again_where_facts_came_meanwhile(
    disturbed: int, error: type[Exception]
) -> None:
    """Also where that tore it."""
    registry, walks = Registry(), [0]

    def merge() -> None:
        name = Identifier("vault.accessor", f"{len(registry.lineage)}")
        registry.apply(Node(node=name, authority="a", version=1, received_at=1))

    def walk() -> Steps[int]:
        walks[0] += 1
        before = len(registry.lineage)
        if walks[0] <= disturbed:
            asyncio.get_running_loop().call_soon(merge)
        while walks[0] <= disturbed and before == len(registry.lineage):
            yield
        if walks[0] == 1 and disturbed:
            raise error(before)
        return len(registry.lineage)

    assert disturbed == await undisturbed(registry, walk)
    assert disturbed + 1 == walks[0]


async def test_a_walk_that_is_always_disturbed_has_facts_wait_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It ends on a table that stood still, and others have all their turns."""
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.0)
    registry, seen, had, merged = Registry(), list[int](), [0], asyncio.Event()

    def walk() -> Steps[list[int]]:
        seen.clear()
        had[0] = 0
        for _ in range(STEPS):
            seen.append(registry.changes)
            yield
        return seen

    async def other() -> None:
        while True:
            had[0] += 1
            await asyncio.sleep(0)

    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        beside = [tasks.create_task(busy(registry, merged)), tasks.create_task(other())]
        await merged.wait()
        found = await undisturbed(registry, walk)
        merged.clear()
        await merged.wait()  # facts go on
        for each in beside:
            each.cancel()
    assert STEPS == len(found)
    assert 1 == len({*found})
    assert had[0] >= STEPS


async def test_facts_wait_for_one_walk_however_many_are_disturbed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Many callers may ask for large lineages at once; none of that costs a lease."""
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.0)
    registry, began, done = Registry(), asyncio.Event(), [0]

    async def ask() -> None:
        tried = count()

        def walk() -> Steps[None]:
            if next(tried) < TRIES:
                raise LookupError  # disturbed
            began.set()
            for _ in range(STEPS):
                yield
            done[0] += 1

        await undisturbed(registry, walk)

    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        for _ in range(WORKS):
            tasks.create_task(ask())
        await began.wait()
        before = done[0]
        async with resting_tables():
            waited_for = done[0] - before
    assert waited_for <= 1
    assert WORKS == done[0]
