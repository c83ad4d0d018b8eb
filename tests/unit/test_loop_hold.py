"""How long event loops are held is measured where they turn."""

from __future__ import annotations

import asyncio
import time

import pytest

from streams.process.loop_hold import PERIOD, LoopHold

pytestmark = pytest.mark.unit

HELD = 0.2  # seconds of work without a pause


def seconds(held: LoopHold, loop: str) -> float:
    """Give by how much its timers were late, all together."""
    return sum(
        sample.value
        for family in held.collect()
        for sample in family.samples
        if sample.name.endswith("_sum") and sample.labels["loop"] == loop
    )


async def test_work_that_holds_the_loop_is_told() -> None:
    """A timer that was due meanwhile is late by what is left of the work."""
    held = LoopHold("analysis")
    watching = asyncio.create_task(held.watch("analysis"))
    await asyncio.sleep(0)
    until = time.monotonic() + HELD
    while time.monotonic() < until:
        pass
    for _ in range(3):  # turns: the timer is due, it wakes the task, the task tells
        await asyncio.sleep(0)
    watching.cancel()

    assert HELD - 2 * PERIOD < seconds(held, "analysis")
    assert seconds(held, "main") == 0
