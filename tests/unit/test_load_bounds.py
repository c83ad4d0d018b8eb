"""The load of a fleet ends whatever happens, and its table says what was given up."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from bench.load_allows import Allows
from bench.load_bounds import Restarts, bounded
from bench.load_fleet import Slot
from bench.load_fleet_table import Everywhere, lines
from bench.load_tally import Tally

pytestmark = pytest.mark.unit

LATER = 60.0  # seconds, which no test waits for


def _slot(name: str) -> Slot:
    return Slot("relay", name, (), {}, Path())


def _end_with(log: str) -> None:
    raise ExceptionGroup("parts", [AssertionError(log)])


async def test_a_part_that_fails_or_takes_too_long_is_noted_and_the_next_follows() -> (
    None
):
    """In one line each, whatever a log says."""
    given_up: list[str] = []

    async with bounded(given_up, "declare", 0.001):
        await asyncio.sleep(LATER)
    async with bounded(given_up, "revoke"):
        _end_with("guard-1 ended with 1:\nits log")
    async with bounded(given_up, "ask", LATER):
        pass

    assert [each.partition(":")[0] for each in given_up] == ["declare", "revoke"]
    assert "guard-1 ended with 1" in given_up[1]
    assert not any("\n" in each for each in given_up)


async def test_who_ends_the_load_ends_each_part() -> None:
    """A cancellation is no failure of a part."""
    given_up: list[str] = []

    async def part() -> None:
        async with bounded(given_up, "declare"):
            await asyncio.sleep(LATER)

    task = asyncio.create_task(part())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert given_up == []


async def test_a_process_that_does_not_come_back_keeps_no_other() -> None:
    """It is named, and the others are killed all the same."""
    given_up: list[str] = []
    restarts = Restarts(given_up)
    hangs, fails, other = _slot("hangs"), _slot("fails"), _slot("other")
    hangs.missing = "no lease yet"
    done = []

    async def restart(slot: Slot) -> None:
        if slot is hangs:
            await asyncio.sleep(LATER)
        if slot is fails:
            raise AssertionError("fails ended with 1")
        done.append(slot.name)

    until = time.monotonic() + LATER
    await restarts.each([hangs, fails, other], restart, until, 0.001)
    await restarts.end()

    assert done == ["other"]
    assert given_up[0].startswith("restart fails")
    assert given_up[1:] == ["hangs is not back: no lease yet"]


async def test_nothing_is_killed_once_the_time_is_over() -> None:
    """What was not killed is named."""
    given_up: list[str] = []
    restarts = Restarts(given_up)

    async def restart(_: Slot) -> None:
        pytest.fail("it was killed")

    await restarts.each([_slot("a")], restart, time.monotonic(), LATER)
    await restarts.end()

    assert given_up == ["restart a: no time was left"]


def test_the_table_names_who_is_away_and_what_was_given_up() -> None:
    """Where nothing could be measured each promise is missed, and none is kept."""
    back, away = _slot("relay-0"), _slot("relay-1")
    back.ended.append(2.0)
    found = Everywhere([back, away], Allows(1.0), Tally())
    found.given_up.append("relay-1 is not back: no lease yet")
    found.untaken = 3

    table = list(lines(found, "50/s"))

    (killed,) = (row for row in table if row.what.startswith("killed"))
    assert killed.value == "1, 2.0 s at most (relay-0)"
    assert "not back: relay-1" in killed.peer
    (given_up,) = (row for row in table if row.what.startswith("parts"))
    assert given_up.value == "1, 3"
    assert any("relay-1 is not back" in row.what for row in table)
    assert {row.met for row in table if row.target} == {False}
