"""A table that was replaced is freed bit by bit, and what is held elsewhere stays."""

from __future__ import annotations

import weakref
from typing import Any, Final

import pytest

from agents_registry.facts import Fact, Node, OwnerSet, ScopeSet, to_plain
from agents_registry.identifiers import VOCABULARY, Identifier
from agents_registry.registry import Registry
from enforcement import Guard, parting
from enforcement.replica import Replica
from enforcement.standing import Freshness

pytestmark = pytest.mark.unit

SAID: Final[dict[str, Any]] = {"authority": "a", "version": 1, "received_at": 1}
MANY: Final = 1_000
PERSON: Final = Identifier("person.id", "p")


def facts(count: int = MANY) -> list[Fact]:
    """Give agents of one person, each with a scope of its own."""
    found: list[Fact] = []
    for number in range(count):
        agent = Identifier("agent.id", str(number))
        found += [
            Node(node=agent, **SAID),
            OwnerSet(node=agent, owners=(PERSON,), **SAID),
            ScopeSet(node=agent, scopes=(f"r|{number}",), **SAID),
        ]
    return found


def replica(genesis: str, offset: int, *some: Fact) -> Replica:
    """Give a complete replica."""
    made = Replica()
    plain = [to_plain(fact) for fact in some]
    message = {"genesis": genesis, "offset": offset, "facts": plain, "more": False}
    for _ in made.snapshot(message):
        pass
    return made


def test_a_table_is_freed_with_many_rests() -> None:
    """Also the one row that a person who owns everything has."""
    registry = Registry.build(facts())
    owners, rests = weakref.ref(registry.owners.of(0)[0]), 0
    parts = parting.parts_of(registry)
    del registry
    assert owners() == frozenset({1})

    def rest() -> None:
        nonlocal rests
        rests += 1

    parting.free(parts, rest)
    assert owners() is None
    assert not parts
    assert rests > 4 * MANY // 63  # owners, scopes, what is owned, names


def test_a_long_row_is_freed_with_many_rests_too() -> None:
    """A person may own a million agents."""
    rests, parts = 0, list[Any]()
    parts.append({1: list(range(MANY))})

    def rest() -> None:
        nonlocal rests
        rests += 1

    parting.free(parts, rest)
    assert not parts
    assert rests >= MANY // 63


def test_what_something_else_holds_is_left_alone() -> None:
    """A part, a row of one, and the vocabulary of all tables."""
    registry = Registry.build(facts())
    scopes, owned = registry.scopes, registry.owned[registry.lineage.find(PERSON)]
    known = len(VOCABULARY)
    parts = parting.parts_of(registry)
    del registry
    parting.free(parts, int)

    assert len(VOCABULARY) == known > 0
    assert [("r|0",)] == scopes.of(0)
    assert MANY == len(owned) == len(scopes.nodes())


def test_a_table_that_is_still_judged_by_keeps_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However long that takes."""
    monkeypatch.setattr(parting, "FEW", MANY)
    monkeypatch.setattr(parting, "PATIENCE", 0.0)
    registry = Registry.build(facts())
    before = registry.dump()
    thread = parting.let_go(registry)
    assert thread is not None
    thread.join()

    assert registry.dump() == before


def test_a_small_table_is_freed_at_once() -> None:
    """As is the empty one that a guard begins with."""
    assert parting.let_go(Registry.build(facts(10))) is None


def test_a_table_is_let_go_of_where_it_is_replaced() -> None:
    """Not where the denials of a log that is gone stay."""
    standing, told = Freshness(1, lambda: 0), list[Registry]()
    first, second = replica("g", 1, *facts(1)), replica("g", 2, *facts(2))
    standing.offer(first)
    standing.parting = told.append
    assert standing.offer(second)
    assert told == [first.registry]
    standing.meet("h")
    assert standing.offer(replica("h", 1, *facts(1)))

    assert told == [first.registry]
    assert standing.kept == (second.registry,)
    assert Guard("http://localhost", "", name="g").standing.parting is parting.let_go
