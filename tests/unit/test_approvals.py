"""Acts that wait: who may approve them, until when, and what is held for its reach."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_registry.death import Death, death
from agents_registry.facts import (
    Alias,
    Cause,
    Edge,
    Effect,
    Fact,
    Holds,
    LabelSet,
    Lift,
    Node,
    OwnerSet,
    Relation,
    Renewal,
    Withdraw,
    fact_id,
)
from agents_registry.identifiers import Identifier
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.steps import finish
from agents_registry.verdict import judge
from enforcement import turns
from schemas import entries
from streams.http.auth import CredentialHolder
from streams.http.decisions import take
from streams.http.problems import ProblemError
from streams.ports.keyed_store import PENDING
from streams.services import approval_queue as desk_of
from streams.services import blast_limit
from streams.services.approval_queue import (
    MOST_FACTS,
    MOST_WAITING,
    ApprovalQueue,
    Approved,
    FullError,
)
from streams.services.ingest import Intake
from streams.services.intake import Acceptance, IntakeBatch, NotWrittenError
from streams.settings.access import Approvals
from streams.stages.ingest import acts, blast
from streams.stages.ingest.acts import ActError, OperatorAct
from streams.stages.ingest.approvals import HELD, Pending, UndecidedError
from streams.stages.ingest.ingress import Origin
from tests.integration.serving import until
from tests.unit.kept_bodies import BodiesInMemory

NAME = Identifier("agent.id", "x")
LIFT = Lift(
    authority="okta", event_id="e", version=5, stamped=True, received_at=5, target=NAME
)
CAUSE = Cause(
    authority="okta", version=1, received_at=9, target=NAME, effect=Effect.REVOKE,
    at=1, ingress_key="hook",
)  # fmt: skip
PROPOSED, ENDS = 1000, 2000
MINUTE = 60_000_000_000
WIDE = "".join(chr(ord(each) + 0xFEE0) for each in "alice")  # full-width letters
SPELLINGS = st.sampled_from(["alice", "Alice", " alice ", "ALICE\t", WIDE])


def pending(**more: Any) -> Pending:
    """Give an act that alice proposed."""
    values: dict[str, Any] = {
        "id": "p1", "kind": "lift", "summary": "lift x", "reason": "because",
        "person": "alice", "credential": "laptop", "proposed_at": PROPOSED,
        "expires_at": ENDS, "authority": "okta", "facts": (LIFT,),
    }  # fmt: skip
    return Pending(**values | more)


@given(SPELLINGS, SPELLINGS, st.booleans())
def test_nobody_approves_what_is_their_own(
    first: str, second: str, by_credential: bool
) -> None:
    """However the name is written, and with whichever credential."""
    mine = pending(credential=first) if by_credential else pending(person=first)
    for person, credential in ((second, "phone"), ("bob", second)):
        with pytest.raises(UndecidedError, match="another person"):
            mine.check_approval(person, credential, PROPOSED)


@given(st.integers(min_value=PROPOSED, max_value=2 * ENDS))
def test_an_act_is_approved_before_it_expires(now: int) -> None:
    """What is written is what was proposed, received now."""
    if now < ENDS:
        pending().check_approval("bob", "bobs", now)
        (fact,) = pending().written(now)
        assert fact == attrs.evolve(LIFT, received_at=now)
        assert fact_id(fact) == fact_id(LIFT)
    else:
        with pytest.raises(UndecidedError) as refused:
            pending().check_approval("bob", "bobs", now)
        assert refused.value.expired
    pending(expires_at=None).check_approval("bob", "bobs", now)


def test_what_waits_is_read_as_it_was_kept() -> None:
    """Or not at all."""
    facts = (LIFT, CAUSE, Withdraw(
        authority="operators", version=1, received_at=1, fact_id="ab", kind="cause",
        target=NAME,
    ))  # fmt: skip
    kept = pending(facts=facts)
    assert Pending.load(kept.dump()) == kept
    for body in (b"{}", b"[]", b"no", b'{"facts": [{"fact": "x"}]}'):
        with pytest.raises(ValueError):  # noqa: PT011 - JSON's own, and ours
            Pending.load(body)


def table(children: int) -> Registry:
    """Give a table in which so many agents hang under one."""
    registry = Registry()
    for number in range(children):
        child = Identifier("agent.id", str(number))
        registry.apply(
            Edge(authority="a", version=1, received_at=1, child=child, parent=NAME)
        )
    return registry


def over(registry: Registry, facts: list[Fact], limit: int = 5) -> set[int]:
    """Give the positions of the facts that a limit holds."""
    reach = blast.BatchReach(registry, facts, limit, 10)
    return finish(reach.steps())


@given(st.integers(min_value=0, max_value=40), st.integers(min_value=1, max_value=40))
def test_a_limit_is_what_may_be_reached(children: int, limit: int) -> None:
    """So many, and not one more."""
    assert bool(over(table(children), [CAUSE], limit)) is (children > limit)


SAID: dict[str, Any] = {"authority": "a", "version": 5, "received_at": 5}
NEW, GONE = Identifier("agent.id", "new"), Identifier("agent.id", "gone")
MARKED = Identifier("person.id", "marked")
EXPIRED = Identifier("vault.accessor", "expired")
ENDS_WITH = Relation.ENDS_WITH_PARENT
HELD_BY = Identifier("attribute.email", "aa")
ENDED = [
    Cause(target=GONE, effect=Effect.REVOKE, at=5, **SAID),
    Cause(target=HELD_BY, effect=Effect.REVOKE, at=5, **SAID),
    Cause(target=MARKED, effect=Effect.NOT_BEFORE, at=4, **SAID),
    Edge(child=NAME, parent=MARKED, **SAID),
    Node(node=NAME, issued_at=5, **SAID),
    Renewal(node=EXPIRED, expires_at=9, **SAID),
]
NEWLY_DEAD: dict[str, list[Fact]] = {
    "another name of the large one": [
        Alias(first=NEW, second=NAME, **SAID),
        Cause(target=NEW, effect=Effect.REVOKE, at=5, **SAID),
    ],
    "a new parent of the large one": [
        Cause(target=NEW, effect=Effect.SUSPEND, at=5, **SAID),
        Edge(child=NAME, parent=NEW, **SAID),
    ],
    "a parent that is dead": [Edge(child=NAME, parent=GONE, **SAID)],
    "a dead alias": [Alias(first=GONE, second=NAME, **SAID)],
    "a dead alias, the other way": [Alias(first=NAME, second=GONE, **SAID)],
    "a parent whose expiry ends it": [
        Edge(child=NAME, parent=EXPIRED, relation=ENDS_WITH, **SAID)
    ],
    "dead owners": [OwnerSet(node=NAME, owners=(GONE,), **SAID)],
    "an attribute that is dead": [Holds(node=NAME, attribute=HELD_BY, **SAID)],
    "an older time of issue": [Node(node=NAME, issued_at=3, **SAID)],
    "an expiry that is over": [Renewal(node=NAME, expires_at=9, **SAID)],
}


@pytest.mark.parametrize("how", NEWLY_DEAD)
def test_whatever_ends_too_much_is_over_the_limit(how: str) -> None:
    """Not the cause alone: whatever puts something large under what has ended."""
    registry, facts = table(6), NEWLY_DEAD[how]
    for fact in ENDED:
        registry.apply(fact)
    assert over(registry, facts, 5)
    assert not over(registry, facts, 20)
    for fact in facts:
        registry.apply(fact)
    finally_dead = death(registry, NAME) or judge(registry, Presented((NAME,)), now=10)
    assert isinstance(finally_dead, Death) or not finally_dead.allowed


@pytest.mark.parametrize(
    "fact",
    [
        Edge(child=NAME, parent=NEW, **SAID),
        Edge(child=NAME, parent=GONE, relation=Relation.CREATED_BY, **SAID),
        Edge(child=NAME, parent=EXPIRED, **SAID),
        Alias(first=NEW, second=NAME, **SAID),
        OwnerSet(node=NAME, owners=(GONE, NEW), **SAID),
        OwnerSet(node=NAME, owners=(), **SAID),
        Holds(node=NAME, attribute=Identifier("attribute.email", "bb"), **SAID),
        Node(node=NAME, issued_at=6, **SAID),
        Node(node=NAME, issued_at=5, **SAID),
        Renewal(node=NAME, expires_at=11, **SAID),
        Renewal(node=NAME, expires_at=None, **SAID),
    ],
)
def test_what_ends_nothing_is_under_every_limit(fact: Fact) -> None:
    """Declarations of what lives, however much hangs below."""
    registry = table(6)
    for ended in ENDED:
        registry.apply(ended)
    assert not over(registry, [fact], 1)


def test_a_batch_counts_as_one() -> None:
    """Two halves of what is too much; each alone is not, and what is small passes."""
    registry = table(4)
    other = Identifier("agent.id", "other")
    for number in range(4):
        child = Identifier("agent.id", f"o{number}")
        registry.apply(Edge(child=child, parent=other, **SAID))
    leaf = Identifier("agent.id", "o1")
    causes: list[Fact] = [
        Cause(target=name, effect=Effect.REVOKE, at=5, **SAID)
        for name in (NAME, leaf, other)
    ]
    assert not over(registry, causes[:2], 5)
    assert over(registry, causes, 5) == {0, 2}


def test_what_is_dead_already_is_not_ended_again() -> None:
    """A revocation below one for good counts nothing."""
    registry = table(6)
    registry.apply(Edge(child=NAME, parent=GONE, **SAID))
    registry.apply(Cause(target=GONE, effect=Effect.REVOKE, at=5, **SAID))
    assert not over(registry, [CAUSE], 1)
    assert not over(registry, [Edge(child=NAME, parent=GONE, **SAID)], 1)


def test_a_cause_that_stands_is_not_held_again() -> None:
    """And a held one has the same id each time it comes."""
    registry = table(3)
    assert not blast.stands(registry, CAUSE)
    registry.apply(CAUSE)
    assert blast.stands(registry, attrs.evolve(CAUSE, received_at=77))
    again = attrs.evolve(CAUSE, received_at=77)
    assert blast.held(CAUSE, 1).id == blast.held(again, 1).id
    assert blast.held(CAUSE, 1).person == "hook"


@pytest.mark.parametrize(
    ("fact", "says"),
    [
        (CAUSE, "revoke agent.id:x by okta"),
        (NEWLY_DEAD["a parent that is dead"][0], "edge of {} under agent.id:gone by a"),
        (NEWLY_DEAD["a dead alias"][0], "alias of agent.id:gone under {} by a"),
        (NEWLY_DEAD["dead owners"][0], "owner_set of {} by a"),
        (
            NEWLY_DEAD["an attribute that is dead"][0],
            "holds of {} under attribute.email:aa by a",
        ),
        (NEWLY_DEAD["an expiry that is over"][0], "renewal of {} by a"),
    ],
)
def test_who_decides_reads_what_it_is(fact: Fact, says: str) -> None:
    """What it would end, by what, and who says so; the finding names the same."""
    held = blast.held(fact, 3)
    signal, end = blast.notice(fact, "why"), blast.over(fact)

    expected = f"{says.format('agent.id:x')}, which reaches more than 3 identifiers"
    assert expected == held.summary
    assert (fact.authority, (fact,), None) == (
        held.authority,
        held.facts,
        held.expires_at,
    )
    assert signal["presented"] == end["presented"]
    detail = f"why, the limit of {fact.authority}"
    assert (fact.received_at, detail) == (signal["at"], signal["detail"])
    assert end["over"]


class Log:
    """Remembers what is written."""

    def __init__(self) -> None:
        self.written: list[Any] = []
        self.acts: list[str] = []
        self.signals: list[Any] = []
        self.misfit = 0
        self.also: list[Any] = []

    async def records(self, delivery: IntakeBatch) -> Acceptance:
        """Take signals."""
        self.signals += delivery.signals
        return Acceptance(0, 0, 0, "t")

    async def facts(
        self, facts: Any, origin: Origin, *, actor: str, action: str, also: Any = ()
    ) -> Acceptance:
        """Take facts, and what is forgotten with them."""
        assert origin.realm == "r"
        self.also += also
        self.written += [(actor, action, fact) for fact in facts]
        return Acceptance(len(facts), self.misfit, len(facts), "t")

    async def record_act(self, act: entries.Act) -> None:
        """Take an audit line."""
        self.acts.append(f"{act.actor}: {act.action}")


def desk(now: int = PROPOSED) -> tuple[ApprovalQueue, BodiesInMemory, Log]:
    """Give a desk at which lifts take two persons."""
    kept, log = BodiesInMemory(), Log()
    ids = iter(range(10_000))
    made = ApprovalQueue(
        kept=kept, log=cast("Intake", log), realm="r",
        rules=Approvals(acts=frozenset({"lift"})),
        clock=lambda: now, fresh_id=lambda: str(next(ids)),
    )  # fmt: skip
    return made, kept, log


ORIGIN = Origin("okta", "r", PROPOSED, "laptop")
ACT = OperatorAct("lift", "lift x", "because", (LIFT,))


async def test_an_approval_that_is_not_forgotten_can_be_given_again() -> None:
    """As after a crash in between: the same facts once more."""
    made, shelf, log = desk()
    waiting = await made.take(ACT, ORIGIN, "laptop", "alice")
    assert isinstance(waiting, Pending)
    shelf.broken = True
    with pytest.raises(NotWrittenError):
        await made.approve(waiting.id, "bobs", "bob")
    shelf.broken = False
    assert await made.approve(waiting.id, "bobs", "bob")
    first, second = log.written
    assert first == second
    assert await made.approve(waiting.id, "bobs", "bob") is None


async def test_what_does_not_fit_the_log_waits_on() -> None:
    """Nothing was written, so nothing is forgotten."""
    made, _, log = desk()
    waiting = await made.take(ACT, ORIGIN, "laptop", "alice")
    assert isinstance(waiting, Pending)
    log.misfit = 1
    with pytest.raises(UndecidedError, match="nothing is written: reject it"):
        await made.approve(waiting.id, "bobs", "bob")
    assert await made.waiting() == [waiting]


async def test_the_void_is_swept_with_an_audit_line() -> None:
    """What is held stays, for ever."""
    made, shelf, log = desk(now=ENDS)
    await shelf.put(PENDING, "p1", pending().dump())
    await shelf.put(PENDING, "h1", pending(id="h1", kind=HELD, expires_at=None).dump())
    await shelf.put(PENDING, "other", b"of another version")
    assert [each.id for each in await made.waiting()] == ["h1"]
    await made.sweep()
    assert set(shelf.items(PENDING)) == {"h1", "other"}
    assert log.acts == ["rescind: expired p1: lift x"]


async def test_so_much_waits_and_no_more() -> None:
    """Acts do not take the place of what is held, nor one authority another's."""
    made, shelf, _ = desk()
    for number in range(MOST_WAITING):
        kept = pending(id=f"h{number}", kind=HELD)
        await shelf.put(PENDING, kept.id, kept.dump())
    with pytest.raises(FullError, match="revocations of okta"):
        await made.keep(pending(id="more", kind=HELD), "hook")
    await made.keep(pending(id="other", kind=HELD, authority="aws"), "hook")
    await made.take(ACT, ORIGIN, "laptop", "alice")
    many = attrs.evolve(ACT, facts=(LIFT,) * (MOST_FACTS + 1))
    with pytest.raises(ActError, match="in parts"):
        await made.take(many, ORIGIN, "laptop", "alice")


async def test_what_is_said_again_waits_as_it_did() -> None:
    """However full it is; another who repeats it is not who proposed it."""
    made, shelf, log = desk()
    first = blast.held(CAUSE, 3)
    await made.keep(first, "laptop")
    for number in range(MOST_WAITING):
        kept = pending(id=f"h{number}", kind=HELD)
        await shelf.put(PENDING, kept.id, kept.dump())
    await made.keep(attrs.evolve(blast.held(CAUSE, 3), person="mallory"), "hook")
    assert await made.approve(first.id, "bobs", "bob")
    assert [each.partition(" ")[0] for each in log.acts] == ["laptop:"]
    assert len(log.written) == 1


async def test_a_held_cause_that_is_decided_ends_its_finding() -> None:
    """Approved or rejected."""
    for decide in ("approve", "reject"):
        made, _, log = desk()
        kept = blast.held(CAUSE, 3)
        await made.keep(kept, "hook")
        assert await getattr(made, decide)(kept.id, "bobs", "bob")
        assert await getattr(made, decide)(kept.id, "bobs", "bob") is None
        assert [each["over"] for each in log.signals] == [True]
        assert bool(log.written) is (decide == "approve")


class Tables:
    """Gives a table, or keeps one waiting."""

    def __init__(self, registry: Registry | None, *, late: bool = False) -> None:
        self.registry = registry
        self.late = late

    async def current(self) -> Registry | None:
        """Give it."""
        if self.late:
            await asyncio.Event().wait()
        return self.registry


@pytest.mark.parametrize("late", [False, True])
async def test_what_cannot_be_counted_is_enforced_and_paged(
    monkeypatch: pytest.MonkeyPatch, *, late: bool
) -> None:
    """In doubt it is denied, also where it would be held."""
    monkeypatch.setattr(blast_limit, "TABLE_SECONDS", 0.01)
    made, shelf, _ = desk()
    rule = {"okta": blast_limit.Limit(1, hold=True)}
    limit = blast_limit.BlastLimit(rule, Tables(None, late=late), made)
    sifted = await limit.sift([LIFT, CAUSE], ORIGIN)
    assert (sifted.facts, sifted.held, shelf.items(PENDING)) == ([0, 1], [], {})
    (signal,) = sifted.signals
    assert "could not be counted" in signal["detail"]


async def test_of_a_batch_only_what_is_over_the_limit_is_held() -> None:
    """What an order names counts beside what it reaches, and all of it is over."""
    made, shelf, _ = desk()
    other = attrs.evolve(CAUSE, target=Identifier("agent.id", "other"))
    rule = {"okta": blast_limit.Limit(1, hold=True)}
    limit = blast_limit.BlastLimit(rule, Tables(table(2)), made)
    sifted = await limit.sift([other, CAUSE, LIFT], ORIGIN)
    assert sifted.facts == [0, 2]
    assert len(shelf.items(PENDING)) == 1
    assert await limit.judge([other], ORIGIN) is None
    order = await limit.judge([other, other], ORIGIN, beside=2)
    assert order is not None
    assert (order.positions, order.most, order.hold) == ({0, 1}, 1, True)
    elsewhere = attrs.evolve(ORIGIN, authority="aws")
    assert (await limit.sift([CAUSE], elsewhere)).facts == [0]


async def test_what_cannot_be_kept_is_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The source repeats it."""
    monkeypatch.setattr(desk_of, "MOST_WAITING", 0)
    made, _, _ = desk()
    rule = {"okta": blast_limit.Limit(1, hold=True)}
    limit = blast_limit.BlastLimit(rule, Tables(table(2)), made)
    with pytest.raises(NotWrittenError, match="decide on them first"):
        await limit.sift([CAUSE], ORIGIN)


async def test_the_void_is_swept_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that is down only delays it."""
    monkeypatch.setattr(desk_of, "SWEEP_SECONDS", 0.0)
    made, shelf, _ = desk(now=ENDS)
    shelf.broken = True
    await shelf.put(PENDING, "p1", pending().dump())
    async with asyncio.TaskGroup() as tasks:
        sweeping = tasks.create_task(made.run())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        shelf.broken = False
        await until(lambda: not shelf.items(PENDING))
        sweeping.cancel()


@pytest.mark.parametrize(
    ("wrong", "status"), [("full", 429), ("many", 422), ("misfit", 422)]
)
async def test_why_an_act_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, wrong: str, status: int
) -> None:
    """In a sentence, with the status that fits."""
    made, _, log = desk()
    act = ACT
    if wrong == "full":
        monkeypatch.setattr(desk_of, "MOST_WAITING", 0)
    if wrong == "many":
        monkeypatch.setattr(desk_of, "MOST_FACTS", 0)
    if wrong == "misfit":
        act, log.misfit = attrs.evolve(ACT, kind="owners"), 1
    holder = CredentialHolder("laptop", {"r": frozenset({"restorer"})}, "alice")
    with pytest.raises(ProblemError) as refused:
        await take(made, act, ORIGIN, holder)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"key": "k", "from": "2026-01-01T00:00:00Z"}, "suspect is a text"),
        ({"suspect": "", "key": "k"}, "suspect is missing"),
        ({"suspect": "a", "key": "k" * 300}, "key is a text"),
        ({"suspect": "a", "key": "k"}, "from is not a time"),
        ({"suspect": "a", "key": "k", "from": "9999-99-99"}, "from is not a time"),
        ({"suspect": "a", "key": "k", "from": 5}, "from is not a time"),
    ],
)
def test_what_is_not_said_is_asked_for(body: dict[str, Any], says: str) -> None:
    """Before anything is proposed."""
    with pytest.raises(ActError, match=says):
        acts.distrust(body | {"reason": "r"}, ORIGIN, "e")


async def test_what_would_have_ended_is_not_approved() -> None:
    """Its answer would comfort: nothing would be denied by it. It waits on."""
    made, _, log = desk()
    ends = attrs.evolve(CAUSE, effect=Effect.SUSPEND, until=PROPOSED)
    kept = blast.held(ends, 3)
    await made.keep(kept, "hook")
    with pytest.raises(UndecidedError, match="has no effect: give the order") as no:
        await made.approve(kept.id, "bobs", "bob")
    assert no.value.expired
    assert log.written == []
    assert await made.waiting() == [kept]
    later = blast.held(attrs.evolve(ends, until=PROPOSED + 1), 3)
    await made.keep(later, "hook")
    assert await made.approve(later.id, "bobs", "bob")


async def test_nobody_approves_what_their_own_source_said() -> None:
    """Who has the credential of a source is one person with it."""
    made, _, log = desk()
    made._persons = {"hook": "alice", "other": "carol"}
    kept = blast.held(CAUSE, 3)
    await made.keep(kept, "hook")
    with pytest.raises(UndecidedError, match="another person"):
        await made.approve(kept.id, "laptop", "Alice")
    assert log.written == []
    assert await made.approve(kept.id, "bobs", "bob")


async def test_what_waits_is_read_once_and_in_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a source that fills the list holds the loop at each further revocation."""
    made, shelf, _ = desk()
    for number in range(100):
        kept = pending(id=f"h{number}", kind=HELD)
        await shelf.put(PENDING, kept.id, kept.dump())
    monkeypatch.setattr(turns, "TURN_SECONDS", 0)
    loads: list[bytes] = []
    load = Pending.load

    def counted(body: bytes) -> Pending:
        loads.append(body)
        return load(body)

    monkeypatch.setattr(Pending, "load", counted)
    looking = asyncio.ensure_future(made.waiting())
    others = 0
    while not looking.done():
        await asyncio.sleep(0)
        others += 1
    assert len(looking.result()) == len(loads) == 100
    assert others >= 100
    await made.keep(pending(id="h100", kind=HELD), "hook")
    again = pending(id="h1", kind=HELD, summary="lift y")
    await shelf.put(PENDING, again.id, again.dump())
    await shelf.put(PENDING, "h2", None)
    seen = {each.id: each.summary for each in await made.waiting()}
    assert len(seen) == 100
    assert (seen["h1"], "h2" in seen) == ("lift y", False)
    assert len(loads) == 102


def selected(wide: int, narrow: int, *kinds: str) -> set[int]:
    """Hold a selector with a wide label and a narrow one against a limit of five."""
    registry = Registry()
    prod, team = Identifier("label.env", "prod"), Identifier("label.team", "x")
    for number in range(wide):
        child = Identifier("agent.id", str(number))
        labels = (prod, team) if number < narrow else (prod,)
        registry.apply(LabelSet(node=child, labels=labels, **SAID))
        below = Identifier("vault.accessor", str(number))
        registry.apply(Edge(child=below, parent=child, **SAID))
    cause = Cause(
        target=prod, effect=Effect.SUSPEND, at=5, where=(team,), kinds=kinds, **SAID
    )
    return over(registry, [cause])


@pytest.mark.parametrize(
    ("narrow", "kinds", "held"),
    [
        (2, (), False), (3, (), True), (5, ("vault.accessor",), False),
        (6, ("vault.accessor",), True),
    ],
)  # fmt: skip
def test_a_selector_counts_what_meets_all_of_it(
    narrow: int, kinds: tuple[str, ...], held: bool
) -> None:
    """With what hangs on that; its first label may be on very much."""
    assert bool(selected(50, narrow, *kinds)) is held


def test_a_selector_that_very_much_meets_counts_all_below(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is held rather than looked through."""
    monkeypatch.setattr(blast, "MOST_BELOW", 3)
    assert selected(50, 40)
    assert selected(50, 4)
    assert not selected(50, 1)


SUSPEND = attrs.evolve(CAUSE, effect=Effect.SUSPEND, authority="operators")


def test_a_suspend_is_in_force_once_it_is_approved() -> None:
    """A lift that was given while it waited was of something else."""
    waits = pending(kind="suspend", authority="operators", facts=(SUSPEND,))
    for effect in (Effect.SUSPEND, Effect.NARROW):
        kept = attrs.evolve(
            waits, facts=(attrs.evolve(SUSPEND, effect=effect, scopes=("a|b",)),)
        )
        (cause,) = finish(kept.accepted(PROPOSED + 5 * MINUTE))
        registry = Registry()
        registry.apply(
            Lift(
                authority="operators", event_id="l", version=PROPOSED + MINUTE,
                stamped=True, received_at=PROPOSED + MINUTE, target=NAME,
            )
        )  # fmt: skip
        registry.apply(cause)
        (found,) = registry.causes.all()
        assert registry.causes.in_force(found, now=PROPOSED + 5 * MINUTE)


def test_what_was_proposed_with_a_time_of_its_own_keeps_it() -> None:
    """An end, what a source said, and what begins later."""
    later = PROPOSED + 9 * MINUTE
    for fact, authority in (
        (attrs.evolve(CAUSE, authority="operators"), "operators"),
        (attrs.evolve(SUSPEND, authority="okta"), "okta"),
        (attrs.evolve(SUSPEND, version=later), "operators"),
        (LIFT, "operators"),
    ):
        waits = pending(authority=authority, facts=(fact,))
        (written,) = finish(waits.accepted(PROPOSED + MINUTE))
        assert fact_id(written) == fact_id(fact)


async def test_who_approves_is_told_the_id_of_what_was_written() -> None:
    """By which closure is asked for; none where it is several, or no cause."""
    for fact, has in ((SUSPEND, True), (LIFT, False)):
        made, shelf, log = desk()
        kept = pending(authority="operators", facts=(fact,))
        await shelf.put(PENDING, kept.id, kept.dump())
        done = await made.approve(kept.id, "bobs", "bob")
        ((_, _, written),) = log.written
        assert isinstance(done, Approved)
        assert done.cause == (fact_id(written).hex() if has else None)
