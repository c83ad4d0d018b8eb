"""Orders that end or limit: what is read of a body, and the cause that it becomes."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from agents_registry.facts import Effect, Lift
from agents_registry.identifiers import Identifier
from agents_registry.steps import finish
from streams.model.times import DAY, SECOND, rfc3339
from streams.stages.ingest import acts
from streams.stages.ingest.acts import LONGEST, ActError
from streams.stages.ingest.ending_orders import EFFECTS, FIELDS, EndingOrder
from streams.stages.ingest.ingress import Origin
from streams.stages.ingest.order_names import called, digest_of

pytestmark = pytest.mark.unit

NOW = 1_800_000_000 * SECOND
ORIGIN = Origin("operators", "r", NOW, "ann", 3)
AGENT = Identifier("agent.id", "planner")
ROLE = Identifier("aws.role", "arn:aws:iam::1:role/x")
HOUR = 3600 * SECOND


def cause(act: str, target: Identifier = AGENT, **body: Any) -> Any:
    """Make the cause of an order."""
    return EndingOrder.read(act, body, NOW).cause(target, ORIGIN, "o/1", "ann")


def test_each_act_is_an_effect() -> None:
    """With who ordered it and why; what may be given again is not ended for good."""
    for act, effect in EFFECTS.items():
        scopes = ["api|read"] if act == "narrow" else None
        made = cause(act, reason="leaked", scopes=scopes)
        assert (made.effect, made.target, made.at) == (effect, AGENT, NOW)
        assert (made.actor, made.reason) == ("ann", "leaked")
        assert (made.version, made.received_at, made.settings) == (NOW, NOW, 3)
        assert made.not_before == (NOW if effect is Effect.NOT_BEFORE else None)
    assert cause("revoke", ROLE).effect is Effect.NOT_BEFORE
    assert cause("suspend", ROLE).effect is Effect.SUSPEND
    assert cause("narrow", scopes=["a|b", "a|b"], aspect="x").scopes == ("a|b",)


def test_a_little_ahead_is_now_and_more_is_later() -> None:
    """Two seconds are the clock of whoever typed it."""
    soon = EndingOrder.read("revoke", {"at": rfc3339(NOW + SECOND)}, NOW)
    assert (soon.at, soon.due_at) == (NOW, None)
    before = EndingOrder.read("revoke", {"at": rfc3339(NOW - HOUR)}, NOW)
    assert (before.at, before.due_at) == (NOW - HOUR, None)
    later = EndingOrder.read("revoke", {"at": rfc3339(NOW + 60 * SECOND)}, NOW)
    assert later.due_at == later.at == NOW + 60 * SECOND
    made = later.cause(AGENT, ORIGIN, "o/1", "ann")
    assert (made.version, made.at, made.received_at) == (later.at, later.at, NOW)


@pytest.mark.parametrize(
    ("act", "body", "says"),
    [
        ("revoke", {"reason": "x" * 1001}, "reason is a text of at most 1000"),
        ("revoke", {"at": "noon"}, "at is not a time"),
        ("revoke", {"at": rfc3339(NOW + LONGEST + DAY)}, "at lies ahead by more than"),
        ("revoke", {"for": "2h"}, "a revoke is for good and takes no end: suspend it"),
        ("not_before", {"until": rfc3339(NOW + DAY)}, "a not-before is for good"),
        ("suspend", {"for": "2 hours"}, "for is no length of time: write"),
        ("suspend", {"for": 5}, "for is no length of time"),
        ("suspend", {"for": "0h"}, "for is no length of time"),
        ("suspend", {"until": rfc3339(NOW)}, "until lies after its beginning"),
        ("suspend", {"until": rfc3339(NOW + 2 * LONGEST)}, "by at most 366 days"),
        ("suspend", {"until": "x"}, "until is not a time"),
        ("suspend", {"until": "x", "for": "1h"}, "until or for, and not both"),
        ("suspend", {"aspect": 5}, "aspect is a text"),
        ("narrow", {}, "scopes is a list of 1 to 256 texts"),
        ("narrow", {"scopes": []}, "to leave nothing, suspend it"),
        ("narrow", {"scopes": [""]}, "scopes is a list"),
        ("narrow", {"scopes": "a|b"}, "scopes is a list"),
    ],
)
def test_what_cannot_be_done_says_what_to_change(
    act: str, body: dict[str, Any], says: str
) -> None:
    """Nothing is guessed."""
    with pytest.raises(ActError) as refused:
        EndingOrder.read(act, body, NOW)
    assert says in str(refused.value)


def test_only_what_can_be_lifted_has_an_aspect() -> None:
    """Of the fields that a body may have."""
    assert "aspect" not in FIELDS["revoke"] | FIELDS["not_before"]
    assert {"for", "until", "aspect"} <= FIELDS["suspend"] & FIELDS["narrow"]


def test_many_names_are_told_by_their_number_and_digest() -> None:
    """The digest is that of the sorted lines, as ``sort | sha256sum`` prints it."""
    names = [Identifier("agent.id", str(n)) for n in range(17)]
    assert called(names[:2]) == "agent.id:0, agent.id:1"
    told = called(names)
    assert told == called(names[::-1])
    assert told.startswith("17 identifiers (sha256 ")
    many = [str(n) for n in range(10_000)]
    lines = "".join(f"{one}\n" for one in sorted(many))
    assert digest_of(many) == hashlib.sha256(lines.encode()).hexdigest()
    assert digest_of(["b", "a"]) == (
        "911169ddaaf146aff539f58c26c489af3b892dff0fe283c1c264c65ae5aa59a2"
    )


def test_a_selector_is_one_cause() -> None:
    """With each of its conditions; of what is for good there is none."""
    where = "label.team=payments,label.env=prod,owner=person.id:ann,kind=jwt.jti"
    ending = EndingOrder.read("suspend", {"where": where, "for": "2h"}, NOW)
    assert ending.where is not None
    target = ending.where.cause_parts()[0]
    made = ending.cause(target, ORIGIN, "o/1", "ann")
    assert (made.target, made.kinds) == (("label.env", "prod"), ("jwt.jti",))
    assert set(made.where) == {
        ("label.team", "payments"), ("owner.of", "person.id:ann")
    }  # fmt: skip
    assert made.until == NOW + 2 * HOUR
    for act in ("revoke", "not_before"):
        with pytest.raises(ActError, match="names identifiers: name them"):
            EndingOrder.read(act, {"where": where}, NOW)
    with pytest.raises(ActError, match="name a label that it sets"):
        EndingOrder.read("suspend", {"where": "authority=aws"}, NOW)


def test_a_selector_is_lifted_by_itself_alone() -> None:
    """However its conditions are ordered, and however long it is."""
    for first, second in (
        ("label.a=1,kind=jwt.jti", "kind=jwt.jti,label.a=1"),
        (f"label.a={'x' * 250}", f"label.a={'x' * 250}"),
    ):
        ending = EndingOrder.read("suspend", {"where": first}, NOW)
        (lifted,) = lift(where=second).facts
        assert isinstance(lifted, Lift)
        assert ending.where is not None
        assert (lifted.target, lifted.aspect) == (
            ending.where.cause_parts()[0], ending.aspect
        )  # fmt: skip
        assert 0 < len(lifted.aspect) <= 200
    (other,) = lift(where="label.a=1").facts
    assert isinstance(other, Lift)
    assert other.aspect == "label.a=1"


def test_an_aspect_lifts_what_was_suspended_by_the_same_selector_alone() -> None:
    """Of two selectors on one label, suspended for one case, the other one stays."""
    first, second = "label.a=1,kind=jwt.jti", "label.a=1"
    endings = [
        EndingOrder.read("suspend", {"where": where, "aspect": "case-7"}, NOW)
        for where in (first, second)
    ]
    made = lift(where=first, aspect="case-7")
    (lifted,) = made.facts
    assert isinstance(lifted, Lift)
    assert "aspect case-7" in made.summary
    assert [lifted.aspect == each.aspect for each in endings] == [True, False]
    (whole,) = lift(where=first).facts
    assert isinstance(whole, Lift)
    assert whole.aspect not in {each.aspect for each in endings}


def test_others_have_their_turn_while_an_order_on_many_names_is_told() -> None:
    """To sort and digest 10,000 names at once holds a loop above 20 ms."""
    names = tuple(Identifier("jwt.jti", str(n)) for n in range(1000))
    body = {"reason": "r", "labels": ["team=a"]}
    for make in (acts.lifting, acts.labelling):
        steps = sum(1 for _ in make(body, ORIGIN, "o", names))
        assert steps >= 3 * len(names)  # to read, to write and to digest each


def lift(**body: Any) -> acts.OperatorAct:
    """Lift two names."""
    names = (AGENT, ROLE)
    return finish(acts.lifting({"reason": "r", **body}, ORIGIN, "o", names))


def test_a_lift_for_later_ends_what_was_suspended_by_then() -> None:
    """Its version is the time at which it is carried out."""
    now = lift(aspect="risk")
    assert now.due_at is None
    assert now.summary.endswith("aspect risk, as operators")
    later = lift(at=rfc3339(NOW + HOUR))
    assert later.due_at == NOW + HOUR
    for number, fact in enumerate(later.facts, 1):
        assert isinstance(fact, Lift)
        assert (fact.version, fact.stamped) == (NOW + HOUR, True)
        assert fact.event_id == f"o/{number}"
    with pytest.raises(ActError, match="at lies in the past"):
        lift(at=rfc3339(NOW - HOUR))
