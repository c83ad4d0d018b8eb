"""Receivers in virtual time: one that hangs, one that was dead, one that forgets."""

from __future__ import annotations

import heapq
from itertools import count, pairwise
from random import Random
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from attrs import define, field

from agents_registry.steps import finish
from streams.model.findings import FindingKind, Severity
from streams.model.times import SECOND
from streams.stages.notify import notify
from streams.stages.notify.deliveries import (
    Activity,
    AttemptOutcome,
    Delivery,
    ReceiverRoute,
)
from streams.stages.notify.draft import STALE
from streams.stages.notify.notify import (
    CALL_EVERY,
    FindingChange,
    next_due,
    settle,
)
from streams.stages.notify.state import DeliveryState, dead_rows, delivery_of
from tests.notify_steps import rows_of, step
from tests.unit.test_notify import DOWN, NOW, OK, SOC, a_finding

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

HOUR = 3600 * SECOND
MILLISECOND = SECOND // 1000
Answer = tuple[int, AttemptOutcome]  # how long an attempt takes, and how it ends


@define
class Simulation:
    """An engine around the stage: its loop, its attempts, and a clock of its own."""

    routes: list[ReceiverRoute]
    answer: Callable[[Delivery, int], Answer]
    now: int = NOW
    state: DeliveryState = field(factory=DeliveryState)
    arrived: list[tuple[int, Delivery]] = field(factory=list)
    attempts: list[tuple[int, Delivery]] = field(factory=list)
    dead: list[str] = field(factory=list)
    _ends: list[tuple[int, int, Delivery, AttemptOutcome]] = field(factory=list)
    _numbers: Any = field(factory=count)

    def run(self, arrivals: list[tuple[int, FindingChange]], until: int) -> None:
        """Let findings arrive at their times, and everything take its course."""
        waiting = sorted(arrivals, key=lambda each: each[0])
        while True:
            news = []
            while waiting and waiting[0][0] <= self.now:
                news.append(waiting.pop(0)[1])
            self._step(news)
            times = [waiting[0][0]] if waiting else []
            times += [self._ends[0][0]] if self._ends else []
            due = next_due(self.state, self.now)
            times += [] if due is None else [due]
            if not times or min(times) > until:
                self.now = until
                return
            self.now = max(self.now, min(times))
            while self._ends and self._ends[0][0] <= self.now:
                self._settle()

    def _step(self, news: list[FindingChange]) -> None:
        self.state, due = step(self.state, news, self.now, routes=self.routes)
        for delivery in due:
            self.attempts.append((self.now, delivery))
            takes, outcome = self.answer(delivery, self.now)
            end = (self.now + takes, next(self._numbers), delivery, outcome)
            heapq.heappush(self._ends, end)

    def _settle(self) -> None:
        _, _, delivery, outcome = heapq.heappop(self._ends)
        if outcome.accepted:
            self.arrived.append((self.now, delivery))
        self.state, dead = settle(self.state, delivery, outcome, self.now)
        self.dead += [each.delivery.id for each in dead]


def latencies(
    routes: list[ReceiverRoute], hang: str, arrivals: list[tuple[int, FindingChange]]
) -> Any:
    """Give how long each message to the healthy receiver took."""

    def answer(delivery: Delivery, _: int) -> Answer:
        if delivery.route == hang:
            return 30 * SECOND, AttemptOutcome(error="timeout")
        return 20 * MILLISECOND, OK

    simulation = Simulation(routes, answer)
    simulation.run(arrivals, NOW + HOUR)
    return [t - d.created_at for t, d in simulation.arrived if d.route == "soc"]


def test_a_receiver_that_hangs_does_not_move_another() -> None:
    """Not its slowest message either: both worlds have the same times."""
    random = Random(7)
    arrivals = [
        (NOW + random.randrange(HOUR // 2), FindingChange(a_finding(number)))
        for number in range(200)
    ]
    soc, slow = attrs.evolve(SOC, in_flight=1), ReceiverRoute(name="slow")

    alone = latencies([soc], "", arrivals)
    beside = latencies([soc, slow], "slow", arrivals)

    assert len(alone) == 200
    assert sorted(beside) == sorted(alone)


def test_what_waits_at_one_receiver_is_not_looked_at_for_another() -> None:
    """A backlog of thousands costs the others nothing: it is the same object."""
    slow = ReceiverRoute(name="slow")
    backlog = [FindingChange(a_finding(number)) for number in range(1000)]
    state, _ = step(DeliveryState(), backlog, NOW, routes=[slow])
    queue = state.queue("slow")
    assert next_due(state, NOW) is not None  # what it has to say of itself, it said

    for number in range(1000, 1010):
        news = [FindingChange(a_finding(number, severity=Severity.LOW))]
        strict = attrs.evolve(slow, minimum=Severity.HIGH)
        state, (delivery,) = step(state, news, NOW, routes=[SOC, strict])
        state, _ = settle(state, delivery, OK, NOW)

        assert state.queue("slow") is queue


def test_an_hour_of_outage_loses_nothing_and_ends_with_the_worst_first() -> None:
    """What failed is called once the receiver takes something, in that order."""
    random = Random(11)
    severities = [random.choice(list(Severity)[1:]) for _ in range(300)]
    arrivals = [
        (
            NOW + number * 12 * SECOND,
            FindingChange(a_finding(number, severity=severity)),
        )
        for number, severity in enumerate(severities)
    ]
    back = NOW + HOUR

    def answer(_: Delivery, at: int) -> Answer:
        return (SECOND, DOWN) if at < back else (50 * MILLISECOND, OK)

    simulation = Simulation([attrs.evolve(SOC, in_flight=1)], answer)
    simulation.run(arrivals, NOW + 2 * HOUR)

    ids = [delivery.id for _, delivery in simulation.arrived]
    assert len(ids) == len(set(ids)) == 300
    assert simulation.dead == []
    (first, _), *rest = simulation.arrived
    order = [delivery.finding.severity for _, delivery in rest]
    assert order == sorted(order, reverse=True)
    # All at once, and not each when its own wait of hours is over.
    assert rest[-1][0] - first < 60 * SECOND


def test_a_receiver_that_flickers_uses_up_no_attempts() -> None:
    """Each second message is taken: calls come minutes apart and cost nothing."""
    turn = count()

    def answer(delivery: Delivery, at: int) -> Answer:
        if delivery.finding.severity is Severity.LOW:
            return SECOND, DOWN  # one message that this receiver never takes
        return SECOND, OK if at > NOW + 600 * SECOND and next(turn) % 2 else DOWN

    arrivals = [(NOW, FindingChange(a_finding(0, severity=Severity.LOW)))] + [
        (NOW + number * 10 * SECOND, FindingChange(a_finding(number)))
        for number in range(1, 600)
    ]
    simulation = Simulation([SOC], answer)
    simulation.run(arrivals, NOW + 2 * HOUR)

    tries = [at for at, d in simulation.attempts if d.finding.severity is Severity.LOW]
    assert simulation.dead == []
    assert len(simulation.arrived) == 599
    # Its own: 0, 5 s, 5 min, 35 min; and at most one call in five minutes.
    assert len(tries) <= 4 + 2 * HOUR // CALL_EVERY


def test_what_the_receiver_refuses_is_not_called() -> None:
    """400 is said of the message: that others arrive changes nothing."""
    state, (bad, good) = step(
        DeliveryState(),
        [FindingChange(a_finding(1)), FindingChange(a_finding(2))],
        NOW,
        routes=[SOC],
    )
    state, _ = settle(state, bad, AttemptOutcome(status=400), NOW)
    state, _ = settle(state, good, OK, NOW)

    assert step(state, [], NOW + 1, routes=[SOC]).due == ()


def test_a_busy_receiver_is_left_alone_by_all() -> None:
    """429 with Retry-After holds back what has not failed yet, too."""
    state, (first,) = step(
        DeliveryState(), [FindingChange(a_finding(1))], NOW, routes=[SOC]
    )
    busy = AttemptOutcome(status=429, retry_after=90 * SECOND)
    state, _ = settle(state, first, busy, NOW)

    state, due = step(state, [FindingChange(a_finding(2))], NOW + SECOND, routes=[SOC])
    assert due == ()
    assert next_due(state, NOW + SECOND) == NOW + 90 * SECOND
    assert len(step(state, [], NOW + 90 * SECOND, routes=[SOC]).due) == 2
    years_ago = NOW - 365 * 24 * HOUR  # the clock was set back
    assert len(step(state, [], years_ago, routes=[SOC]).due) == 2


def test_a_paced_receiver_gets_one_a_second() -> None:
    """Slack takes about so many; the worst go first."""
    slack = ReceiverRoute(name="slack", in_flight=1, spacing=SECOND)
    arrivals = [
        (NOW, FindingChange(a_finding(n, severity=Severity(2 + n % 4))))
        for n in range(20)
    ]
    simulation = Simulation([slack], lambda *_: (MILLISECOND, OK))
    simulation.run(arrivals, NOW + HOUR)

    times = [at for at, _ in simulation.arrived]
    assert len(times) == 20
    gaps = [after - before for before, after in pairwise(times)]
    assert all(gap >= SECOND for gap in gaps)
    order = [delivery.finding.severity for _, delivery in simulation.arrived]
    assert order == sorted(order, reverse=True)


@pytest.mark.parametrize(
    ("route", "wanted"),
    [
        (ReceiverRoute(name="r", minimum=Severity.HIGH), True),
        (ReceiverRoute(name="r", minimum=Severity.CRITICAL), False),
        (
            ReceiverRoute(
                name="r", kinds=frozenset({FindingKind.USE_AFTER_REVOCATION})
            ),
            True,
        ),
        (ReceiverRoute(name="r", kinds=frozenset({FindingKind.LEAK})), False),
        (ReceiverRoute(name="r", realms=frozenset({"acme"})), True),
        (ReceiverRoute(name="r", realms=frozenset({"other"})), False),
        (ReceiverRoute(name="r", owners=frozenset({"ann"})), True),
        (ReceiverRoute(name="r", owners=frozenset({"bob"})), False),
    ],
)
def test_a_route_takes_what_it_is_for(route: ReceiverRoute, *, wanted: bool) -> None:
    """By severity, kind, realm and owner."""
    due = step(
        DeliveryState(), [FindingChange(a_finding(owner="ann"))], NOW, routes=[route]
    ).due

    assert bool(due) == wanted


def test_a_receiver_may_want_no_updates() -> None:
    """A chat hears of the beginning and of the end."""
    chat = ReceiverRoute(name="chat", updates=False)
    simulation = Simulation([chat, SOC], lambda *_: (MILLISECOND, OK))
    changes = [
        (NOW + n * 20 * SECOND, FindingChange(a_finding(count=1 + n), closed=n == 20))
        for n in range(21)
    ]
    simulation.run(changes, NOW + HOUR)

    told = [(d.route, d.activity) for _, d in simulation.arrived]
    assert [a for r, a in told if r == "chat"] == [Activity.CREATE, Activity.CLOSE]
    assert ("soc", Activity.UPDATE) in told


REPEATING = ReceiverRoute(name="am", repeat=300 * SECOND)


def test_a_receiver_that_forgets_is_told_again_until_the_end() -> None:
    """Every five minutes while it is open, over a restart too; then no more."""
    simulation = Simulation([REPEATING, SOC], lambda *_: (MILLISECOND, OK))
    simulation.run([(NOW, FindingChange(a_finding()))], NOW + HOUR // 2)
    simulation.state = DeliveryState.of_rows(rows_of(simulation.state))
    over = FindingChange(a_finding(), closed=True)
    simulation.run([(NOW + HOUR, over)], NOW + 3 * HOUR)

    told = [(at, d.activity) for at, d in simulation.arrived if d.route == "am"]
    times = [at for at, _ in told]
    gaps = [after - before for before, after in pairwise(times)]
    assert len(told) == 13
    assert max(gaps) <= 301 * SECOND
    assert told[-1][1] is Activity.CLOSE
    assert len([d for _, d in simulation.arrived if d.route == "soc"]) == 2
    assert simulation.state == DeliveryState()


def test_repeats_take_the_place_of_each_other_in_an_outage() -> None:
    """One waits, however long the receiver is away."""
    simulation = Simulation([REPEATING], lambda *_: (MILLISECOND, DOWN))
    simulation.run([(NOW, FindingChange(a_finding()))], NOW + 5 * HOUR)

    activities = [d.activity for d in simulation.state.deliveries.values()]
    assert activities == [Activity.CREATE, Activity.UPDATE]


def test_what_had_no_news_for_a_day_is_repeated_no_more() -> None:
    """Its end was told to another process; it is not to fire for ever."""
    simulation = Simulation([REPEATING], lambda *_: (MILLISECOND, OK))
    simulation.run([(NOW, FindingChange(a_finding()))], NOW + 3 * STALE)

    last, _ = simulation.arrived[-1]
    assert STALE - 301 * SECOND < last - NOW <= STALE


def test_what_was_given_up_begins_anew_with_its_id() -> None:
    """Also after a 410, which replaying takes back."""
    state, (delivery,) = step(
        DeliveryState(), [FindingChange(a_finding())], NOW, routes=[SOC]
    )
    state, dead = settle(state, delivery, AttemptOutcome(status=410), NOW)
    (row,) = finish(dead_rows(dead, NOW)).values()

    state, _ = notify.revive(state, [delivery_of(row)], NOW + HOUR)
    state, (again,) = step(state, [], NOW + HOUR, routes=[SOC])

    assert (again.id, again.attempts) == (delivery.id, 0)
    assert state.disabled == {}
    assert notify.revive(state, [delivery_of(row)], NOW + HOUR) == (state, ())


def test_a_failed_call_costs_no_attempt() -> None:
    """It was tried before its time, so its own attempt is still to come."""
    state, (one, two) = step(
        DeliveryState(),
        [FindingChange(a_finding(1)), FindingChange(a_finding(2))],
        NOW,
        routes=[SOC],
    )
    for delivery in (one, two):
        state, _ = settle(state, delivery, DOWN, NOW)
    due = next_due(state, NOW) or 0
    while len(state.deliveries) == 2:
        state, tried = step(state, [], due, routes=[SOC])
        for delivery in tried[:1]:
            state, _ = settle(state, delivery, OK, due)
        for delivery in tried[1:]:
            state, _ = settle(state, delivery, DOWN, due)
    before = next(iter(state.deliveries.values()))

    state, called = step(state, [], due, routes=[SOC])
    for delivery in called:
        state, _ = settle(state, delivery, DOWN, due)
    (after,) = state.deliveries.values()

    assert (after.attempts, after.next_at) == (before.attempts, before.next_at)
    assert step(state, [], due + 1, routes=[SOC]).due == ()
