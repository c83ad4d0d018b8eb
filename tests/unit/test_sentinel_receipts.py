"""Receipts decide lag against failure, in whatever order they and the uses come."""

from __future__ import annotations

import itertools
from typing import Any

import orjson
import pytest

from agents_registry.facts import Alias, Edge, Effect, OwnerSet
from agents_registry.steps import finish
from streams.model.findings import SEVERITY, FindingKind, Severity
from streams.stages.access.uses import AccessEvent
from streams.stages.sentinel import saved_episodes
from streams.stages.sentinel.episodes import MAX_DOUBTS, MAX_RELATED
from streams.stages.sentinel.points import EnforcementPoints
from tests.unit.test_sentinel import AGENT, COMMON, HASH, TOKEN, Desk, S, revoke

pytestmark = pytest.mark.unit

DOOR = "door"


class Watch(Desk):
    """A desk with a guard at the door, registered at 50 s."""

    def __init__(self, **more: Any) -> None:
        """Register the guard."""
        super().__init__(**more)
        self.sentinel.points.registered(DOOR, 50 * S, enforces=True)

    def enter(self, at: int, applied: int | None = None, **more: Any) -> None:
        """Show that the door let something in at a second."""
        use = AccessEvent((TOKEN,), DOOR, "allowed", at * S, f"e{at}", applied=applied)
        use = use._replace(**more)
        self.keep(finish(self.sentinel.observe([use], self.registry, self.now)))

    def receipt(self, at: int, offset: int | None = None) -> None:
        """Have the guard say at a second that it applied all there is."""
        end = self.end if offset is None else offset
        self.sentinel.points.applied(DOOR, end, at * S)
        news = self.sentinel.points.take_news()
        self.keep(finish(self.sentinel.recheck(news, self.now)))

    def restart(self) -> Watch:
        """Go on in another process with what was saved."""
        again = Watch()
        again.registry, again.end = self.registry, self.end
        again.sentinel.accepted = self.sentinel.accepted
        points: Any = self.sentinel.points
        again.sentinel.points = EnforcementPoints()
        for name, guard in points._guards.items():
            plain = orjson.loads(orjson.dumps(guard.to_plain()))
            again.sentinel.points.restore(name, plain)
        again.sentinel.known.begin(self.end)
        for identity, episode in self.findings.items():
            saved = orjson.loads(orjson.dumps(saved_episodes.save(episode)))
            again.sentinel.episodes.restore(saved_episodes.load(saved))
            again.findings[identity] = saved_episodes.load(saved)
        return again


def test_a_failure_is_critical_and_a_lag_is_not() -> None:
    """The one is a defect, the other a guard that is late."""
    assert Severity.CRITICAL == SEVERITY[FindingKind.ENFORCEMENT_FAILURE]
    assert Severity.HIGH == SEVERITY[FindingKind.ENFORCEMENT_LAG]


@pytest.mark.parametrize("order", list(itertools.permutations("cru")))
def test_the_last_verdict_is_right_in_every_order(order: tuple[str, ...]) -> None:
    """Cause (100 s), receipt (102 s) and use (150 s) may come in any order."""
    watch = Watch()
    offset = watch.end + 1
    steps = {
        "c": lambda: watch.tell(revoke()),
        "r": lambda: watch.receipt(102, offset),
        "u": lambda: watch.enter(150),
    }
    for step in order:
        steps[step]()

    found = dict(watch.found())
    assert 1 == found["enforcement_failure"]
    if order[-1] == "r":  # it was told at once as what it was then
        assert {"enforcement_lag": 1, "enforcement_failure": 1} == found
    else:
        assert {"enforcement_failure"} == found.keys()


@pytest.mark.parametrize("order", list(itertools.permutations("cru")))
def test_a_use_before_the_receipt_is_a_lag_in_every_order(
    order: tuple[str, ...],
) -> None:
    """The receipt of 160 s says nothing of a use at 150 s."""
    watch = Watch()
    offset = watch.end + 1
    steps = {
        "c": lambda: watch.tell(revoke()),
        "r": lambda: watch.receipt(160, offset),
        "u": lambda: watch.enter(150),
    }
    for step in order:
        steps[step]()

    assert [("enforcement_lag", 1)] == watch.found()


@pytest.mark.parametrize(
    ("applied", "found"),
    [(0, "enforcement_lag"), (3, "enforcement_lag"), (4, "enforcement_failure")],
)
def test_an_access_that_says_what_was_applied_decides_alone(
    applied: int, found: str
) -> None:
    """The revocation has offset 3; no receipt ever comes, or one that errs."""
    watch = Watch()
    assert 3 == watch.end
    watch.tell(revoke())
    watch.enter(150, applied)
    watch.receipt(101)

    assert [(found, 1)] == watch.found()


@pytest.mark.parametrize("tie", ["edge", "alias"])
@pytest.mark.parametrize("order", list(itertools.permutations("tu")))
def test_who_did_not_know_the_lineage_did_not_fail(
    tie: str, order: tuple[str, ...]
) -> None:
    """The door had applied the cause, not the fact that ties the token to it."""
    watch = Watch()
    watch.tell(revoke(AGENT))
    watch.receipt(101)
    knew = watch.end
    fact: Any = Edge(child=HASH, parent=AGENT, **COMMON)
    if tie == "alias":
        fact = Alias(first=HASH, second=AGENT, **COMMON)
    for step in order:
        if step == "t":
            watch.tell(fact)
        else:
            watch.enter(150, identifiers=(HASH,))
            watch.enter(151, knew, identifiers=(HASH,))
    assert [("enforcement_lag", 2)] == watch.found()
    watch.receipt(200)
    watch.enter(210, identifiers=(HASH,))
    watch.enter(211, watch.end, identifiers=(HASH,))

    assert [("enforcement_failure", 2), ("enforcement_lag", 2)] == watch.found()


def test_facts_that_come_again_take_no_failure_back() -> None:
    """Every use that is let in may tell of its lineage again."""
    watch = Watch()
    watch.tell(revoke(AGENT))
    watch.tell(Edge(child=TOKEN, parent=AGENT, **COMMON))
    knew = watch.end
    watch.tell(Edge(child=TOKEN, parent=AGENT, **COMMON | {"received_at": 900 * S}))
    watch.enter(150, knew)

    assert [("enforcement_failure", 1)] == watch.found()


def test_where_no_guard_stands_it_is_a_use_after_revocation() -> None:
    """And the same where a guard only observes, whatever the line says."""
    watch = Watch()
    watch.sentinel.points.registered("lab", 50 * S, enforces=False)
    watch.tell(revoke())
    watch.enter(150, point="elsewhere")
    watch.enter(151, point="lab")
    watch.enter(152, watch.end, point="lab")

    assert [("use_after_revocation", 1), ("use_after_revocation", 2)] == watch.found()


def test_the_time_of_the_source_is_its_own() -> None:
    """What came before the acceptance at 200 s no guard could know."""
    watch = Watch()
    watch.tell(revoke(received=200))
    watch.enter(150)
    watch.receipt(201)
    watch.enter(250)

    found = [("enforcement_failure", 1), ("use_after_revocation", 1)]
    assert found == watch.found()
    late = {e.finding.kind.value: e.finding.late_by for e in watch.findings.values()}
    assert {"enforcement_failure": "guard", "use_after_revocation": "source"} == late


def test_a_use_after_the_end_is_high_whoever_was_late() -> None:
    """Told 100 s late by its source, at a point with and at one without a guard."""
    watch = Watch()
    watch.tell(revoke(received=200))
    watch.enter(150)
    watch.enter(151, point="elsewhere")

    told = [each.finding for each in watch.findings.values()]
    assert ["source", "source"] == [each.late_by for each in told]
    assert {Severity.HIGH} == {each.severity for each in told}
    assert {200 * S} == {each.told_at for each in told}


def test_one_use_after_the_source_told_is_what_counts() -> None:
    """Two uses before it told, one long after: the point let it in, not the source."""
    watch = Watch()
    watch.tell(revoke(received=200))
    for at in (150, 151, 260):
        watch.enter(at, point="elsewhere")

    (episode,) = watch.findings.values()
    assert (3, None) == (episode.finding.count, episode.finding.late_by)


def test_uses_within_the_grace_are_counted_alone() -> None:
    """Nobody is told, whoever reports."""
    watch = Watch()
    watch.tell(revoke())
    watch.receipt(100)
    watch.enter(101)

    assert (1, []) == (watch.in_flight, watch.found())


def test_the_failure_opens_at_once_and_names_the_lag() -> None:
    """Path, times and owner are those of the use; the lag keeps its id and count."""
    watch = Watch()
    watch.tell(Edge(child=TOKEN, parent=AGENT, **COMMON))
    watch.tell(revoke(AGENT))
    watch.enter(150, owner="ann")
    (lag,) = watch.findings.values()
    before = lag.finding
    watch.receipt(102)

    lag, failure = sorted(watch.findings.values(), key=lambda e: e.finding.severity)
    assert FindingKind.ENFORCEMENT_FAILURE is failure.finding.kind
    assert (before.path, "ann", ("e150",), 150 * S) == (
        failure.finding.path,
        failure.finding.owner,
        failure.finding.event_ids,
        failure.finding.last_seen,
    )
    assert ("ancestor", before.id) == (failure.finding.via, lag.finding.id)
    assert (failure.finding.id,) == lag.finding.related
    assert (lag.finding.id,) == failure.finding.related
    assert [] == lag.doubts
    watch.receipt(103, watch.end + 9)
    assert 1 == failure.finding.count


def test_a_restart_between_use_and_receipt_loses_nothing() -> None:
    """What is in doubt is saved with its finding, and so are receipts."""
    watch = Watch()
    watch.tell(revoke())
    watch.enter(150)
    again = watch.restart()
    again.receipt(102)

    assert [("enforcement_failure", 1), ("enforcement_lag", 1)] == again.found()
    once_more = again.restart()
    once_more.enter(160)
    assert [("enforcement_failure", 2), ("enforcement_lag", 1)] == once_more.found()


def test_of_many_doubts_the_last_are_kept() -> None:
    """A finding has a bounded size."""
    watch = Watch()
    watch.tell(revoke())
    for at in range(200, 200 + MAX_DOUBTS + 9):
        watch.enter(at)
    (lag,) = watch.findings.values()
    assert MAX_DOUBTS == len(lag.doubts)
    watch.receipt(150)

    assert MAX_DOUBTS == dict(watch.found())["enforcement_failure"]


def test_a_closed_episode_is_not_doubted_any_more() -> None:
    """After the silence it is told of no more."""
    watch = Watch()
    watch.tell(revoke())
    watch.enter(150)
    watch.now += 101 * S
    watch.keep(finish(watch.sentinel.expire(watch.now)))
    watch.receipt(102)

    assert [("enforcement_lag", 1)] == watch.found()


@pytest.mark.parametrize("order", list(itertools.permutations("12a")))
def test_two_names_of_one_credential_name_each_other(order: tuple[str, ...]) -> None:
    """Whenever it turns out; neither finding changes its id, and all is saved."""
    watch = Watch()
    watch.tell(revoke())
    watch.tell(revoke(HASH))
    steps = {
        "1": lambda: watch.use(150, "denied"),
        "2": lambda: watch.use(151, "denied", names=(HASH,)),
        "a": lambda: watch.tell(Alias(first=TOKEN, second=HASH, **COMMON)),
    }
    for step in order:
        steps[step]()
    one, two = watch.findings.values()

    assert ((two.finding.id,), (one.finding.id,)) == (
        one.finding.related,
        two.finding.related,
    )
    assert {TOKEN, HASH} == {one.finding.presented, two.finding.presented}
    for episode in (one, two):
        plain = orjson.loads(orjson.dumps(saved_episodes.save(episode)))
        assert episode == saved_episodes.load(plain)


def test_names_so_many_related_ones_and_no_more() -> None:
    """A credential may be refused at any number of points."""
    watch = Watch()
    watch.tell(Alias(first=TOKEN, second=HASH, **COMMON))
    watch.tell(revoke())
    watch.use(150, "denied", names=(HASH,))
    for number in range(MAX_RELATED + 5):
        use = AccessEvent((TOKEN,), f"p{number}", "denied", 150 * S, None)
        watch.keep(finish(watch.sentinel.observe([use], watch.registry, watch.now)))
    (other,) = (e for e in watch.findings.values() if e.finding.presented == HASH)

    assert MAX_RELATED == len(other.finding.related)
    assert all(
        len(each.finding.related) == 1
        for each in watch.findings.values()
        if each is not other
    )


def test_a_suspension_that_is_over_blames_the_time_that_it_held() -> None:
    """The use is judged by its own time, and by what the point knew by then."""
    watch = Watch()
    watch.tell(revoke().__class__(
        authority="vault", version=100 * S, received_at=100 * S, target=TOKEN,
        effect=Effect.SUSPEND, at=100 * S,
    ))  # fmt: skip
    watch.receipt(101)
    watch.enter(150)

    assert [("enforcement_failure", 1)] == watch.found()


def test_an_owner_who_came_and_went_blames_nobody() -> None:
    """By the facts that the door had, the token was alive when it let it in."""
    watch = Watch()
    said = COMMON | {"received_at": 90 * S}
    first, second = (AGENT,), (HASH,)
    watch.tell(revoke(AGENT))
    watch.tell(OwnerSet(node=TOKEN, owners=first, **said | {"version": 81 * S}))
    watch.tell(OwnerSet(node=TOKEN, owners=second, **said | {"version": 82 * S}))
    knew = watch.end
    watch.receipt(101)
    watch.enter(150, knew)
    watch.enter(160)
    assert {} == watch.findings
    watch.tell(OwnerSet(node=TOKEN, owners=first, **said | {"version": 93 * S}))

    assert [("enforcement_lag", 2)] == watch.found()


def test_who_only_observed_just_before_did_not_fail() -> None:
    """Of the time when a guard began to enforce the clocks are not sure."""
    watch = Watch(skew=5 * S)
    points = watch.sentinel.points
    points.registered(DOOR, 55 * S, enforces=False)
    watch.tell(revoke())
    watch.receipt(101)
    points.registered(DOOR, 200 * S, enforces=True)
    watch.enter(197)
    watch.enter(203)
    watch.enter(207)

    assert [("enforcement_failure", 1), ("use_after_revocation", 2)] == watch.found()


def test_what_was_checked_before_a_guard_enforced_is_no_failure() -> None:
    """A request that a guard let in while it observed may be logged a grace later."""
    watch = Watch()
    points = watch.sentinel.points
    points.registered(DOOR, 55 * S, enforces=False)
    watch.tell(revoke())
    watch.receipt(103)
    points.registered(DOOR, 200 * S, enforces=True)
    watch.enter(201)
    watch.enter(202)
    points.registered(DOOR, 300 * S, enforces=False)
    watch.enter(299)

    assert [("enforcement_failure", 2), ("use_after_revocation", 1)] == watch.found()


def test_a_guard_whose_clock_is_behind_is_not_believed() -> None:
    """It cannot have applied a cause before that was accepted."""
    watch = Watch(skew=5 * S)
    watch.tell(revoke())
    watch.receipt(70)
    watch.enter(110)

    assert [("enforcement_lag", 1)] == watch.found()
