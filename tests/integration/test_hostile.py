"""The run of everything hostile, for a few seconds: it counts, and it sees a fault."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from bench.hostile import measured
from bench.hostile_callers import CALLERS
from bench.hostile_guards import LeaseWatch
from bench.hostile_tally import Tally, lines
from bench.waits import Waits

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    pytest.mark.no_cover,
    pytest.mark.usefixtures("unmeasured"),
]

SECOND = 1_000_000_000


@pytest.mark.long
async def test_every_caller_calls_beside_a_load_and_nothing_is_allowed_late() -> None:
    """At a tiny size; how long leases hold here is for a person to read."""
    tally = await asyncio.to_thread(measured, "tiny", 10, 3)

    assert tally.callers.keys() == CALLERS.keys()
    assert sum(len(each["answers"]) for each in tally.callers.values()) > 0
    assert len(tally.guards) == 2
    assert any(allowed for _, allowed, _ in tally.seen)
    assert (tally.late, tally.unproven) == (0, 0)
    assert "MainThread" in tally.holds
    assert all(row.value for row in lines(tally, ""))


@pytest.mark.campaign
async def test_guards_that_lose_a_cause_are_seen() -> None:
    """Of each ten causes they lose one."""
    tally = await asyncio.to_thread(measured, "tiny", 20, 3, ["bombs"], flaw="forgets")

    assert tally.late > 0
    assert tally.unproven > 0


def test_a_loss_lasts_until_the_lease_is_renewed() -> None:
    """Looks within one loss are one; the next one counts anew."""
    watch = LeaseWatch(0)
    looks = ((1, 3), (2, 3), (4, 3), (5, 3), (6, 9), (10, 9), (12, 14))
    for now, until in looks:
        watch.look(now * SECOND, until * SECOND)

    assert [2.0, 1.0] == watch.losses
    assert [3.0, 9.0] == watch.began
    assert 0 == watch.shortest
    assert 4.0 == watch.pause


def test_a_lease_that_is_held_has_no_loss() -> None:
    """Its shortest rest is told."""
    watch = LeaseWatch(0)
    for now in range(1, 5):
        watch.look(now * SECOND, now * SECOND + SECOND // 2)

    assert [] == watch.losses
    assert 0.5 == watch.shortest


def test_a_loss_within_what_its_processes_waited_for_a_core_is_the_machines() -> None:
    """Of those that prove it any one would have done; a decision point is none."""
    waits = Waits({}, seen=[
        (10.0, {"guards-0": 1.0, "guards-1": 0.0, "ingress": 0.0, "worker": 0.0}),
        (12.0, {"guards-0": 1.3, "guards-1": 9.0, "ingress": 0.9, "worker": 0.2}),
    ])  # fmt: skip
    guard = {
        "process": "guards-0",
        "began": [11.0, 11.0],
        "losses": [0.49, 0.51],
        "why": ["", ""],
    }
    tally = Tally(guards=[guard], waits=waits)
    tally.resident = dict.fromkeys(("ingress", "worker", "pdp-0"), 1)

    assert [True, False] == [each.starved for each in tally.losses]


def test_a_process_that_waits_for_nobody_waits_no_longer() -> None:
    """What is seen of it only grows."""
    waits = Waits({"here": os.getpid(), "gone": 1 << 22})
    waits.look()
    waits.look()

    assert ["here"] == list(waits.between(0.0, time.monotonic()))
    assert 0.0 <= waits.between(0.0, time.monotonic())["here"] < time.monotonic()
