"""Urgent alerts go first, and what waits or fails costs them nothing."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from streams.model.findings import FindingKind, Severity
from streams.model.times import SECOND
from streams.stages.notify import queue as delivery_queue
from streams.stages.notify import retry
from streams.stages.notify import state as delivery_state
from streams.stages.notify.deliveries import (
    Activity,
    AttemptOutcome,
    Delivery,
    ReceiverRoute,
)
from streams.stages.notify.lease import BRIEF, IN_A_ROW, PAUSES, TOGETHER
from streams.stages.notify.notify import FindingChange, next_due, settle
from streams.stages.notify.queue import BUCKETS, DeliveryBucket, urgent
from streams.stages.notify.state import DeliveryState
from tests.notify_steps import changes, rows_of, step
from tests.unit.test_notify import DOWN, NOW, OK, SOC, a_finding
from tests.unit.test_notify_receivers import Answer, Simulation

pytestmark = pytest.mark.unit

HOUR = 3600 * SECOND
LOW = Severity.LOW
TWO = ReceiverRoute(name="two", in_flight=2)


def a_backlog(count: int) -> DeliveryState:
    """Give a state in which so many messages of low severity wait at a receiver."""
    findings = [FindingChange(a_finding(n, severity=LOW)) for n in range(count)]
    return step(DeliveryState(), findings, NOW, routes=[SOC]).state


def looked_at(monkeypatch: pytest.MonkeyPatch, count: int) -> int:
    """Count the deliveries that ten attempts look at, behind a backlog."""
    state = a_backlog(count)
    next_due(state, NOW)
    state, due = step(state, [], NOW + 2 * BRIEF, routes=[SOC])
    looks = 0

    class Counted(dict[str, Delivery]):
        def values(self) -> Any:
            nonlocal looks
            looks += len(self)
            return super().values()

        def items(self) -> Any:
            nonlocal looks
            looks += len(self)
            return super().items()

    monkeypatch.setattr(
        delivery_queue,
        "DeliveryBucket",
        lambda deliveries: DeliveryBucket(Counted(deliveries)),
    )
    now = NOW + 2 * BRIEF
    for delivery in due[:10]:
        before = state
        state, _ = settle(state, delivery, OK, now)
        changes(before, state)
        before = state
        state, _ = step(state, [], now, routes=[SOC])
        changes(before, state)
        next_due(state, now)
    return looks


def test_an_attempt_costs_what_its_bucket_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And not what waits: a few looks at a sixty-fourth of it."""
    few, many = looked_at(monkeypatch, 2000), looked_at(monkeypatch, 8000)

    assert few < 10 * 2000 // 2
    assert many < 10 * 8000 // 2
    assert BUCKETS >= 64


def test_an_urgent_alert_passes_a_backlog() -> None:
    """It is tried in the step that takes it in, though others fill the receiver."""
    state = a_backlog(100)
    now = NOW
    for _ in range(10):
        now += BRIEF
        state, _ = step(state, [], now, routes=[SOC])
    busy = len(state.queue("soc").leases)

    state, due = step(state, [FindingChange(a_finding(1000))], now, routes=[SOC])

    assert busy == SOC.in_flight - 1
    assert [d.finding.severity for d in due] == [Severity.HIGH]


def test_few_that_are_not_urgent_begin_at_once_over_all_receivers() -> None:
    """In turns, so that the backlog of one is no reason for another to wait."""
    routes = [ReceiverRoute(name=f"r{n}") for n in range(13)]
    findings = [FindingChange(a_finding(n, severity=LOW)) for n in range(50)]

    state, due = step(DeliveryState(), findings, NOW, routes=routes)

    assert len(due) == TOGETHER
    assert len({d.route for d in due}) == TOGETHER
    assert step(state, [], NOW + 1, routes=routes).due == ()
    assert next_due(state, NOW) == NOW + BRIEF
    urgent_ones = step(
        state, [FindingChange(a_finding(99))], NOW + 1, routes=routes
    ).due
    assert len(urgent_ones) == len(routes)
    later = step(state, [], NOW + BRIEF, routes=routes).due
    assert {d.route for d in later} >= {r.name for r in routes[TOGETHER:]}


def test_findings_of_use_go_before_posture() -> None:
    """A posture finding of the same severity, and a worse one, wait behind them."""
    posture = a_finding(1, kind=FindingKind.SCOPE_ESCALATION)
    use = a_finding(2, kind=FindingKind.BLOCKED_ATTEMPT, severity=Severity.MEDIUM)
    one = ReceiverRoute(name="one", in_flight=1)
    state, _ = step(DeliveryState(), [FindingChange(posture)], NOW, routes=[])
    state = state.with_deliveries(
        Delivery(
            id=f"{f.id}.1", number=1, route="one", activity=Activity.CREATE,
            finding=f, created_at=NOW, next_at=NOW,
        )
        for f in (posture, use)
    )  # fmt: skip

    assert not urgent(posture)
    assert [d.finding for d in step(state, [], NOW, routes=[one]).due] == [use]


def failing(count: int, until: int) -> Simulation:
    """Give an hour of a receiver that fails fast, with messages that wait for it."""

    def answer(_: Delivery, at: int) -> Answer:
        return SECOND // 1000, DOWN if at < until else OK

    simulation = Simulation([SOC], answer)
    simulation.run(
        [(NOW, FindingChange(a_finding(n))) for n in range(count)], NOW + HOUR
    )
    return simulation


def test_who_fails_is_tried_by_one_message_at_a_time() -> None:
    """The attempts go by the time, not by what waits."""
    few, many = failing(200, NOW + 2 * HOUR), failing(1000, NOW + 2 * HOUR)

    bound = HOUR // PAUSES[-1] + SOC.in_flight + 10
    assert len(few.attempts) <= bound
    assert len(many.attempts) <= bound
    waiting = many.state.queue("soc").deliveries.values()
    assert sum(d.attempts == 0 for d in waiting) > 200
    assert many.dead == []


def test_who_is_back_gets_all_of_it_soon() -> None:
    """What was not touched is due at once when one message is taken."""
    back = NOW + HOUR // 2
    simulation = failing(500, back)

    assert len(simulation.arrived) == 500
    first, last = simulation.arrived[0][0], simulation.arrived[-1][0]
    assert first <= back + PAUSES[-1] + SECOND
    assert last - first < 60 * SECOND
    assert simulation.state.failing == {}


def test_a_message_that_fails_alone_holds_up_nobody() -> None:
    """Others are taken in between, so the receiver does not fail in a row."""
    state, due = step(
        DeliveryState(),
        [FindingChange(a_finding(n)) for n in range(6)],
        NOW,
        routes=[SOC],
    )
    for delivery, outcome in zip(due, (DOWN, DOWN, OK, DOWN, DOWN, OK), strict=True):
        state, _ = settle(state, delivery, outcome, NOW)

    assert len(step(state, [FindingChange(a_finding(9))], NOW, routes=[SOC]).due) > 0
    assert IN_A_ROW == 3


def test_what_waits_behind_who_fails_ends_when_its_attempts_would_have() -> None:
    """It is a dead letter after the days of the schedule, and not before."""
    state, due = step(
        DeliveryState(),
        [FindingChange(a_finding(n)) for n in range(40)],
        NOW,
        routes=[SOC],
    )
    for delivery in due:
        state, _ = settle(state, delivery, DOWN, NOW)
    untouched = [d for d in state.deliveries.values() if not d.attempts]
    assert untouched
    ends: list[str] = []
    now = NOW
    while not ends and now < NOW + 10 * 24 * HOUR:
        now += 6 * HOUR
        state, due = step(state, [], now, routes=[SOC])
        for delivery in due:
            state, dead = settle(state, delivery, DOWN, now)
            ends += [each.reason for each in dead]

    assert now - NOW >= retry.left(0) // 2
    assert now - NOW <= 2 * retry.left(0)
    assert all(reason.startswith("exhausted: 503 after ") for reason in ends)


def test_a_receiver_that_refuses_is_spared_like_one_that_is_down() -> None:
    """It fails as fast."""
    state, due = step(
        DeliveryState(),
        [FindingChange(a_finding(n)) for n in range(40)],
        NOW,
        routes=[SOC],
    )
    for delivery in due:
        state, _ = settle(state, delivery, AttemptOutcome(status=400), NOW)

    assert step(state, [], NOW, routes=[SOC]).due == ()
    assert next_due(state, NOW) == NOW + PAUSES[0]
    assert len(step(state, [], NOW + PAUSES[0], routes=[SOC]).due) == 1


def test_a_place_is_kept_free_for_the_urgent_one() -> None:
    """What is not urgent takes all places but one, where there are more than one."""
    news = [FindingChange(a_finding(n, severity=LOW)) for n in range(5)]
    state, due = step(DeliveryState(), news, NOW, routes=[TWO])

    assert len(due) == 1
    assert len(step(state, [FindingChange(a_finding(9))], NOW, routes=[TWO]).due) == 1
    single = attrs.evolve(TWO, in_flight=1)
    assert len(step(DeliveryState(), news, NOW, routes=[single]).due) == 1


def test_what_arrived_after_its_lease_was_lost_is_gone() -> None:
    """It had failed before: who takes it calls the others, and not it."""
    state, (delivery,) = step(
        DeliveryState(), [FindingChange(a_finding())], NOW, routes=[SOC]
    )
    state, _ = settle(state, delivery, DOWN, NOW)

    assert settle(state, delivery, OK, NOW).state.deliveries == {}


def test_rows_have_the_form_of_earlier_releases() -> None:
    """What is no member of a group is read by them, too."""
    (row,) = (
        row
        for key, row in rows_of(a_backlog(1)).items()
        if key.startswith(delivery_state.ANNOUNCED)
    )

    assert set(row) == {
        "messages", "at", "waiting", "order", "count", "told", "repeat_at",
    }  # fmt: skip
