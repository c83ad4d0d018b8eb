"""Short ways to write a case: facts in seconds, a question, the reasons to deny.

`decides` asks the model, and the registry after every order of arrival of a small
case (a sample of the orders of a larger one), each with repetitions; and one that was
written down and taken up again.
"""

from __future__ import annotations

from itertools import islice, permutations
from random import Random
from typing import TYPE_CHECKING, Any

from agents_registry.facts import (
    SECOND,
    Alias,
    Cause,
    Distrust,
    Edge,
    Effect,
    Fact,
    Holds,
    Horizon,
    LabelSet,
    Lift,
    Node,
    OwnerSet,
    Reach,
    Relation,
    Renewal,
    ScopeSet,
    Withdraw,
)  # fmt: skip
from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from tests.property.agreement import again, answer, right_answers, table, wrong
from tests.property.worlds import Question, withdrawal
from tests.standing import standing

if TYPE_CHECKING:
    from collections.abc import Iterable

SELF = Reach.SELF
ENDS = Relation.ENDS_WITH_PARENT
ALWAYS = Relation.ENDS_WITH_PARENT_ALWAYS
CREATED_BY = Relation.CREATED_BY
LIVES: frozenset[str] = frozenset()
ORDERS = 120

# Short names; the letters tell the class.
t1, t2, t3, t4 = (Identifier("vault.accessor", f"t{i}") for i in (1, 2, 3, 4))
jti = Identifier("jwt.jti", "j")
alice, bob, carol = (Identifier("person.id", n) for n in ("alice", "bob", "carol"))
agent = Identifier("agent.id", "agent")
path = Identifier("vault.path", "auth/kubernetes")
team, prod = (Identifier("label.team", "pay"), Identifier("label.env", "prod"))
mail = Identifier("attribute.mail", "aa")


def said(options: dict[str, Any]) -> dict[str, Any]:
    """Give what every fact carries, from seconds."""
    version = options.pop("v", 1)
    received = options.pop("received", max(version, 1000))
    return {
        "authority": options.pop("by", "vault"),
        "version": int(version * SECOND),
        "received_at": int(received * SECOND),
        "stamped": options.pop("stamped", False),
        "ingress_key": options.pop("key", "key"),
        **options,
    }


def time(seconds: float | None) -> int | None:
    """Give ns."""
    return None if seconds is None else int(seconds * SECOND)


def node(name: Identifier, issued: float | None = None, **options: Any) -> Node:
    """State a node."""
    return Node(node=name, issued_at=time(issued), **said(options))


def edge(
    child: Identifier,
    parent: Identifier,
    relation: Relation = Relation.REQUIRES,
    **options: Any,
) -> Edge:
    """Hang a child on a parent."""
    return Edge(child=child, parent=parent, relation=relation, **said(options))


def alias(first: Identifier, second: Identifier, **options: Any) -> Alias:
    """Name a node twice."""
    return Alias(first=first, second=second, **said(options))


def owned(name: Identifier, *owners: Identifier, **options: Any) -> OwnerSet:
    """Set owners."""
    return OwnerSet(node=name, owners=owners, **said(options))


def expires(name: Identifier, at: float | None, **options: Any) -> Renewal:
    """Set the expiry."""
    return Renewal(node=name, expires_at=time(at), **said(options))


def declares(name: Identifier, *scopes: str, **options: Any) -> ScopeSet:
    """Declare scopes."""
    return ScopeSet(node=name, scopes=scopes, **said(options))


def labelled(name: Identifier, *labels: Identifier, **options: Any) -> LabelSet:
    """Set labels."""
    return LabelSet(node=name, labels=labels, **said(options))


def holds(name: Identifier, attribute: Identifier, **options: Any) -> Holds:
    """Let a node hold an attribute."""
    return Holds(node=name, attribute=attribute, **said(options))


def cause(target: Identifier, effect: Effect, **options: Any) -> Cause:
    """End or limit a target at time ``at`` (default: its version)."""
    options["at"] = time(options.get("at", options.get("v", 1)))
    options["not_before"] = time(options.pop("mark", None))
    options["until"] = time(options.get("until"))
    return Cause(target=target, effect=effect, **said(options))


def revoke(target: Identifier, **options: Any) -> Cause:
    """End a target."""
    return cause(target, Effect.REVOKE, **options)


def suspend(target: Identifier, **options: Any) -> Cause:
    """Suspend a target."""
    return cause(target, Effect.SUSPEND, **options)


def narrow(target: Identifier, *scopes: str, **options: Any) -> Cause:
    """Leave these scopes."""
    return cause(target, Effect.NARROW, scopes=scopes, **options)


def not_before(target: Identifier, mark: float, **options: Any) -> Cause:
    """End what was issued up to a time."""
    return cause(target, Effect.NOT_BEFORE, mark=mark, **options)


def lift(target: Identifier, **options: Any) -> Lift:
    """Lift a suspend or narrow."""
    return Lift(target=target, **said(options))


def withdraw(fact: Fact, **options: Any) -> Withdraw:
    """Take a fact back."""
    return withdrawal(fact, **said(options))


def distrust(start: float, end: float, key: str = "stolen", **options: Any) -> Distrust:
    """Take back what a key said in an interval of receive times."""
    return Distrust(
        suspect="vault",
        suspect_key=key,
        received_from=int(start * SECOND),
        received_to=int(end * SECOND),
        **said(options),
    )


def horizon(at: float) -> Horizon:
    """Forget what is older."""
    return Horizon(**said({"v": at, "by": "operators"}))


def decides(
    facts: Iterable[Fact],
    who: Identifier | tuple[Identifier, ...],
    reasons: Iterable[str],
    *,
    strict: bool = False,
    orders: int = ORDERS,
    **ask: Any,
) -> None:
    """Assert that the model and every registry find these reasons; none is allow.

    Args:
        facts: in the order in which a test reads best.
        who: the identifier or identifiers presented.
        reasons: all that the rules give.
        strict: deny unknown credentials; otherwise they pass.
        orders: how many orders of arrival to try at most.
        ask: ``now`` and ``issued`` in seconds, ``chain``, ``scope``.
    """
    facts, reasons = list(facts), set(reasons)
    question = Question(
        (who,) if isinstance(who, Identifier) else who,
        now=int(ask.pop("now", 500) * SECOND),
        issued_at=time(ask.pop("issued", None)),
        lenient=not strict,
        **ask,
    )
    assert right_answers(standing(facts), question) == reasons, "the model"
    random = Random(len(facts))
    ways = list(islice(permutations(facts), orders + 1)) if len(facts) < 6 else []
    if not 0 < len(ways) <= orders:
        ways = [tuple(random.sample(facts, len(facts))) for _ in range(orders)]
    for way in ways:
        arrived = [*way, *random.choices(way, k=2)] if way else []
        verdict = answer(table(arrived), question)
        assert not wrong(verdict, reasons), f"{verdict} after {way}"
        if reasons and not any(isinstance(f, Withdraw | Distrust) for f in facts):
            verdict = answer(waiting(arrived), question)
            assert not verdict.allowed, f"allowed before the rebuild after {way}"
    verdict = answer(again(table(facts)), question)
    assert not wrong(verdict, reasons), f"{verdict} once written down"


def waiting(facts: Iterable[Fact]) -> Registry:
    """Give a table as it is before it is built anew, if it asks for that."""
    registry = Registry()
    for fact in facts:
        registry.apply(fact)
    return registry
