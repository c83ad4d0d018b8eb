"""Turns are measured over all that a loop does in steps, not for each work anew."""

from __future__ import annotations

import asyncio
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from streams.turns import TURN_SECONDS, in_turns

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

    monkeypatch.setattr("streams.turns.time", SimpleNamespace(monotonic=monotonic))
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
