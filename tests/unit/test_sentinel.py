"""Accesses meet causes in either order, once, and become the right finding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from agents_registry.facts import (
    Alias,
    Cause,
    Edge,
    Effect,
    Fact,
    Lift,
    Node,
    OwnerSet,
    ScopeSet,
    Withdraw,
    fact_id,
)
from agents_registry.identifiers import Identifier
from agents_registry.reach import Reached
from agents_registry.registry import Registry
from agents_registry.steps import finish
from agents_registry.uncaused import Uncaused
from streams.model.findings import FindingKind
from streams.stages.access.index import FAN
from streams.stages.access.joining import SINGLES
from streams.stages.access.uses import AccessEvent
from streams.stages.posture.posture import Limits
from streams.stages.registry.registry import condemned, dead, root
from streams.stages.sentinel import issue_recheck, saved_episodes
from streams.stages.sentinel import messages as finding_messages
from streams.stages.sentinel import scope_recheck as late_limits
from streams.stages.sentinel.episode import Episode, Sighting
from streams.stages.sentinel.prior_findings import PriorFindings
from streams.stages.sentinel.revocation_offsets import Accepted
from streams.stages.sentinel.sentinel import Sentinel
from streams.stages.sentinel.tolerances import Tolerances
from tests.noted import note

if TYPE_CHECKING:
    from streams.stages.sentinel.step import Outputs

pytestmark = pytest.mark.unit

S = 1_000_000_000
AGENT = Identifier("agent.instance", "a")
TOKEN = Identifier("vault.accessor", "t")
HASH = Identifier("vault.token_hmac", "h")
USER = Identifier("agent.id", "u")
LATE = Identifier("vault.accessor", "late")
SHADOW = Identifier("vault.accessor", "shadow")
COMMON: dict[str, Any] = {"authority": "vault", "version": 1, "received_at": 200 * S}


class Desk:
    """A table and a sentinel that get facts and accesses one by one."""

    def __init__(self, skew: int = 0) -> None:
        """Start with three known credentials."""
        tolerances = Tolerances(
            skew, grace=S, remember=1000 * S, silence=100 * S,
            posture=Limits(settle=60 * S),
        )  # fmt: skip
        self.registry = Registry()
        self.facts: list[Fact] = []
        self.sentinel = Sentinel("r", tolerances)
        self.now = 1000 * S
        self.end = 0
        self.findings: dict[str, Episode] = {}
        self.saved: dict[str, bytes] = {}
        self.in_flight = 0
        self.undated = 0
        for node in (AGENT, TOKEN, HASH):
            self.tell(Node(node=node, issued_at=1, **COMMON))

    def tell(self, fact: Fact) -> None:
        """Apply a fact and what follows from it."""
        self.registry.apply(fact)
        note(self.sentinel, fact, self.end)
        self.end += 1
        self.facts.append(fact)
        start = root(self.registry, fact, Uncaused(self.registry))
        if self.registry.needs_rebuild:
            self.registry = Registry.build(self.facts)
            self.sentinel.known.rebuilt(self.end)
            self.keep(finish(self.sentinel.follow(self.registry, self.now)))
        if start is not None:
            node = self.registry.lineage.find(start)
            found = finish(condemned(self.registry, Reached(self.registry, [node])))
            pairs = [(name, why.cause.fact_id) for name, why in dead(found)]
            self.sentinel.known.note(pairs, self.end)
            names = [each.identifier for each in found]
            self.keep(finish(self.sentinel.reconsider(names, self.registry, self.now)))

    def use(
        self,
        at: int,
        outcome: str = "allowed",
        names: tuple[Identifier, ...] = (TOKEN,),
        event_id: str | None = None,
        scopes: tuple[str, ...] | None = None,
    ) -> None:
        """Show an access at a time in seconds."""
        use = AccessEvent(names, "door", outcome, at * S, event_id or f"{at}{outcome}")
        use = use._replace(scopes=scopes)
        self.keep(finish(self.sentinel.observe([use], self.registry, self.now)))

    def wait(self, seconds: int) -> None:
        """Let time pass, and do what is done then."""
        self.now += seconds * S
        while self.sentinel.unsettled(self.now):
            self.keep(finish(self.sentinel.settle(self.registry, self.now)))
        self.keep(finish(self.sentinel.end_declared(self.registry, self.now)))
        self.keep(finish(self.sentinel.expire(self.now)))

    def keep(self, outputs: Outputs) -> None:
        """Collect findings."""
        self.findings |= outputs.episodes
        for name, body in outputs.uses.items():
            if body is None:
                self.saved.pop(name, None)
            else:
                self.saved[name] = body
        self.in_flight += outputs.in_flight
        self.undated += outputs.undated

    def found(self) -> list[tuple[str, int]]:
        """Give kind and count of every finding."""
        return sorted(
            (e.finding.kind.value, e.finding.count) for e in self.findings.values()
        )


def revoke(target: Identifier = TOKEN, at: int = 100, received: int = 100) -> Cause:
    """Give a revocation at a time in seconds."""
    return Cause(
        authority="vault", version=at * S, received_at=received * S, target=target,
        effect=Effect.REVOKE, at=at * S,
    )  # fmt: skip


@pytest.mark.parametrize("first", ["use", "cause"])
def test_order_does_not_matter(first: str) -> None:
    """The same finding comes out whether the use or the cause was seen first."""
    desk = Desk()
    if first == "use":
        desk.use(150)
    desk.tell(revoke())
    if first == "cause":
        desk.use(150)

    assert desk.found() == [("use_after_revocation", 1)]


@pytest.mark.parametrize("late", ["edge", "alias"])
def test_late_lineage_condemns_an_earlier_use(late: str) -> None:
    """A use of a child is found when the fact that ties it comes last."""
    desk = Desk()
    desk.tell(revoke(AGENT))
    desk.use(150, names=(HASH,))
    assert desk.found() == []
    if late == "edge":
        desk.tell(Edge(child=HASH, parent=AGENT, **COMMON))
    else:
        desk.tell(Alias(first=HASH, second=AGENT, **COMMON))

    (episode,) = desk.findings.values()
    assert (HASH, AGENT) == (episode.finding.presented, episode.finding.path[-1])
    assert ("ancestor" if late == "edge" else "direct") == episode.finding.via


@pytest.mark.parametrize("late", ["edge", "alias"])
def test_late_lineage_of_a_principal_condemns_what_hangs_on_it(late: str) -> None:
    """A watermark kills credentials alone: the agent between lives on."""
    desk = Desk()
    owner, agent = Identifier("agent.id", "owner"), Identifier("agent.id", "agent")
    watermark = attrs.evolve(revoke(owner), effect=Effect.NOT_BEFORE)
    for fact in (watermark, Edge(child=TOKEN, parent=agent, **COMMON)):
        desk.tell(fact)
    desk.use(150)
    if late == "edge":
        desk.tell(Edge(child=agent, parent=owner, **COMMON))
    else:
        desk.tell(Alias(first=agent, second=owner, **COMMON))

    assert [("use_after_revocation", 1)] == desk.found()


@pytest.mark.parametrize("last", ["cause", "edge"])
def test_a_suspension_that_is_over_condemns_what_was_used_meanwhile(last: str) -> None:
    """All of it comes late: the use, the end of the suspension, and then its begin."""
    desk = Desk()
    suspend = attrs.evolve(revoke(AGENT), effect=Effect.SUSPEND)
    lift = Lift(target=AGENT, authority="vault", version=160 * S, received_at=160 * S)
    facts = [lift, suspend, Edge(child=TOKEN, parent=AGENT, **COMMON)]
    desk.use(99)
    desk.use(150)
    desk.use(161)
    for fact in facts if last == "edge" else (facts[2], facts[0], facts[1]):
        desk.tell(fact)

    assert [("use_after_revocation", 1)] == desk.found()


@pytest.mark.parametrize(
    ("at", "outcome", "received", "kinds"),
    [
        (100, "allowed", 100, []),
        (99, "denied", 100, []),
        (101, "denied", 100, ["blocked_attempt"]),
        (101, "allowed", 100, []),
        (150, "allowed", 200, ["use_after_revocation"]),
        (150, "allowed", 100, ["use_after_revocation"]),
    ],
)
def test_names_what_an_access_shows(
    at: int, outcome: str, received: int, kinds: list[str]
) -> None:
    """Kind follows from outcome, grace, and when the cause was accepted."""
    desk = Desk()
    desk.tell(revoke(received=received))
    desk.use(at, outcome)

    assert kinds == [kind for kind, _ in desk.found()]


def test_counts_what_was_in_flight() -> None:
    """A use within the grace is counted and alerts nobody."""
    desk = Desk()
    desk.tell(revoke())
    desk.use(101)

    assert (1, {}) == (desk.in_flight, desk.findings)


def test_an_earlier_cause_makes_more_of_what_was_in_flight() -> None:
    """In flight of the cause that was known; long dead of one that came late."""
    desk = Desk()
    desk.tell(revoke())
    desk.use(101)
    desk.tell(revoke(AGENT, at=99, received=99))
    desk.tell(revoke(AGENT, at=50, received=50))
    desk.tell(Edge(child=TOKEN, parent=AGENT, **COMMON))
    desk.tell(revoke(at=40, received=40))

    assert [("use_after_revocation", 1)] == desk.found()
    assert 1 == desk.in_flight


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (1, 0, 2)])
def test_a_cause_was_accepted_with_its_earliest_copy(order: tuple[int, ...]) -> None:
    """A source that repeats itself does not make late what was known in time."""
    desk = Desk()
    for number in order:
        desk.tell(revoke(at=100, received=120 + 50 * number))
    copies = [Accepted((120 + 50 * each) * S, 3 + n) for n, each in enumerate(order)]
    (accepted,) = desk.sentinel.accepted.values()
    desk.use(130)

    assert Accepted(120 * S, 3, authority="vault") == accepted
    assert 120 * S == min(copy.at for copy in copies)
    assert [("use_after_revocation", 1)] == desk.found()


def test_tolerates_skew_between_clocks() -> None:
    """With a skew of 10 s an access 5 s after the cause says nothing."""
    desk = Desk(skew=10 * S)
    desk.tell(revoke())
    desk.use(105, "denied")

    assert desk.found() == []


def test_tolerates_skew_at_the_end_of_a_suspension() -> None:
    """Whoever logs in right after it is over may log a time just before that."""
    desk = Desk(skew=10 * S)
    desk.tell(attrs.evolve(revoke(), effect=Effect.SUSPEND))
    desk.tell(Lift(target=TOKEN, authority="vault", version=200 * S,
                   received_at=200 * S))  # fmt: skip
    for at in (195, 201, 209):
        desk.use(at)
    assert desk.found() == []
    desk.use(189)

    assert [("use_after_revocation", 1)] == desk.found()


AGAIN: dict[str, tuple[Identifier, tuple[Fact, ...]]] = {
    "lift": (
        TOKEN,
        (
            attrs.evolve(revoke(), effect=Effect.SUSPEND),
            Lift(target=TOKEN, authority="vault", version=120 * S, received_at=120 * S),
        ),
    ),
    "issue": (
        LATE,
        (
            attrs.evolve(revoke(USER), effect=Effect.NOT_BEFORE),
            Edge(child=LATE, parent=USER, **COMMON),
            Node(node=LATE, issued_at=110 * S, **COMMON),
        ),
    ),
    "owners": (
        HASH,
        (
            OwnerSet(node=HASH, owners=(TOKEN,), **COMMON),
            revoke(),
            OwnerSet(node=HASH, owners=(AGENT,), **COMMON | {"version": 9}),
        ),
    ),
}


@pytest.mark.parametrize("what", AGAIN)
def test_what_is_taken_back_condemns_earlier_uses(what: str) -> None:
    """A lift, an issue that a watermark spared, the only owner that lives."""
    desk = Desk()
    name, facts = AGAIN[what]
    for fact in facts:
        desk.tell(fact)
    desk.use(150, names=(name,))
    assert desk.found() == []
    desk.tell(
        Withdraw(
            authority="operators", version=300 * S, received_at=300 * S, target=name,
            fact_id=fact_id(facts[-1]).hex(), kind=facts[-1].NAME,
        )
    )  # fmt: skip

    assert [("use_after_revocation", 1)] == desk.found()


def test_judges_by_the_time_of_the_use() -> None:
    """A use during a suspension is found after the suspension was lifted."""
    desk = Desk()
    desk.tell(Cause(authority="vault", version=100 * S, received_at=100 * S,
                    target=TOKEN, effect=Effect.SUSPEND, at=100 * S))  # fmt: skip
    desk.tell(Lift(authority="vault", version=200 * S, received_at=200 * S,
                   target=TOKEN))  # fmt: skip
    desk.use(150)
    desk.use(250)

    assert desk.found() == [("use_after_revocation", 1)]


def test_a_line_that_comes_twice_is_one_use() -> None:
    """A source repeats what it was not acknowledged."""
    desk = Desk()
    desk.tell(revoke())
    desk.use(150, event_id="e")
    desk.use(150, event_id="e")

    assert desk.found() == [("use_after_revocation", 1)]


def test_a_second_cause_reports_no_use_again() -> None:
    """Each use is reported once, whatever condemns it later."""
    desk = Desk()
    desk.use(150)
    desk.tell(Edge(child=TOKEN, parent=AGENT, **COMMON))
    desk.tell(revoke())
    desk.tell(revoke(AGENT))

    assert desk.found() == [("use_after_revocation", 1)]


LIMIT = ScopeSet(node=AGENT, scopes=("api|read",), **COMMON)
NARROW = attrs.evolve(revoke(AGENT), effect=Effect.NARROW, scopes=("api|read",))
TIE = Edge(child=TOKEN, parent=AGENT, **COMMON)
ANN = Identifier("person.id", "ann")
OWNED = OwnerSet(node=AGENT, owners=(ANN,), **COMMON)
NARROW_OWNED = attrs.evolve(NARROW, target=Identifier("owner.of", str(ANN)))
LATE_LIMITS: dict[str, tuple[Fact, ...]] = {
    "scopes": (TIE, LIMIT),
    "edge": (LIMIT, TIE),
    "narrowing": (TIE, NARROW),
    "narrowing of what an owner has": (TIE, OWNED, NARROW_OWNED),
    "owner": (NARROW_OWNED, TIE, OWNED),
    "alias": (LIMIT, Alias(first=AGENT, second=TOKEN, **COMMON)),
    "its own": (attrs.evolve(LIMIT, node=TOKEN),),
    "what is taken back": (
        TIE, NARROW,
        lift := Lift(target=AGENT, authority="vault", version=120 * S,
                     received_at=120 * S),
        Withdraw(authority="operators", version=300 * S, received_at=300 * S,
                 target=AGENT, fact_id=fact_id(lift).hex(), kind=lift.NAME),
    ),
}  # fmt: skip


@pytest.mark.parametrize("late", LATE_LIMITS)
@pytest.mark.parametrize("after", [0, 1, 9])
def test_a_use_beyond_its_scopes_is_told_in_whatever_order(
    late: str, after: int
) -> None:
    """The use is shown first, or after the first facts, or after all of them."""
    desk = Desk()
    facts = LATE_LIMITS[late]
    for fact in facts[:after]:
        desk.tell(fact)
    for _ in range(5):  # a line that comes again is one use
        desk.use(150, scopes=("api|pay",), event_id="e")
        desk.use(150, "denied", scopes=("api|pay",))
        desk.use(150, scopes=("api|read",), event_id="r")
    for fact in facts[after:]:
        desk.tell(fact)
    desk.wait(0)
    desk.use(150, scopes=("api|pay",), event_id="e")
    desk.wait(0)

    assert [("scope_violation", 1)] == desk.found()


@pytest.mark.parametrize(("at_once", "most"), [(2, 100), (3, 100), (1000, 2)])
def test_late_limits_are_looked_up_in_slices(
    monkeypatch: pytest.MonkeyPatch, at_once: int, most: int
) -> None:
    """A narrowing reaches very many; of too many names everything is looked at."""
    monkeypatch.setattr(late_limits, "AT_ONCE", at_once)
    monkeypatch.setattr(late_limits, "MOST", most)
    desk = Desk()
    names = [Identifier("vault.accessor", str(number)) for number in range(7)]
    for name in names:
        desk.tell(Node(node=name, issued_at=1, **COMMON))
        desk.use(150, names=(name,), scopes=("api|pay",))
    for name in names:
        desk.tell(Edge(child=name, parent=AGENT, **COMMON))
    desk.tell(NARROW)
    desk.wait(0)

    assert [("scope_violation", 1)] * 7 == desk.found()


def issued(at: int, by: str = "vault") -> Node:
    """Tell when the shadow was issued."""
    said = COMMON | {"authority": by}
    return Node(node=SHADOW, issued_at=at * S, **said)


MARK = Cause(
    **COMMON, target=USER, effect=Effect.NOT_BEFORE, at=110 * S, not_before=110 * S
)  # fmt: skip


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("restart", [False, True])
def test_a_late_time_of_issue_ends_what_was_presented_with_the_name(
    many: bool, restart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a restart or after it, of few names or of more than are noted."""
    monkeypatch.setattr(issue_recheck, "MOST", 0 if many else 100)
    desk = Desk()
    for fact in (issued(120), MARK):
        desk.tell(fact)
    desk.use(150, names=(SHADOW, USER))
    assert [] == desk.found()
    if restart:
        before, desk = desk, Desk()
        for fact in (issued(120), MARK, issued(100, "log")):
            desk.tell(fact)
        desk.sentinel.restore(before.saved.items())
    else:
        desk.tell(issued(100, "log"))
    desk.wait(0)

    assert [("use_after_revocation", 1)] == desk.found()


def test_without_a_watermark_no_time_of_issue_matters() -> None:
    """However many are told, one step is done with them."""
    desk = Desk()
    desk.use(150, names=(SHADOW, USER))
    for number in range(2 * issue_recheck.AT_ONCE):
        name = Identifier("jwt.jti", f"{number}")
        desk.sentinel.note_late([Node(node=name, issued_at=1, **COMMON)])
    assert desk.sentinel.unsettled(desk.now)
    finish(desk.sentinel.settle(desk.registry, desk.now))

    assert not desk.sentinel.unsettled(desk.now)


def test_a_restart_holds_uses_against_scopes_that_came_meanwhile() -> None:
    """What was told stays told."""
    desk, again = Desk(), Desk()
    desk.use(150, scopes=("api|pay",))
    again.tell(TIE)
    again.tell(LIMIT)
    again.sentinel.restore(desk.saved.items())
    again.wait(0)
    assert [("scope_violation", 1)] == again.found()
    once_more = Desk()
    once_more.registry = again.registry
    once_more.sentinel.restore((desk.saved | again.saved).items())
    once_more.wait(0)

    assert [] == once_more.found()


def test_facts_are_not_looked_up_where_no_use_tells_its_scopes() -> None:
    """Most logs do not, and every credential that is issued may have scopes."""
    desk = Desk()
    desk.use(150)
    for fact in (TIE, LIMIT, NARROW):
        desk.tell(fact)

    assert not desk.sentinel.unsettled(desk.now)


def test_a_burst_is_counted_in_full() -> None:
    """More uses in a minute than are kept one by one are still all counted."""
    desk = Desk()
    desk.tell(revoke())
    total = SINGLES + 40
    for number in range(total):
        desk.use(150, event_id=str(number))

    assert desk.found() == [("use_after_revocation", total)]


def test_reports_a_credential_that_nobody_declared() -> None:
    """A shadow agent is a finding when it is let in, and none when it is refused."""
    desk = Desk()
    desk.use(150, names=(SHADOW,))
    desk.use(150, "denied", names=(Identifier("vault.accessor", "shade"),))
    desk.wait(59)
    assert desk.found() == []
    desk.use(151, names=(SHADOW,))
    desk.wait(1)
    assert desk.found() == [("unknown_credential", 2)]
    desk.use(152, names=(SHADOW,))

    assert desk.found() == [("unknown_credential", 3)]


@pytest.mark.parametrize("late", ["node", "alias"])
def test_a_line_may_come_before_what_declares_its_credential(late: str) -> None:
    """An access log streams, and who issues credentials is asked each minute."""
    desk = Desk()
    facts = {
        "node": Node(node=SHADOW, issued_at=1, **COMMON),
        "alias": Alias(first=SHADOW, second=TOKEN, **COMMON),
    }
    desk.use(150, names=(SHADOW,))
    desk.wait(59)
    desk.tell(facts[late])
    desk.wait(100)

    assert desk.found() == []


def test_a_finding_is_over_once_its_credential_is_declared() -> None:
    """It was told of for nothing, or put right; other names stay."""
    desk = Desk()
    other = Identifier("vault.accessor", "other")
    for name in (SHADOW, other):
        desk.use(150, names=(name,))
    desk.wait(60)
    desk.tell(Node(node=SHADOW, issued_at=1, **COMMON))
    desk.wait(1)

    assert {SHADOW: False, other: True} == {
        each.finding.presented: each.open for each in desk.findings.values()
    }


def test_what_is_dead_is_told_at_once_whether_it_was_declared_or_not() -> None:
    """Only that nobody declared it waits."""
    desk = Desk()
    desk.tell(revoke(SHADOW))
    desk.use(150, names=(SHADOW,))
    assert desk.found() == [("use_after_revocation", 1)]
    desk.wait(60)

    assert desk.found() == [("unknown_credential", 1), ("use_after_revocation", 1)]


def test_a_line_that_comes_again_tells_of_no_unknown_credential_again() -> None:
    """Neither while it is held nor once it was told, nor after the silence."""
    desk = Desk()
    for _ in range(5):
        desk.use(150, names=(SHADOW,), event_id="e")
    desk.wait(60)
    desk.use(150, names=(SHADOW,), event_id="e")
    desk.wait(101)
    desk.use(150, names=(SHADOW,), event_id="e")
    desk.wait(60)

    assert desk.found() == [("unknown_credential", 1)]


def test_a_restart_loses_no_use_of_an_unknown_credential() -> None:
    """It is told when it would have been, and once."""
    desk, again = Desk(), Desk()
    burst = FAN * 3
    assert burst > SINGLES
    for number in range(FAN):  # the pieces become one, and the last rows
        some = [
            AccessEvent((SHADOW,), "door", "allowed", 150 * S, f"{number}/{n}")
            for n in range(3)
        ]
        desk.keep(finish(desk.sentinel.observe(some, desk.registry, desk.now)))
    again.sentinel.restore(desk.saved.items())
    again.wait(59)
    assert again.found() == []
    again.wait(1)
    assert again.found() == [("unknown_credential", burst)]
    once_more = Desk()
    once_more.sentinel.restore((desk.saved | again.saved).items())
    once_more.wait(60)

    assert once_more.found() == []


def test_what_was_told_of_an_unknown_credential_is_not_held_again() -> None:
    """Who takes its use up again waits for nothing, and tells nothing."""
    desk, again = Desk(), Desk()
    desk.use(150, names=(SHADOW,), event_id="e")
    desk.wait(60)
    (episode,) = desk.findings.values()
    again.sentinel.episodes.told = PriorFindings()
    again.sentinel.episodes.told.add(episode.finding, 1)
    again.sentinel.episodes.restore(attrs.evolve(episode, open=False))
    again.use(150, names=(SHADOW,), event_id="e")
    again.sentinel.episodes.told = None
    again.wait(60)

    assert again.found() == []


@pytest.mark.parametrize(("said", "owner"), [(None, "person.id:ann"), ("bob", "bob")])
def test_the_owner_is_whom_the_line_names_else_the_facts(
    said: str | None, owner: str
) -> None:
    """Few logs say who owns what was used; whoever is told must know whom to ask."""
    desk = Desk()
    for fact in (
        Node(node=USER, **COMMON),
        OwnerSet(node=USER, owners=(Identifier("person.id", "ann"),), **COMMON),
        Edge(child=TOKEN, parent=USER, **COMMON),
        revoke(USER),
    ):
        desk.tell(fact)
    for names in ((TOKEN,), (SHADOW, USER)):
        use = AccessEvent(names, "door", "allowed", 50 * S, None, said)
        uses = [use, use._replace(at=150 * S)]
        desk.keep(finish(desk.sentinel.observe(uses, desk.registry, desk.now)))
    desk.wait(60)

    assert [
        ("unknown_credential", owner),
        ("use_after_revocation", owner),
        ("use_after_revocation", owner),
    ] == sorted((e.finding.kind.value, e.finding.owner) for e in desk.findings.values())


def test_silence_closes_an_episode_and_the_next_use_opens_another() -> None:
    """The new episode has an id of its own."""
    desk = Desk()
    desk.tell(revoke())
    desk.use(150)
    desk.now += 101 * S
    desk.keep(finish(desk.sentinel.expire(desk.now)))
    (first,) = desk.findings.values()
    assert not first.open
    desk.use(260)

    assert [0, 1] == sorted(e.reopened for e in desk.findings.values())


def test_forgets_uses_after_a_day() -> None:
    """What is older belongs to an offline hunt."""
    desk = Desk()
    desk.use(150)
    outputs = finish(desk.sentinel.expire(desk.now + 1001 * S))
    desk.tell(revoke())

    assert [None] == list(outputs.uses.values())
    assert desk.found() == []


def test_state_survives_saving() -> None:
    """Buckets and episodes are the same after a round trip, and go on counting."""
    desk = Desk()
    desk.use(150)
    desk.tell(revoke())
    (episode,) = desk.findings.values()
    again = Desk()
    again.tell(revoke())
    again.sentinel.restore(desk.saved.items())
    again.sentinel.episodes.restore(saved_episodes.load(saved_episodes.save(episode)))
    again.use(151)

    assert again.found() == [("use_after_revocation", 2)]


def test_signals_of_ingress_become_findings() -> None:
    """What ingress refuses is an episode like any other."""
    desk = Desk()
    signal = {"kind": "unauthorised", "presented": list(TOKEN), "point": "okta",
              "at": 5, "event_ids": ["e"], "detail": "why"}  # fmt: skip
    desk.keep(finish(desk.sentinel.report([signal, signal], desk.registry, desk.now)))

    (episode,) = desk.findings.values()
    assert (FindingKind.UNAUTHORISED, 2) == (
        episode.finding.kind,
        episode.finding.count,
    )
    assert episode.finding.message.endswith("why")


@pytest.mark.parametrize(
    ("ended", "effect", "honoured"),
    [
        (Identifier("aws.role", "arn:aws:iam::1:role/r"), "not_before", True),
        (Identifier("vault.path", "auth/people/login/ann"), "not_before", True),
        (Identifier("aws.user", "arn:aws:iam::1:user/ann"), "not_before", False),
        (Identifier("vault.accessor", "a"), "revoke", False),
    ],
)
def test_says_where_the_source_honours_what_is_denied(
    ended: Identifier, effect: str, honoured: bool
) -> None:
    """Sessions of a deleted role work on in AWS: nobody there failed to act."""
    seen = Sighting(
        kind=FindingKind.USE_AFTER_REVOCATION,
        presented=Identifier("aws.access_key", "ASIA1"),
        path=(Identifier("aws.access_key", "ASIA1"), ended),
        cause_at=1,
        cause_effect=effect,
        first_seen=2,
        last_seen=2,
    )

    assert honoured == ("source_still_honours" in finding_messages.message(seen))


JTI = Identifier("jwt.jti", "j")
PERSON = Identifier("person.id", "p")


def ended(at: int) -> Cause:
    """End all tokens of the agent and the person that were issued up to a time."""
    said = COMMON | {"received_at": at * S}
    return Cause(target=USER, effect=Effect.NOT_BEFORE, at=at * S, **said)


@pytest.mark.parametrize("cause_first", [True, False])
@pytest.mark.parametrize(
    ("issued", "kinds"), [(49, ["use_after_revocation"]), (51, []), (None, [])]
)
def test_a_token_is_held_to_the_subject_that_it_comes_with(
    issued: int | None, kinds: list[str], cause_first: bool
) -> None:
    """No fact ties the token to the agent; its line does, and tells its age."""
    desk = Desk()
    desk.tell(Node(node=USER, **COMMON))
    desk.tell(Node(node=JTI, issued_at=60 * S if issued is None else None, **COMMON))
    facts = [ended(50)]
    if cause_first:
        desk.tell(facts.pop())
    at = None if issued is None else issued * S
    use = AccessEvent((JTI, USER), "door", "allowed", 70 * S, "e", issued_at=at)
    desk.keep(finish(desk.sentinel.observe([use], desk.registry, desk.now)))
    for fact in facts:
        desk.tell(fact)

    assert kinds == [kind for kind, _ in desk.found()]


def test_a_token_of_unknown_age_beside_an_ended_subject_is_a_use_of_the_dead() -> None:
    """Nothing tells that it is younger, and the guard would deny it."""
    desk = Desk()
    desk.tell(Node(node=USER, **COMMON))
    desk.tell(Node(node=JTI, **COMMON))
    desk.tell(ended(50))
    desk.use(70, names=(JTI, USER))

    assert ["use_after_revocation"] == [kind for kind, _ in desk.found()]


@pytest.mark.parametrize("cause_first", [True, False])
def test_a_login_after_all_sessions_were_ended_is_counted(cause_first: bool) -> None:
    """A line that names the account alone may be of a new token."""
    desk = Desk()
    desk.tell(Node(node=USER, **COMMON))
    if cause_first:
        desk.tell(ended(50))
    for at in (40, 70, 80):
        desk.use(at, names=(USER,))
    desk.tell(ended(50))

    assert not desk.findings
    assert 2 == desk.undated
