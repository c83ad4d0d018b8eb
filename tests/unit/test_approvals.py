"""Acts that wait: who may approve them, until when, and what is held for its reach."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_registry.facts import Cause, Edge, Effect, Lift, Withdraw, fact_id
from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from schemas import entries
from streams.access_settings import Approvals
from streams.desk import MOST_FACTS, MOST_WAITING, Desk, FullError
from streams.intake import Delivery, NotWrittenError, Receipt
from streams.stages import blast
from streams.stages.acts import Act, ActError
from streams.stages.approvals import HELD, Pending, UndecidedError
from streams.stages.ingress import Origin

NAME = Identifier("agent.id", "x")
LIFT = Lift(
    authority="okta", event_id="e", version=5, stamped=True, received_at=5, target=NAME
)
CAUSE = Cause(
    authority="okta", version=1, received_at=9, target=NAME, effect=Effect.REVOKE,
    at=1, ingress_key="hook",
)  # fmt: skip
PROPOSED, ENDS = 1000, 2000
SPELLINGS = st.sampled_from(["alice", "Alice", " alice ", "ALICE\t"])


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
            mine.approved(person, credential, PROPOSED)


@given(st.integers(min_value=PROPOSED, max_value=2 * ENDS))
def test_an_act_is_approved_before_it_expires(now: int) -> None:
    """What is written is what was proposed, received now."""
    if now < ENDS:
        (fact,) = pending().approved("bob", "bobs", now)
        assert fact == attrs.evolve(LIFT, received_at=now)
        assert fact_id(fact) == fact_id(LIFT)
    else:
        with pytest.raises(UndecidedError) as refused:
            pending().approved("bob", "bobs", now)
        assert refused.value.expired
    assert pending(expires_at=None).approved("bob", "bobs", now)


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


@given(st.integers(min_value=0, max_value=40), st.integers(min_value=1, max_value=40))
def test_a_limit_is_what_may_be_reached(children: int, limit: int) -> None:
    """So many, and not one more."""
    assert blast.exceeds(table(children), CAUSE, limit) is (children > limit)


def test_a_cause_that_stands_is_not_held_again() -> None:
    """And a held one has the same id each time it comes."""
    registry = table(3)
    assert not blast.stands(registry, CAUSE)
    registry.apply(CAUSE)
    assert blast.stands(registry, attrs.evolve(CAUSE, received_at=77))
    again = attrs.evolve(CAUSE, received_at=77)
    assert blast.held(CAUSE, 1, None).id == blast.held(again, 1, None).id
    assert blast.held(CAUSE, 1, None).person == "hook"
    assert blast.held(CAUSE, 1, "alice").person == "alice"


class Shelf:
    """Keeps in memory; fails on demand."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.broken = False

    async def all(self) -> list[bytes]:
        """Give all."""
        return list(self.bodies.values())

    async def put(self, identity: str, body: bytes) -> None:
        """Keep one."""
        self.bodies[identity] = body

    async def forget(self, identity: str) -> None:
        """Forget one, unless broken."""
        if self.broken:
            raise NotWrittenError("broken")
        del self.bodies[identity]


class Log:
    """Remembers what is written."""

    def __init__(self) -> None:
        self.written: list[Any] = []
        self.acts: list[str] = []
        self.signals: list[Any] = []
        self.misfit = 0

    async def records(self, delivery: Delivery) -> Receipt:
        """Take signals."""
        self.signals += delivery.signals
        return Receipt(0, 0, 0, "t")

    async def facts(
        self, facts: Any, origin: Origin, *, actor: str, action: str
    ) -> Receipt:
        """Take facts."""
        assert origin.realm == "r"
        self.written += [(actor, action, fact) for fact in facts]
        return Receipt(len(facts), self.misfit, len(facts), "t")

    async def record_act(self, act: entries.Act) -> None:
        """Take an audit line."""
        self.acts.append(f"{act.actor}: {act.action}")


def desk(now: int = PROPOSED) -> tuple[Desk, Shelf, Log]:
    """Give a desk at which lifts take two persons."""
    shelf, log = Shelf(), Log()
    ids = iter(range(10_000))
    made = Desk(
        shelf=shelf, log=log, rules=Approvals(acts=frozenset({"lift"})), realm="r",
        clock=lambda: now, fresh_id=lambda: str(next(ids)),
    )  # fmt: skip
    return made, shelf, log


ORIGIN = Origin("okta", "r", PROPOSED, "laptop")
ACT = Act("lift", "lift x", "because", (LIFT,))


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
    await made.approve(waiting.id, "bobs", "bob")
    assert await made.waiting() == [waiting]


async def test_the_void_is_swept_with_an_audit_line() -> None:
    """What is held stays, for ever."""
    made, shelf, log = desk(now=ENDS)
    await shelf.put("p1", pending().dump())
    await shelf.put("h1", pending(id="h1", kind=HELD, expires_at=None).dump())
    await shelf.put("other", b"of another version")
    assert [each.id for each in await made.waiting()] == ["h1"]
    await made.sweep()
    assert set(shelf.bodies) == {"h1", "other"}
    assert log.acts == ["rescind: expired p1: lift x"]


async def test_so_much_waits_and_no_more() -> None:
    """Acts do not take the place of what is held, nor one authority another's."""
    made, shelf, _ = desk()
    for number in range(MOST_WAITING):
        kept = pending(id=f"h{number}", kind=HELD)
        await shelf.put(kept.id, kept.dump())
    with pytest.raises(FullError, match="revocations of okta"):
        await made.keep(pending(id="more", kind=HELD), "hook")
    await made.keep(pending(id="other", kind=HELD, authority="aws"), "hook")
    await made.take(ACT, ORIGIN, "laptop", "alice")
    many = attrs.evolve(ACT, facts=(LIFT,) * (MOST_FACTS + 1))
    with pytest.raises(ActError, match="in parts"):
        await made.take(many, ORIGIN, "laptop", "alice")


async def test_a_held_cause_that_is_decided_ends_its_finding() -> None:
    """Approved or rejected."""
    for decide in ("approve", "reject"):
        made, _, log = desk()
        kept = blast.held(CAUSE, 3, None)
        await made.keep(kept, "hook")
        await getattr(made, decide)(kept.id, "bobs", "bob")
        assert [each["over"] for each in log.signals] == [True]
        assert bool(log.written) is (decide == "approve")
