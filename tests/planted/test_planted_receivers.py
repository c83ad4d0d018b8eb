"""Bugs planted into what receivers are spared are caught in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from streams.stages.notify import draft as notify_draft
from streams.stages.notify import lease as notify_lease
from streams.stages.notify import notify
from streams.stages.notify import queue as delivery_queue
from streams.stages.notify.queue import DeliveryQueue
from streams.stages.notify.state import DeliveryState
from tests.unit import test_notify_groups as groups
from tests.unit import test_notify_priority as priority
from tests.unit import test_notify_receivers as suite

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.planted


def one_bound_for_all(patch: pytest.MonkeyPatch) -> None:
    """Count what is under way at all receivers against each of them."""
    whole = notify_lease._candidates

    def candidates(state: DeliveryState, route: Any, *rest: Any) -> Any:
        busy = sum(len(queue.leases) for queue in state.queues.values())
        return whole(state, route, *rest) if busy < route.in_flight else []

    patch.setattr(notify_lease, "_candidates", candidates)


def never_called(patch: pytest.MonkeyPatch) -> None:
    """Let each message wait for its own time, though the receiver is back."""
    patch.setattr(notify, "_called", lambda *_: {})


def calls_cost_attempts(patch: pytest.MonkeyPatch) -> None:
    """Count a call like any attempt, and call as often as something arrives."""
    whole = notify._failed

    def failed(current: Any, outcome: Any, now: int) -> Any:
        return whole(attrs.evolve(current, called=False, called_at=0), outcome, now)

    patch.setattr(notify, "_failed", failed)


def the_oldest_first(patch: pytest.MonkeyPatch) -> None:
    """Work a backlog off as it came."""
    for module in (delivery_queue, notify_lease):
        patch.setattr(module, "urgency", lambda each: (each.created_at, each.id))


def lost_in_the_pause(patch: pytest.MonkeyPatch) -> None:
    """Take no notice of what a busy receiver asked for."""
    whole = notify.settle

    def settle(*args: Any) -> Any:
        settled = whole(*args)
        return settled._replace(state=attrs.evolve(settled.state, paused={}))

    patch.setattr(suite, "settle", settle)


def copied_queues(patch: pytest.MonkeyPatch) -> None:
    """Touch every queue at every step."""
    whole = DeliveryState.with_queue

    def with_queue(state: DeliveryState, route: str, changed: Any) -> DeliveryState:
        for name, queue in state.queues.items():
            state = whole(state, name, DeliveryQueue(queue.buckets))
        return whole(state, route, changed)

    patch.setattr(DeliveryState, "with_queue", with_queue)


def never_spared(patch: pytest.MonkeyPatch) -> None:
    """Try each message at a receiver that fails."""
    patch.setattr(notify_lease, "IN_A_ROW", 10**9)


def all_at_once(patch: pytest.MonkeyPatch) -> None:
    """Begin as much that is not urgent as the receivers take."""
    patch.setattr(notify_lease, "TOGETHER", 10**9)


def never_summed_up(patch: pytest.MonkeyPatch) -> None:
    """Tell each finding of a first import."""
    patch.setattr(notify_draft, "FEW", 10**9)


BUGS: dict[Callable[[pytest.MonkeyPatch], None], Callable[[], None]] = {
    one_bound_for_all: suite.test_a_receiver_that_hangs_does_not_move_another,
    never_called: (
        suite.test_an_hour_of_outage_loses_nothing_and_ends_with_the_worst_first
    ),
    the_oldest_first: (
        suite.test_an_hour_of_outage_loses_nothing_and_ends_with_the_worst_first
    ),
    never_spared: priority.test_who_fails_is_tried_by_one_message_at_a_time,
    all_at_once: priority.test_few_that_are_not_urgent_begin_at_once_over_all_receivers,
    never_summed_up: groups.test_a_first_import_is_one_message,
    calls_cost_attempts: suite.test_a_receiver_that_flickers_uses_up_no_attempts,
    lost_in_the_pause: suite.test_a_busy_receiver_is_left_alone_by_all,
    copied_queues: (suite.test_what_waits_at_one_receiver_is_not_looked_at_for_another),
}


@pytest.mark.parametrize("plant", BUGS, ids=lambda bug: bug.__name__)
def test_a_wrong_line_is_caught(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """An assertion of the test fails, and nothing else."""
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        BUGS[plant]()
