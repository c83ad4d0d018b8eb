"""What is tried next, in buckets, is what a plain look at all of a queue gives."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.model.findings import POSTURE, FindingKind, Severity
from streams.stages.notify.deliveries import Activity, Delivery, ReceiverRoute
from streams.stages.notify.lease import (
    BRIEF,
    LEASE,
    LONGEST,
    TOGETHER,
    ahead,
    lease,
    next_attempt,
)
from streams.stages.notify.state import DeliveryState
from tests.notify_steps import changes, rows_of
from tests.unit.test_notify import NOW, a_finding

pytestmark = pytest.mark.property

KINDS = (FindingKind.USE_AFTER_REVOCATION, FindingKind.OWNERLESS)
ROUTES = (ReceiverRoute(name="a", in_flight=3), ReceiverRoute(name="b", in_flight=1))


@st.composite
def deliveries(draw: st.DrawFn) -> list[Delivery]:
    """Give messages of some findings, in all the conditions they can be in."""
    found: dict[str, Delivery] = {}
    for _ in range(draw(st.integers(0, 30))):
        number = draw(st.integers(0, 9))
        finding = a_finding(
            number, kind=KINDS[number % 2], severity=Severity(2 + number % 4)
        )
        message = draw(st.integers(1, 3))
        attempts = draw(st.integers(0, 2))
        times = st.sampled_from([0, 0, -1, 1, LEASE // 2, LEASE])
        leased = draw(st.sampled_from([0, 0, 1, LEASE - BRIEF // 2, LEASE, -1]))
        called = attempts > 0 and draw(st.booleans())
        next_at = NOW + draw(times)
        if leased and not called:  # it was due when its attempt began
            next_at = min(next_at, NOW + leased - LEASE)
        each = Delivery(
            id=f"{finding.id}.{message}",
            number=message,
            route=draw(st.sampled_from("ab")),
            activity=Activity.UPDATE,
            finding=finding,
            created_at=NOW + draw(st.integers(0, 3)),
            attempts=attempts,
            next_at=next_at,
            leased_until=NOW + leased if leased else 0,
            called=called,
        )
        found[each.key] = each
    return list(found.values())


def plain_choice(state: DeliveryState, route: ReceiverRoute) -> list[Delivery]:
    """Give what one receiver may be sent, without buckets and without a bound."""
    all_of = list(state.queue(route.name).deliveries.values())
    busy = sum(ahead(d.leased_until, NOW, LEASE) for d in all_of)
    first: dict[str, int] = {}
    for each in all_of:
        known = first.setdefault(each.finding.id, each.number)
        first[each.finding.id] = min(known, each.number)
    ready = [
        d
        for d in all_of
        if d.number == first[d.finding.id]
        and (d.called or not ahead(d.next_at, NOW, LONGEST if d.attempts else 0))
        and not ahead(d.leased_until, NOW, LEASE)
    ]
    ready.sort(
        key=lambda d: (
            d.finding.kind in POSTURE, -d.finding.severity, d.created_at, d.id,
        )
    )  # fmt: skip
    free = route.in_flight - busy
    chosen = []
    for each in ready:
        reserved = 1 if route.in_flight > 1 else 0
        if free <= (0 if _urgent(each) else reserved):
            break
        free -= 1
        chosen.append(each)
    return chosen


def _urgent(delivery: Delivery) -> bool:
    finding = delivery.finding
    return finding.severity >= Severity.HIGH and finding.kind not in POSTURE


@settings(deadline=None)
@given(deliveries())
def test_buckets_choose_as_a_plain_look_does(waiting: list[Delivery]) -> None:
    """All that is urgent, and of the rest as much as may begin at once."""
    state = DeliveryState().with_deliveries(waiting)
    begun = [
        d
        for d in waiting
        if not _urgent(d)
        and NOW + LEASE - BRIEF < d.leased_until <= NOW + LEASE
    ]  # fmt: skip
    expected = [d for route in ROUTES for d in plain_choice(state, route)]

    after, due = lease(state, ROUTES, NOW)

    keys = {d.key for d in due}
    patient = [d.key for d in expected if not _urgent(d)]
    assert {d.key for d in expected if _urgent(d)} <= keys
    assert keys <= {d.key for d in expected}
    room = max(0, TOGETHER - len(begun))
    assert len(keys & set(patient)) == min(room, len(patient))
    assert all(d.leased_until == NOW + LEASE for d in due)
    untouched = {d.key: d for d in waiting if d.key not in keys}
    assert {k: d for k, d in after.deliveries.items() if k not in keys} == untouched
    assert {d.key: d for d in waiting} == dict(state.deliveries)


@settings(deadline=None)
@given(deliveries(), deliveries())
def test_the_rows_that_differ_lead_from_one_state_to_the_other(
    one: list[Delivery], other: list[Delivery]
) -> None:
    """Whatever the buckets share."""
    before = DeliveryState().with_deliveries(one)
    after = before
    for route in "ab":
        gone = [d for d in one[::2] if d.route == route]
        queue = after.queue(route).with_deliveries((), gone)
        after = after.with_queue(route, queue)
    after = after.with_deliveries(other)

    put, dropped = changes(before, after)
    rows = rows_of(before)
    for key in dropped:
        del rows[key]

    assert DeliveryState.of_rows(rows | put) == after


@settings(deadline=None)
@given(deliveries())
def test_what_waits_has_a_time(waiting: list[Delivery]) -> None:
    """Nothing waits for ever: it is due, it has a time, or an attempt is under way."""
    state = DeliveryState().with_deliveries(waiting)
    state, due = lease(state, ROUTES, NOW)

    for name, queue in state.queues.items():
        time = next_attempt(state, name, queue, NOW)
        assert time is None or time > NOW
        held = [d for d in queue.deliveries.values() if d.leased_until > NOW]
        assert held or due or time is not None or not queue
