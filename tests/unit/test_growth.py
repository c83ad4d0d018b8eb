"""No table that grows by what anybody declares lies in one dict or set.

One that makes room moves all that it holds in one step, so a million entries would
hold an event loop for longer than its bound. Here some thousands tell which.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest

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
    ScopeSet,
)
from agents_registry.identifiers import VOCABULARY, Identifier
from agents_registry.lineage import NONE, UNKNOWN_TIME, Lineage
from agents_registry.parts import WHOLE
from streams.pipeline.facts_partition import FactsPartition
from streams.stages.posture.posture import Limits, Posture

if TYPE_CHECKING:
    from collections.abc import Iterator

S = 1_000_000_000
NOW = 1_800_000_000 * S
SAID: dict[str, Any] = {"authority": "a", "version": NOW, "received_at": NOW}
LATER: dict[str, Any] = SAID | {"version": NOW + 600 * S, "received_at": NOW + 600 * S}
MANY = WHOLE + 500

pytestmark = pytest.mark.unit


def agent(number: int) -> Identifier:
    """Name an agent."""
    return Identifier("agent.id", f"agent-{number}")


def person(number: int) -> Identifier:
    """Name a person."""
    return Identifier("person.id", str(number))


def about(number: int) -> Iterator[Fact]:
    """Say all that may be said of one agent, and end it."""
    name, owner = agent(number), person(number)
    token = Identifier("jwt.jti", f"{number}")
    yield Node(node=name, issued_at=NOW, **SAID)
    yield Alias(first=token, second=Identifier("github.token", f"{number}"), **SAID)
    for kind in ("client.id", "spiffe.id", "key.id"):
        for parent in (Identifier(kind, "one"), Identifier(kind, f"{number}")):
            edge = Edge(child=name, parent=parent, relation=Relation.REQUIRES, **SAID)
            yield edge
    yield Node(node=owner, issued_at=NOW, **SAID)
    yield OwnerSet(node=name, owners=(owner,), **SAID)
    yield OwnerSet(node=token, owners=(person(0),), **SAID)
    yield OwnerSet(node=token, owners=(), **LATER)
    for scopes in (("read",), ("read", "write")):
        yield ScopeSet(node=name, scopes=scopes, **(LATER | {"stamped": True}))
    for authority in ("a", "b"):
        ends = NOW + number * S
        yield Renewal(node=name, expires_at=ends, **(SAID | {"authority": authority}))
    for label in ("x", f"{number}"):
        labels = (Identifier("label.a", label),)
        yield LabelSet(node=name, labels=labels, **(SAID if label == "x" else LATER))
    yield Holds(node=token, attribute=Identifier("x5t.s256", f"{number}"), **SAID)
    for effect in (Effect.SUSPEND, Effect.REVOKE):
        yield Cause(target=name, effect=effect, at=NOW, **SAID)
    where = (Identifier("label.a", f"{number}"),)
    yield Cause(
        target=name, effect=Effect.NARROW, at=NOW, scopes=("read",), where=where, **SAID
    )
    yield Lift(target=name, **LATER)
    of_owner = Identifier("owner.of", str(owner))
    yield Cause(target=of_owner, effect=Effect.SUSPEND, at=NOW, **SAID)


def large(root: object) -> dict[str, int]:
    """Find the dicts and sets below an object that hold too much, by their owners."""
    found: dict[str, int] = {}
    seen, waiting = {id(root)}, [(root, "")]
    while waiting:
        of, way = waiting.pop()
        for each in gc.get_referents(of):
            if id(each) in seen or isinstance(each, type) or callable(each):
                continue
            seen.add(id(each))
            name = f"{way} {type(each).__name__}"
            if isinstance(each, dict | set) and len(each) > WHOLE:
                found[f"{way}: {next(iter(each))!r}"] = len(each)
            waiting.append((each, name))
    return found


def test_nothing_declared_lies_in_one_dict() -> None:
    """All facts on very many agents, and all that follows them."""
    facts = FactsPartition(dict(VOCABULARY))
    realm = facts.realm("r")
    realm.dead_bits()
    posture = Posture(Limits())
    posture.follow(realm.cascade.registry)
    for number in range(MANY):
        for fact in about(number):
            facts.apply(realm, fact, facts.position)
            facts.position += 1
            posture.note(fact)
    assert not large([realm, posture])


def lengths(lineage: Lineage) -> list[int]:
    """Give the places that each column has."""
    return [len(column) for column in lineage._arrays().values()]


@pytest.mark.parametrize("before", [0, 1, 70, 128])
def test_one_column_grows_at_a_time(before: int) -> None:
    """Whatever a table had that was taken up; a new name has its place in each."""
    first = Lineage()
    for number in range(before):
        first.intern(agent(number))
    lineage = Lineage()
    lineage.restore(first.dump())
    for number in range(before, before + 300):
        had = lengths(lineage)
        node = lineage.intern(agent(number))
        now = lengths(lineage)
        assert sum(one != other for one, other in zip(had, now, strict=True)) <= 1
        assert node < min(now)
        assert (node, NONE) == (lineage.ring[node], lineage.parent[node])
        assert UNKNOWN_TIME == lineage.issued[node] == lineage.expires[node]
