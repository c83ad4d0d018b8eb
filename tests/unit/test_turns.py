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
from streams.process.turns import TRIES, TURN_SECONDS, in_turns, undisturbed

if TYPE_CHECKING:
    from agents_registry.steps import Steps

pytestmark = pytest.mark.unit

WORKS = 50


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
    monkeypatch.setattr("streams.process.turns.time", clock_of_tests)
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


@pytest.mark.parametrize("disturbed", [0, 2, TRIES + 1])
async def test_a_walk_is_done_again_where_facts_came_meanwhile(disturbed: int) -> None:
    """Also where that tore it; and in one go where they always come."""
    registry, walks = Registry(), [0]

    def merge() -> None:
        name = Identifier("vault.accessor", f"{len(registry.lineage)}")
        registry.apply(Node(node=name, authority="a", version=1, received_at=1))

    def walk() -> Steps[int]:
        walks[0] += 1
        before = len(registry.lineage)
        if walks[0] <= min(disturbed, TRIES):
            asyncio.get_running_loop().call_soon(merge)
        while walks[0] <= min(disturbed, TRIES) and before == len(registry.lineage):
            yield
        if walks[0] == 1 and disturbed:
            raise KeyError(before)
        return len(registry.lineage)

    assert min(disturbed, TRIES) == await undisturbed(registry, walk)
    assert min(disturbed, TRIES) + 1 == walks[0]
