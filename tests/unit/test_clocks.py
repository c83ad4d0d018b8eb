"""The clocks of a guard: the lease's goes on while the machine sleeps."""

from __future__ import annotations

import importlib
import time
from typing import TYPE_CHECKING

import pytest

from enforcement import clocks

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

SECOND = 1_000_000_000
MONOTONIC, BOOT, REAL = 1, 7, 0  # as Linux numbers them
HOUR = 3600 * SECOND


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[int, int]]:
    """Give the clocks of a machine that can sleep, by number."""
    times = {MONOTONIC: 5 * SECOND, BOOT: 5 * SECOND, REAL: 0}
    monkeypatch.setattr(time, "CLOCK_MONOTONIC", MONOTONIC)
    monkeypatch.setattr(time, "CLOCK_BOOTTIME", BOOT, raising=False)
    monkeypatch.setattr(time, "CLOCK_REALTIME", REAL)
    monkeypatch.setattr(time, "clock_gettime_ns", times.__getitem__)
    monkeypatch.setattr(time, "monotonic_ns", lambda: times[MONOTONIC])
    monkeypatch.setattr(time, "time_ns", lambda: times[REAL])
    yield times
    monkeypatch.undo()
    importlib.reload(clocks)


def test_the_clock_of_the_lease_goes_on_in_suspend(slept: dict[int, int]) -> None:
    """Linux's monotonic clock stands still meanwhile, and a lease would outlive it."""
    importlib.reload(clocks)
    before = clocks.boottime()
    slept[BOOT] += HOUR  # the machine slept

    assert HOUR == clocks.boottime() - before


def test_nobody_sets_the_clock_of_the_lease(slept: dict[int, int]) -> None:
    """And that of expiry is the wall's."""
    importlib.reload(clocks)
    before = clocks.boottime()
    slept[REAL] -= HOUR

    assert 0 == clocks.boottime() - before
    assert -HOUR == clocks.wall()


def test_without_a_clock_of_its_own_the_monotonic_one_counts(
    slept: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On macOS it goes on while the machine sleeps."""
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    importlib.reload(clocks)
    before = clocks.boottime()
    slept[MONOTONIC] += HOUR

    assert HOUR == clocks.boottime() - before
