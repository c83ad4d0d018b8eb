"""The schedule of attempts."""

from __future__ import annotations

import pytest

from streams.model.times import SECOND
from streams.stages.notify.retry import ATTEMPTS, HOUR, MINUTE, WAITS, wait

pytestmark = pytest.mark.unit


def test_waits_as_standard_webhooks_says() -> None:
    """0 s, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h: three days."""
    hours = [2, 5, 10, 14, 20, 24]

    assert (
        0, 5 * SECOND, 5 * MINUTE, 30 * MINUTE, *(h * HOUR for h in hours),
    ) == WAITS  # fmt: skip


def test_makes_the_first_attempt_at_once() -> None:
    """No jitter holds back an alert."""
    assert wait("delivery/a/1", 0) == 0


def test_gives_up_after_the_last_attempt() -> None:
    """Ten attempts and no more."""
    waits = [wait("delivery/a/1", made) for made in range(12)]

    assert [None] * 2 == waits[ATTEMPTS:]
    assert None not in waits[:ATTEMPTS]


def test_spreads_deliveries_by_up_to_a_tenth() -> None:
    """Jitter only adds, differs between deliveries, and is the same on a replay."""
    waits = [wait(f"delivery/a/{n}", 2) for n in range(200)]

    assert waits == [wait(f"delivery/a/{n}", 2) for n in range(200)]
    numbers = [w for w in waits if w is not None]
    assert min(numbers) >= 5 * MINUTE
    assert max(numbers) < 5 * MINUTE * 1.1
    assert max(numbers) - min(numbers) > 20 * SECOND


def test_is_patient_when_asked() -> None:
    """Retry-After lengthens a wait, never shortens it, and not beyond a day."""
    assert wait("d", 1, retry_after=HOUR) == HOUR
    assert wait("d", 1, retry_after=SECOND) == wait("d", 1)
    assert wait("d", 1, retry_after=10**6 * HOUR) == 24 * HOUR
