"""What holds a loop is measured to the end of the context, and no further."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from tests import held_loop
from tests.held_loop import Held, watched_loop

pytestmark = pytest.mark.unit


class Spent:
    """CPU time of the one thread, which only `spend` takes."""

    def __init__(self) -> None:
        """Start at none."""
        self.now = 0.0

    def spend(self, seconds: float) -> None:
        """Take some."""
        self.now += seconds


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Spent:
    """Put a clock in place that only moves by hand."""
    spent = Spent()
    clock = SimpleNamespace(thread_time=lambda: spent.now)
    monkeypatch.setattr(held_loop, "time", clock)
    return spent


def seconds(held: Held) -> list[float]:
    """Give what was measured."""
    return list(held.by.values())


async def test_the_callback_that_ends_the_context_counts_up_to_its_end(
    cpu: Spent,
) -> None:
    """It may go on for long, with what nobody wanted to measure."""
    with watched_loop() as held:
        await asyncio.sleep(0)
        cpu.spend(2)
    cpu.spend(20)
    await asyncio.sleep(0)

    assert [2] == seconds(held)


async def test_the_callback_that_enters_the_context_counts_from_there(
    cpu: Spent,
) -> None:
    """Also where it never waits."""
    cpu.spend(20)
    with watched_loop() as held:
        cpu.spend(3)
        await asyncio.sleep(0)
        cpu.spend(2)
    assert [3] == seconds(held)
    with watched_loop() as held:
        cpu.spend(2)

    assert [2] == seconds(held)


async def test_each_callback_counts_by_its_longest_time(cpu: Spent) -> None:
    """Also one that runs beside."""

    async def beside() -> None:
        for time in (2, 4, 1):
            cpu.spend(time)
            await asyncio.sleep(0)

    with watched_loop() as held:
        await asyncio.create_task(beside())

    assert [4] == seconds(held)
