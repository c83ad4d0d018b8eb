"""When a guard connects again."""

from __future__ import annotations

import pytest

from enforcement.reconnect import GOING_AWAY, RESTART_PAUSES, Reconnect

pytestmark = pytest.mark.unit


def pauses(reconnect: Reconnect, count: int) -> list[float]:
    """Give the longest that the next pauses may be."""
    return [reconnect.pause(lambda: 1.0) for _ in range(count)]


def test_after_a_restart_was_announced_pauses_stay_short() -> None:
    """A server that is back in two seconds is found within half of one."""
    reconnect = Reconnect()
    reconnect.ended(GOING_AWAY)
    reconnect.proved()
    assert max(pauses(reconnect, 20)) == 1.4

    reconnect = Reconnect()
    reconnect.ended(GOING_AWAY)
    assert pauses(reconnect, 5) == [0.05, 0.1, 0.2, 0.4, 0.5]
    assert max(pauses(reconnect, RESTART_PAUSES - 5)) == 0.5


def test_a_restart_that_does_not_end_is_an_outage_like_any_other() -> None:
    """A thousand guards do not ask twice a second for hours."""
    reconnect = Reconnect()
    reconnect.ended(GOING_AWAY)
    pauses(reconnect, RESTART_PAUSES)
    assert pauses(reconnect, 1) == [1.4]


@pytest.mark.parametrize("code", [None, 1000, 1002, 1006, 1008])
def test_other_ends_announce_nothing(code: int | None) -> None:
    """Such as a connection that never proved anything, or a guard that was refused."""
    reconnect = Reconnect()
    reconnect.ended(code)
    assert max(pauses(reconnect, 10)) == 1.4

    reconnect.proved()
    reconnect.ended(1008 if code in {None, 1006} else code)
    assert max(pauses(reconnect, 10)) == 1.4


@pytest.mark.parametrize("code", [None, 1006])
def test_a_server_that_died_is_taken_for_one_that_restarts(code: int | None) -> None:
    """A process that was killed says nothing, and the next one is there as soon."""
    reconnect = Reconnect()
    reconnect.proved()
    reconnect.ended(code)
    assert max(pauses(reconnect, RESTART_PAUSES)) == 0.5
    assert pauses(reconnect, 1) == [1.4]

    reconnect.ended(code)
    assert max(pauses(reconnect, 10)) == 1.4
