"""Health of a stage: what turns but does not move is not well."""

from __future__ import annotations

import pytest

from streams.kafka.progress import STILL_SECONDS, Progress

pytestmark = pytest.mark.unit


def turned(progress: Progress, now: float, *, lag: int, position: int) -> None:
    """Let a stage tell of a turn."""
    progress.turn(
        now=now, assigned=1, ready=True, lag=lag, waiting=0, positions={0: position}
    )


def test_is_live_while_it_turns_without_lag() -> None:
    """A stage with nothing to do is well as long as its loop turns."""
    progress = Progress()
    turned(progress, 100.0, lag=0, position=5)
    assert progress.live(100.0 + STILL_SECONDS - 1)
    assert not progress.live(100.0 + STILL_SECONDS + 1)


def test_a_lag_without_a_step_forward_is_not_well() -> None:
    """A loop that turns forever on the same position is found out."""
    progress = Progress()
    turned(progress, 100.0, lag=3, position=5)
    for second in range(1, int(STILL_SECONDS) + 2):
        turned(progress, 100.0 + second, lag=3, position=5)
    assert not progress.live(101.0 + STILL_SECONDS)
    turned(progress, 102.0 + STILL_SECONDS, lag=2, position=6)
    assert progress.live(102.0 + STILL_SECONDS)
