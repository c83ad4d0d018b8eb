"""I6 for alerts: whatever receivers and crashes do, each finding is told to its end.

Virtual time: findings open, change and close while a receiver accepts, fails, accepts
without its answer getting through, or the process is killed with posts under way.
"""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents_registry.identifiers import Identifier
from streams.model.findings import Finding, FindingKind, Severity
from streams.model.times import SECOND
from streams.stages.notify import notify
from streams.stages.notify.deliveries import (
    Activity,
    AttemptOutcome,
    Delivery,
    ReceiverRoute,
)
from streams.stages.notify.notify import FindingChange
from streams.stages.notify.state import DeliveryState
from tests.notify_steps import changes, step

pytestmark = pytest.mark.property

START = 1_764_000_000 * SECOND
ROUTES = [
    ReceiverRoute(name="soc"),
    ReceiverRoute(name="siem"),
    ReceiverRoute(name="chat", in_flight=1, spacing=SECOND),
]
OK = AttemptOutcome(status=200)


def a_finding(number: int) -> Finding:
    """Give a fresh finding."""
    return Finding(
        id=f"f{number}",
        kind=FindingKind.USE_AFTER_REVOCATION,
        severity=Severity(2 + number % 4),
        realm="acme",
        presented=Identifier("aws.access_key", f"AKIA{number}"),
        first_seen=START,
        last_seen=START,
        message="it was used",
    )


class World:
    """The stage, its rows on disk, and receivers that drop repeats."""

    def __init__(self) -> None:
        self.now = START
        self.state = DeliveryState()
        self.disk: dict[str, Any] = {}
        self.truth: dict[str, FindingChange] = {}
        self.under_way: list[Delivery] = []
        self.inbox: dict[str, dict[str, Delivery]] = {r.name: {} for r in ROUTES}

    def save(self, after: DeliveryState) -> None:
        """Write the changed rows, as one transaction does."""
        put, dropped = changes(self.state, after)
        for key in dropped:
            del self.disk[key]
        self.disk |= json.loads(json.dumps(put))
        self.state = after

    def step(self, *news: FindingChange) -> None:
        """Run the stage, save, and only then post."""
        for change in news:
            self.truth[change.finding.id] = change
        after, due = step(self.state, news, self.now, routes=ROUTES)
        self.save(after)
        self.under_way += due

    def settle(self, how: str) -> None:
        """End the attempts under way: ok, failed, or accepted with a lost answer."""
        for delivery in self.under_way:
            if how != "failed":
                self.inbox[delivery.route].setdefault(delivery.id, delivery)
            outcome = OK if how == "ok" else AttemptOutcome(status=500)
            after, dead = notify.settle(self.state, delivery, outcome, self.now)
            assert dead == ()
            self.save(after)
        self.under_way = []

    def crash(self) -> None:
        """Lose all but the disk; what was posted may have arrived."""
        for delivery in self.under_way[::2]:
            self.inbox[delivery.route].setdefault(delivery.id, delivery)
        self.under_way = []
        self.state = DeliveryState.of_rows(self.disk)

    def run_out(self) -> None:
        """Let the receivers be well and the time pass until nothing is left."""
        for _ in range(1000):
            self.step()
            if self.under_way:
                self.settle("ok")
                continue
            due = notify.next_due(self.state, self.now)
            if due is None:
                return
            self.now = due
        pytest.fail("the backlog never ends")


ACTIONS = st.one_of(
    st.tuples(st.just("change"), st.integers(0, 5)),
    st.tuples(st.just("close"), st.integers(0, 5)),
    st.tuples(st.just("settle"), st.sampled_from(["ok", "failed", "answer lost"])),
    st.tuples(st.just("pass"), st.sampled_from([1, 6, 61, 3700])),
    st.tuples(st.just("crash"), st.just(0)),
)


def act(world: World, action: str, value: Any) -> None:
    """Let one thing happen."""
    if action == "settle":
        world.settle(value)
    elif action == "pass":
        world.now += value * SECOND
        world.step()
    elif action == "crash":
        world.crash()
    else:
        known = world.truth.get(f"f{value}", FindingChange(a_finding(value)))
        if not known.closed:
            count = known.finding.count + 1
            finding = attrs.evolve(known.finding, count=count)
            world.step(FindingChange(finding, closed=action == "close"))


@settings(deadline=None)
@given(st.lists(ACTIONS, max_size=40))
def test_every_finding_is_told_to_every_receiver_to_its_end(
    actions: list[tuple[str, Any]],
) -> None:
    """Created first, last counts last, closed when closed, in order."""
    world = World()
    # Nine failures in a row are a dead letter's matter, not this one's.
    failures = 0
    for action, value in actions:
        failures += action == "settle" and value != "ok"
        if failures > 8:
            break
        act(world, action, value)
    world.run_out()

    assert world.state.deliveries == {}
    assert DeliveryState.of_rows(world.disk) == attrs.evolve(world.state, paused={})
    for route in ROUTES:
        told: dict[str, list[Delivery]] = {}
        for delivery in world.inbox[route.name].values():
            told.setdefault(delivery.finding.id, []).append(delivery)
        for identity, change in world.truth.items():
            messages = told.pop(identity)
            assert [m.number for m in messages] == sorted(m.number for m in messages)
            assert messages[0].activity is Activity.CREATE
            assert messages[-1].finding == change.finding
            assert (messages[-1].activity is Activity.CLOSE) == change.closed
        assert told == {}
