"""The notify stage: ids, order, retries, and what becomes of a dead receiver."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from agents_registry.identifiers import Identifier
from streams.model.findings import Finding, FindingKind, Severity
from streams.model.times import SECOND
from streams.stages.notify import retry
from streams.stages.notify.deliveries import (
    IN_FLIGHT,
    Activity,
    AttemptOutcome,
    Delivery,
    ReceiverRoute,
)
from streams.stages.notify.lease import LEASE
from streams.stages.notify.notify import (
    FindingChange,
    Step,
    enable,
    give_up,
    next_due,
    revive,
    settle,
)
from streams.stages.notify.queue import DeliveryQueue
from streams.stages.notify.state import UPDATE_EVERY, DeliveryState
from tests.notify_steps import changes, rows_of, step

pytestmark = pytest.mark.unit

NOW = 1_764_000_000 * SECOND
SOC = ReceiverRoute(name="soc")
OK = AttemptOutcome(status=204)
DOWN = AttemptOutcome(status=503)


def a_finding(number: int = 1, **values: Any) -> Finding:
    """Give a finding; the number makes it another one."""
    fields: dict[str, Any] = {
        "id": f"{number:032x}",
        "kind": FindingKind.USE_AFTER_REVOCATION,
        "severity": Severity.HIGH,
        "realm": "acme",
        "presented": Identifier("aws.access_key", f"AKIA{number}"),
        "first_seen": NOW,
        "last_seen": NOW,
        "message": "it was used",
    }
    return Finding(**fields | values)


def told(*findings: Finding, routes: tuple[ReceiverRoute, ...] = (SOC,)) -> Step:
    """Take in findings at NOW, from nothing."""
    return step(
        DeliveryState(), [FindingChange(f) for f in findings], NOW, routes=routes
    )


def accepted(state: DeliveryState) -> DeliveryState:
    """Settle all that is under way with a yes."""
    for delivery in state.deliveries.values():
        state = settle(state, delivery, OK, NOW).state
    return state


def test_tells_a_new_finding_at_once() -> None:
    """The first message waits for no grouping."""
    (delivery,) = told(a_finding()).due

    assert delivery.activity is Activity.CREATE
    assert f"{1:032x}.1" == delivery.id


def test_gives_a_delivery_once_until_it_is_settled() -> None:
    """Two steps do not make two posts."""
    state, _ = told(a_finding())

    assert step(state, [], NOW + LEASE - 1, routes=[SOC]).due == ()


def test_gives_a_delivery_again_when_its_attempt_was_lost() -> None:
    """A process that died between post and answer repeats, with the same id."""
    state, (first,) = told(a_finding())

    (again,) = step(state, [], NOW + LEASE, routes=[SOC]).due

    assert again.id == first.id
    assert again.attempts == 0


@pytest.mark.parametrize("back", [3600, 365 * 24 * 3600])
def test_delivers_although_the_clock_was_set_back(back: int) -> None:
    """What was due soon is not due years later."""
    delivery = told(a_finding()).due[0]
    failed = settle(told(a_finding()).state, delivery, DOWN, NOW).state
    later = NOW - back * SECOND + LEASE + 1

    lost = step(told(a_finding()).state, [], later, routes=[SOC])
    again = step(failed, [], NOW - back * SECOND, routes=[SOC])

    assert 1 == len(lost.due)
    assert len(again.due) == (back > 48 * 3600)


def test_forgets_a_delivery_that_was_accepted() -> None:
    """Any 2xx is a yes."""
    state, (delivery,) = told(a_finding())

    for status in (200, 202, 299):
        settled = settle(state, delivery, AttemptOutcome(status=status), NOW)

        assert settled.state.deliveries == {}
        assert settled.dead == ()


@pytest.mark.parametrize(
    "outcome",
    [
        AttemptOutcome(status=301),
        AttemptOutcome(status=400),
        AttemptOutcome(status=404),
        AttemptOutcome(status=429),
        AttemptOutcome(status=500),
        AttemptOutcome(status=199),
        AttemptOutcome(error="timeout"),
        AttemptOutcome(error="refused_address"),
    ],
    ids=lambda o: str(o.status or o.error),
)
def test_tries_again_with_the_same_id_and_body(outcome: AttemptOutcome) -> None:
    """What is no yes and no 410 is tried again on the schedule."""
    state, (delivery,) = told(a_finding())

    state, dead = settle(state, delivery, outcome, NOW)

    assert dead == ()
    due = next_due(state, NOW)
    assert due is not None
    assert NOW + 5 * SECOND <= due < NOW + 6 * SECOND
    assert step(state, [], due - 1, routes=[SOC]).due == ()
    (again,) = step(state, [], due, routes=[SOC]).due
    assert again == attrs.evolve(
        delivery,
        attempts=1,
        next_at=due,
        leased_until=due + LEASE,
        refused=outcome.status == 400,
    )


def test_waits_as_long_as_the_receiver_asks() -> None:
    """Retry-After of a busy receiver is honoured."""
    state, (delivery,) = told(a_finding())
    busy = AttemptOutcome(status=429, retry_after=3600 * SECOND)

    state, _ = settle(state, delivery, busy, NOW)

    assert next_due(state, NOW) == NOW + 3600 * SECOND


@pytest.mark.parametrize("status", [400, 413, 429, 500, 503])
def test_waits_whatever_the_answer_that_asks_for_it(status: int) -> None:
    """Retry-After is of the message where the receiver is not busy as a whole."""
    state, (delivery,) = told(a_finding())
    answer = AttemptOutcome(status=status, retry_after=3600 * SECOND)

    state, _ = settle(state, delivery, answer, NOW)
    (waiting,) = state.deliveries.values()

    assert waiting.next_at == NOW + 3600 * SECOND


def test_buries_a_delivery_after_the_last_attempt() -> None:
    """Three days of failures end in a dead letter that says why."""
    state, (delivery,) = told(a_finding())
    now, attempts = NOW, 0
    dead: tuple[Any, ...] = ()
    while not dead:
        state, dead = settle(state, delivery, DOWN, now)
        attempts += 1
        due = next_due(state, now)
        if due is not None:
            now = due
            state, (delivery,) = step(state, [], now, routes=[SOC])

    assert attempts == retry.ATTEMPTS
    assert now - NOW >= sum(retry.WAITS)
    assert dead[0].reason == "exhausted: 503 after 10 attempts"
    assert dead[0].delivery.finding == a_finding()
    assert state.deliveries == {}


def gone(
    state: DeliveryState, delivery: Delivery
) -> tuple[DeliveryState, list[Delivery]]:
    """Have a receiver answer 410."""
    state, dead = settle(state, delivery, AttemptOutcome(status=410), NOW)
    return state, [each.delivery for each in dead]


def test_disables_a_receiver_that_is_gone() -> None:
    """410 buries all that waits for it, and what comes then."""
    state, due = told(a_finding(1), a_finding(2))

    state, dead = settle(state, due[0], AttemptOutcome(status=410), NOW)

    assert {d.delivery.id for d in dead} == {d.id for d in due}
    assert all(d.reason.startswith("endpoint_gone") for d in dead)
    assert state.disabled == {"soc": NOW}
    state, due = step(state, [FindingChange(a_finding(3))], NOW, routes=[SOC])
    assert due == ()
    state, (third,) = give_up(state, [SOC])
    assert (third.delivery.finding.id, third.reason) == (f"{3:032x}", dead[0].reason)
    assert state.deliveries == {}


def test_a_receiver_that_was_gone_is_told_the_ends_too() -> None:
    """No incident stays open, whatever it knew and whenever it came back."""
    state, (create,) = told(a_finding(1))
    state, _ = settle(state, create, OK, NOW)
    state, (create,) = step(state, [FindingChange(a_finding(2))], NOW, routes=[SOC])
    state, buried = gone(state, create)
    news = [FindingChange(a_finding(n), closed=True) for n in (1, 2, 3)]
    state, due = step(state, news, NOW, routes=[SOC])
    assert due == ()
    state, dead = give_up(state, [SOC])
    buried += [each.delivery for each in dead]

    assert told_to(revive(state, buried, NOW).state) == {
        f"{1:032x}": [Activity.CLOSE],
        f"{2:032x}": [Activity.CREATE, Activity.CLOSE],
        f"{3:032x}": [Activity.CREATE, Activity.CLOSE],
    }


def told_to(state: DeliveryState) -> dict[str, list[Activity]]:
    """Have a receiver take all that waits; give what it took, by the finding."""
    taken: dict[str, list[Activity]] = {}
    while True:
        state, due = step(state, [], NOW, routes=[SOC])
        if not due:
            return taken
        for each in due:
            taken.setdefault(each.finding.id, []).append(each.activity)
            state = settle(state, each, OK, NOW).state


def test_what_changes_meanwhile_is_no_dead_letter() -> None:
    """The next message has the counts; a finding a minute is not a letter a minute."""
    state = accepted(told(a_finding(1)).state)
    state, (create,) = step(state, [FindingChange(a_finding(2))], NOW, routes=[SOC])
    state, _ = gone(state, create)
    state, _ = step(state, [FindingChange(a_finding(1, count=2))], NOW, routes=[SOC])
    state, due = step(state, [], NOW + UPDATE_EVERY, routes=[SOC])

    assert due == ()
    assert give_up(state, [SOC]) == (state, ())


@pytest.mark.parametrize("over", [True, False])
def test_what_is_told_late_of_a_finding_that_is_over_is_ended(over: bool) -> None:
    """Its end arrived long ago; told as new, it would be open for good."""
    state, (create,) = told(a_finding())
    state = state.with_queue("soc", DeliveryQueue())  # it used up its attempts
    known = {create.id}
    if over:
        change = FindingChange(a_finding(count=5), closed=True)
        state, (close,) = step(state, [change], NOW, routes=[SOC])
        state = settle(state, close, OK, NOW).state
        known.add(close.id)

    state, ends = revive(state, [create], NOW + SECOND)
    first, *rest = sorted(state.deliveries.values(), key=lambda each: each.number)

    assert first.id == create.id
    assert [each.activity for each in rest] == [Activity.CLOSE] * over
    assert [each.delivery for each in ends] == rest
    # A receiver that drops repeats has not seen this end.
    assert known.isdisjoint(each.id for each in rest)
    again, ends = revive(state, [create], NOW + 2 * SECOND)
    assert (len(again.deliveries), ends) == (1 + over, ())


def test_ignores_the_late_answer_of_a_buried_delivery() -> None:
    """The second answer in flight at the time of a 410 changes nothing."""
    state, due = told(a_finding(1), a_finding(2))
    state, _ = settle(state, due[0], AttemptOutcome(status=410), NOW)

    assert settle(state, due[1], DOWN, NOW) == (state, ())


def test_tells_an_enabled_receiver_what_comes_then() -> None:
    """A start is a new chance; what was buried before it stays so."""
    state, due = told(a_finding(1))
    state, _ = gone(state, due[0])
    state, _ = step(state, [], NOW, routes=[SOC])

    (delivery,) = step(
        enable(state, "soc"), [FindingChange(a_finding(2))], NOW, routes=[SOC]
    ).due

    assert delivery.activity is Activity.CREATE


def test_tells_updates_once_a_minute_with_the_counts_so_far() -> None:
    """A thousand uses in a minute are one more message."""
    state = accepted(told(a_finding()).state)
    for count in range(2, 1000):
        state, due = step(
            state, [FindingChange(a_finding(count=count))], NOW, routes=[SOC]
        )
        assert due == ()

    assert next_due(state, NOW) == NOW + UPDATE_EVERY
    (delivery,) = step(state, [], NOW + UPDATE_EVERY, routes=[SOC]).due

    assert delivery.activity is Activity.UPDATE
    assert delivery.finding.count == 999
    assert f"{1:032x}.2" == delivery.id


def test_says_nothing_when_nothing_changed() -> None:
    """No heartbeat of old news."""
    state = accepted(told(a_finding()).state)

    assert next_due(state, NOW + LEASE) is None
    assert step(state, [], NOW + 10 * UPDATE_EVERY, routes=[SOC]).due == ()


@pytest.mark.parametrize(
    "news",
    [
        {"severity": Severity.CRITICAL},
        {"related": (f"{2:032x}",)},
        {"last_seen": NOW + SECOND},
        {"message": "it was used, which its owner denies"},
    ],
    ids=lambda news: next(iter(news)),
)
def test_tells_what_changes_without_another_use(news: dict[str, Any]) -> None:
    """A finding may get worse, or be tied to another, at the same count."""
    state = accepted(told(a_finding()).state)
    changed = a_finding(**news)
    state, _ = step(state, [FindingChange(changed)], NOW, routes=[SOC])
    (update,) = step(state, [], NOW + UPDATE_EVERY, routes=[SOC]).due

    assert (Activity.UPDATE, changed) == (update.activity, update.finding)


def test_never_counts_back() -> None:
    """A sentinel without its disk says all of it again, from the first use on."""
    now = NOW + UPDATE_EVERY
    state = accepted(told(a_finding()).state)
    again = FindingChange(a_finding(count=1), order=1)
    state, (update,) = step(
        state, [FindingChange(a_finding(count=3), order=5)], now, routes=[SOC]
    )
    state = settle(state, update, OK, now).state

    state, due = step(state, [again], now + UPDATE_EVERY, routes=[SOC])
    assert due == ()
    state, _ = step(
        state, [FindingChange(a_finding(count=4), order=7), again], now, routes=[SOC]
    )
    (last,) = step(state, [], now + UPDATE_EVERY, routes=[SOC]).due

    assert (f"{1:032x}.5", 3) == (update.id, update.finding.count)
    assert (f"{1:032x}.7", 4) == (last.id, last.finding.count)


def test_closes_at_once_and_forgets() -> None:
    """The end of an episode is told with its last counts."""
    state = accepted(told(a_finding()).state)
    over = FindingChange(a_finding(count=7), closed=True)

    state, (delivery,) = step(state, [over], NOW + LEASE, routes=[SOC])

    assert delivery.activity is Activity.CLOSE
    assert delivery.finding.count == 7
    assert state.announced == {}


def test_tells_a_finding_that_was_over_before_anyone_looked() -> None:
    """Opened and closed while the stage slept: still an alert, then its end."""
    over = FindingChange(a_finding(), closed=True)

    state, (create,) = step(DeliveryState(), [over], NOW, routes=[SOC])
    state, _ = settle(state, create, OK, NOW)
    (close,) = step(state, [], NOW, routes=[SOC]).due

    assert [create.activity, close.activity] == [Activity.CREATE, Activity.CLOSE]


def test_forgets_at_its_end_a_finding_that_nobody_wants() -> None:
    """What is too mild for every route leaves no trace."""
    mild = a_finding(severity=Severity.INFORMATIONAL)

    assert step(
        DeliveryState(), [FindingChange(mild, closed=True)], NOW, routes=[SOC]
    ) == (
        DeliveryState(),
        (),
    )


def test_keeps_the_order_of_one_findings_messages() -> None:
    """A close does not overtake a create that fails, though it is due first."""
    state, (create,) = told(a_finding())
    state, _ = settle(state, create, AttemptOutcome(status=500, retry_after=LEASE), NOW)
    over = FindingChange(a_finding(), closed=True)

    state, due = step(state, [over], NOW, routes=[SOC])
    assert due == ()
    state, (again,) = step(state, [], NOW + LEASE, routes=[SOC])
    assert again.id == create.id
    state, _ = settle(state, again, OK, NOW + LEASE)
    (close,) = step(state, [], NOW + LEASE, routes=[SOC]).due

    assert close.activity is Activity.CLOSE


def test_replaces_a_failing_update_by_a_newer_one() -> None:
    """An hour of outage leaves one update a finding, on the schedule of the first."""
    state = accepted(told(a_finding()).state)
    state, _ = step(state, [FindingChange(a_finding(count=2))], NOW, routes=[SOC])
    now = NOW + UPDATE_EVERY
    state, (update,) = step(state, [], now, routes=[SOC])
    for failed in (1, 2):
        state, _ = settle(state, update, DOWN, now)
        now = next_due(state, now) or 0
        if failed == 1:
            state, (update,) = step(state, [], now, routes=[SOC])

    state, _ = step(state, [FindingChange(a_finding(count=3))], now - 1, routes=[SOC])

    (waiting,) = state.deliveries.values()
    assert waiting.finding.count == 3
    assert waiting.leased_until == 0
    assert waiting.id != update.id
    assert (waiting.attempts, waiting.next_at) == (2, now)


def test_tells_what_opened_and_closed_in_one_batch() -> None:
    """A close takes the place of updates, never of the create."""
    batch = [FindingChange(a_finding()), FindingChange(a_finding(count=2), closed=True)]

    state, (create,) = step(DeliveryState(), batch, NOW, routes=[SOC])
    state, _ = settle(state, create, OK, NOW)
    (close,) = step(state, [], NOW, routes=[SOC]).due

    assert [create.activity, close.activity] == [Activity.CREATE, Activity.CLOSE]


def test_does_not_replace_an_update_that_is_under_way() -> None:
    """It may be arriving just now; what is newer waits for its answer."""
    state = accepted(told(a_finding()).state)
    state, _ = step(state, [FindingChange(a_finding(count=2))], NOW, routes=[SOC])
    now = NOW + UPDATE_EVERY
    state, (update,) = step(state, [], now, routes=[SOC])
    over = FindingChange(a_finding(count=3), closed=True)

    state, due = step(state, [over], now + 1, routes=[SOC])
    assert due == ()
    assert update.key in state.deliveries
    state, _ = settle(state, update, OK, now + 2)
    (close,) = step(state, [], now + 2, routes=[SOC]).due

    assert (close.activity, close.attempts) == (Activity.CLOSE, 0)


def test_serves_the_most_severe_first() -> None:
    """A backlog is worked off in the order that people care for."""
    low, high, critical = (
        a_finding(n, severity=severity)
        for n, severity in enumerate([Severity.LOW, Severity.HIGH, Severity.CRITICAL])
    )

    due = told(low, critical, high).due

    assert [d.finding for d in due] == [critical, high, low]


def test_keeps_a_bound_on_what_is_under_way() -> None:
    """Of a backlog at most IN_FLIGHT are posted at a time, the rest when they end."""
    state, due = told(*(a_finding(n) for n in range(IN_FLIGHT + 3)))
    assert len(due) == IN_FLIGHT
    assert step(state, [], NOW, routes=[SOC]).due == ()

    state, _ = settle(state, due[0], OK, NOW)

    assert len(step(state, [], NOW, routes=[SOC]).due) == 1


def test_does_not_let_one_receiver_hold_up_another() -> None:
    """Each receiver has its own bound and its own schedule."""
    slow, quick = ReceiverRoute(name="slow"), ReceiverRoute(name="quick")
    first = told(*(a_finding(n) for n in range(IN_FLIGHT)), routes=(slow, quick))
    state = first.state
    for delivery in first.due:
        if delivery.route == "quick":
            state, _ = settle(state, delivery, OK, NOW)

    due = step(state, [FindingChange(a_finding(99))], NOW, routes=[slow, quick]).due

    assert [d.route for d in due] == ["quick"]


def test_sends_a_route_only_what_is_severe_enough() -> None:
    """Informational findings, as those in flight, are nobody's alert by default."""
    pager = ReceiverRoute(name="pager", minimum=Severity.CRITICAL)
    in_flight = a_finding(1, severity=Severity.INFORMATIONAL)
    high = a_finding(2)

    state, due = told(in_flight, high, routes=(SOC, pager))

    assert [(d.route, d.finding) for d in due] == [("soc", high)]
    assert set(state.announced) == {high.id}


def test_gives_up_what_waits_for_a_receiver_that_is_taken_out() -> None:
    """Nobody would ever take it; taken out by mistake it is delivered later."""
    siem = ReceiverRoute(name="siem")
    state, _ = told(a_finding(), routes=(SOC, siem))

    state, dead = give_up(state, [SOC])

    assert [d.route for d in state.deliveries.values()] == ["soc"]
    assert [d.delivery.route for d in dead] == ["siem"]
    assert dead[0].reason.startswith("route_removed")
    assert give_up(state, [SOC]) == (state, ())
    state, _ = revive(state, [d.delivery for d in dead], NOW)
    assert [d.route for d in step(state, [], NOW, routes=[SOC, siem]).due] == ["siem"]


def messy() -> DeliveryState:
    """Give a state with something of everything."""
    state, due = told(*(a_finding(n, owner="ann") for n in range(3)))
    state, _ = settle(state, due[0], DOWN, NOW)
    state, _ = step(state, [FindingChange(a_finding(1, count=2))], NOW, routes=[SOC])
    state, _ = settle(
        state, attrs.evolve(due[0], route="old"), AttemptOutcome(status=410), NOW
    )
    return state


def test_survives_a_restart() -> None:
    """The rows are JSON and give the same state."""
    state = messy()

    rows = json.loads(json.dumps(rows_of(state)))

    assert DeliveryState.of_rows(rows) == state
    assert next_due(DeliveryState.of_rows(rows), NOW) == next_due(state, NOW)


def test_tells_which_rows_changed() -> None:
    """Writing the changes to what is stored gives what a full save would."""
    before, due = told(*(a_finding(n) for n in range(3)))
    stored = rows_of(before)
    after = settle(before, due[0], OK, NOW).state
    after = settle(after, due[1], DOWN, NOW).state
    after = step(
        after, [FindingChange(a_finding(2), closed=True)], NOW, routes=[SOC]
    ).state

    put, dropped = changes(before, after)

    assert set(dropped) == {due[0].key, f"announced/{2:032x}"}
    assert {due[1].key, f"delivery/soc/{2:032x}.2"} == set(put)
    for key in dropped:
        del stored[key]
    assert stored | put == rows_of(after)
    assert changes(after, after) == ({}, ())


def test_leaves_the_state_that_it_was_given_alone() -> None:
    """Pure: an engine may keep the old state until the new one is on disk."""
    state = messy()
    before = json.dumps(rows_of(state))

    after = step(state, [FindingChange(a_finding(7))], NOW + LEASE, routes=[SOC])
    settle(after.state, after.due[0], OK, NOW)

    assert json.dumps(rows_of(state)) == before


def test_names_its_row_after_route_and_id() -> None:
    """Two receivers of one message have two rows."""
    two = told(a_finding(), routes=(SOC, ReceiverRoute(name="siem"))).state

    assert sorted(two.deliveries) == [
        f"delivery/siem/{1:032x}.1",
        f"delivery/soc/{1:032x}.1",
    ]
    assert all(isinstance(d, Delivery) for d in two.deliveries.values())
