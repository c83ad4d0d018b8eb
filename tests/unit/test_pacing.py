"""How far behind guards may be: less where they are slow."""

from __future__ import annotations

import asyncio

import pytest

from streams.http.pacing import FIRST, LEAST, Pace
from tests.virtual import VirtualLoop, run

pytestmark = pytest.mark.unit

LEASE = 1.0
QUARTER = LEASE / 4


async def told(pace: Pace, guard: str, *applied: int) -> None:
    """Have a guard say how far it is, once in a quarter of a lease."""
    for each in applied:
        pace.hear(guard, each)
        await asyncio.sleep(QUARTER)


def test_less_comes_while_a_guard_lags_by_more_than_a_ping() -> None:
    """Down to a bound; and more again once none is slow and more is wanted."""

    async def play(_: VirtualLoop) -> None:
        end = 10_000
        pace = Pace(lambda: end, LEASE)
        await told(pace, "slow", *range(0, 2000, 100))
        assert LEAST == pace.behind

        await told(pace, "slow", *[10_000] * 40)
        assert LEAST == pace.behind
        end += LEAST + 1
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(enter(pace))
            await told(pace, "slow", 10_000, end)
        assert 2 * LEAST == pace.behind

    run(play)


def test_a_guard_that_stands_still_slows_no_import() -> None:
    """It may be a subscriber that means harm."""

    async def play(_: VirtualLoop) -> None:
        pace = Pace(lambda: 10_000, LEASE)
        await told(pace, "still", *[5] * 20)
        assert FIRST == pace.behind

    run(play)


async def enter(pace: Pace) -> None:
    """Write a fact once there is room for it."""
    async with pace.room(1):
        pass
