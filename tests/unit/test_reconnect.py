"""When a guard connects again, and how long an attempt may take."""

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
    assert max(pauses(reconnect, 20)) == 2.0

    reconnect = Reconnect()
    reconnect.ended(GOING_AWAY)
    assert pauses(reconnect, 5) == [0.05, 0.1, 0.2, 0.4, 0.5]
    assert max(pauses(reconnect, RESTART_PAUSES - 5)) == 0.5


def test_a_restart_that_does_not_end_is_an_outage_like_any_other() -> None:
    """A thousand guards do not ask twice a second for hours."""
    reconnect = Reconnect()
    reconnect.ended(GOING_AWAY)
    pauses(reconnect, RESTART_PAUSES)
    assert pauses(reconnect, 1) == [2.0]


@pytest.mark.parametrize("code", [None, 1000, 1002, 1006, 1008])
def test_other_ends_announce_nothing(code: int | None) -> None:
    """Such as a connection that never proved anything, or a guard that was refused."""
    reconnect = Reconnect()
    reconnect.ended(code)
    assert max(pauses(reconnect, 10)) == 2.0

    reconnect.proved()
    reconnect.ended(1008 if code in {None, 1006} else code)
    assert max(pauses(reconnect, 10)) == 2.0


@pytest.mark.parametrize("code", [None, 1006])
def test_a_server_that_died_is_taken_for_one_that_restarts(code: int | None) -> None:
    """A process that was killed says nothing, and the next one is there as soon."""
    reconnect = Reconnect()
    reconnect.proved()
    reconnect.ended(code)
    assert max(pauses(reconnect, RESTART_PAUSES)) == 0.5
    assert pauses(reconnect, 1) == [2.0]

    reconnect.ended(code)
    assert max(pauses(reconnect, 10)) == 2.0


def test_an_attempt_that_nobody_answers_ends_soon_and_the_next_may_take_longer() -> (
    None
):
    """An address that is gone answers nothing; a busy server answers late."""
    reconnect = Reconnect()
    limits = []
    for _ in range(5):
        limits.append(reconnect.limit())
        reconnect.failed(TimeoutError())
    assert limits == [1.5, 3.0, 6.0, 10.0, 10.0]

    reconnect.failed(ConnectionRefusedError())
    assert reconnect.limit() == 1.5
    reconnect.failed(TimeoutError())
    reconnect.ended(None)
    assert reconnect.limit() == 1.5


def test_while_a_server_restarts_an_attempt_that_nobody_answers_ends_at_once() -> None:
    """Its pod's address is gone, and the next attempt may reach the new one."""
    reconnect = Reconnect()
    reconnect.ended(GOING_AWAY)
    limits = []
    for _ in range(5):
        limits.append(reconnect.limit())
        reconnect.failed(TimeoutError())
    assert limits == [0.5, 1.0, 2.0, 4.0, 8.0]
    reconnect.proved()
    reconnect.failed(ConnectionRefusedError())
    assert reconnect.limit() == 1.5
