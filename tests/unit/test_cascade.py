"""Which offsets wait for their lists, which are made, and what may come between."""

from __future__ import annotations

from typing import Any

import pytest

from agents_registry import owner_circles as owners
from agents_registry.facts import (
    Alias,
    Cause,
    Edge,
    Effect,
    Fact,
    Lift,
    Node,
    OwnerSet,
)
from agents_registry.identifiers import VOCABULARY, Identifier
from agents_registry.registry import Registry
from agents_registry.steps import finish
from streams.stages.registry import cascade as stage
from streams.stages.registry.cascade import Cascade

pytestmark = pytest.mark.unit

SAID: dict[str, Any] = {"authority": "v", "version": 5, "received_at": 5}
ROOT, OTHER = Identifier("vault.accessor", "root"), Identifier("vault.accessor", "o")
CHILDREN = [Identifier("vault.accessor", f"c{number}") for number in range(4)]


def revoke(target: Identifier) -> Cause:
    """End an identifier."""
    return Cause(target=target, effect=Effect.REVOKE, at=5, **SAID)


@pytest.fixture
def cascade() -> Cascade:
    """Give a table with a root and four children, and nothing to list."""
    made = Cascade(dict(VOCABULARY))
    facts: list[Fact] = [Node(node=ROOT, issued_at=1, **SAID)]
    facts += [Edge(child=child, parent=ROOT, **SAID) for child in CHILDREN]
    for offset, fact in enumerate(facts):
        made.apply(fact)
        made.enlist(offset, fact)
    return made


def tell(cascade: Cascade, offset: int, fact: Fact) -> None:
    """Apply a fact and have listed what it condemned."""
    cascade.apply(fact)
    cascade.enlist(offset, fact)


def where(cascade: Cascade) -> tuple[int, int | None]:
    """Give how many wait, and the oldest of them."""
    return cascade.waiting, cascade.oldest


def test_what_condemns_nothing_waits_for_nothing(cascade: Cascade) -> None:
    """Declarations of what lives, a lift, a narrowing."""
    assert (0, None) == where(cascade)
    tell(cascade, 9, Lift(target=ROOT, **SAID))
    narrow = Cause(
        target=ROOT, effect=Effect.NARROW, at=5, scopes=("s|r",), **SAID
    )  # fmt: skip
    tell(cascade, 10, narrow)

    assert (0, None) == where(cascade)


def test_an_offset_waits_until_its_whole_list_is_made(
    cascade: Cascade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody may take a fact for listed while a slice of it is still to come."""
    monkeypatch.setattr(stage, "SLICE", 2)
    tell(cascade, 7, revoke(ROOT))
    assert (1, 7) == where(cascade)
    names: list[Identifier] = []
    for left in (True, True, False):
        found, done = finish(cascade.next_slice())
        names += [each.identifier for each in found]
        assert (1, 7) == where(cascade)
        assert (left, not left) == (cascade.exclusive, done)
    cascade.finish()

    assert (0, None) == where(cascade)
    assert [ROOT, *CHILDREN] == sorted(names, key=[ROOT, *CHILDREN].index)


def test_what_comes_while_a_list_is_made_has_the_next_list(cascade: Cascade) -> None:
    """It is not taken off with the list that does not hold it."""
    tell(cascade, 7, revoke(ROOT))
    found, done = finish(cascade.next_slice())
    assert (1 + len(CHILDREN), True) == (len(found), done)
    tell(cascade, 8, revoke(OTHER))
    tell(cascade, 11, Edge(child=Identifier("agent.id", "late"), parent=ROOT, **SAID))
    assert (3, 7) == where(cascade)
    cascade.finish()
    assert (2, 8) == where(cascade)
    found, _ = finish(cascade.next_slice())

    assert {"o", "late"} == {each.identifier.value for each in found}
    assert all(each.death is not None for each in found)


@pytest.mark.parametrize("how", ["forget", "replace"])
def test_a_list_that_is_left_begins_anew(
    cascade: Cascade, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A table that was built anew has all listed again; what is forgotten is over."""
    monkeypatch.setattr(stage, "SLICE", 2)
    tell(cascade, 7, revoke(ROOT))
    finish(cascade.next_slice())
    assert cascade.exclusive
    if how == "forget":
        cascade.forget()
        assert (0, None) == where(cascade)
    else:
        table = Registry.build([Node(node=ROOT, issued_at=1, **SAID), revoke(ROOT)])
        cascade.replace(table)
        assert (1, 7) == where(cascade)
        found, done = finish(cascade.next_slice())
        assert ([ROOT], True) == ([each.identifier for each in found], done)

    assert not cascade.exclusive


A, B, LIVING, DEAD = (Identifier("agent.id", name) for name in ("a", "b", "l", "d"))


def owns(node: Identifier, *owners: Identifier) -> OwnerSet:
    """Tell who owns a node."""
    return OwnerSet(node=node, owners=owners, **SAID)


def listed(cascade: Cascade) -> set[Identifier]:
    """Make the lists that wait; give the dead in them."""
    found, done = finish(cascade.next_slice())
    assert done
    cascade.finish()
    return {each.identifier for each in found if each.death is not None}


@pytest.mark.parametrize(
    "last",
    [
        [owns(LIVING, LIVING)],
        [owns(LIVING, A), owns(A, LIVING)],
        [owns(A, LIVING), Edge(child=LIVING, parent=A, **SAID)],
        [owns(A, A), owns(LIVING, A)],
        [owns(A, A), Edge(child=LIVING, parent=A, **SAID)],
        [owns(A, A), Alias(first=LIVING, second=A, **SAID)],
        [owns(A, A), Alias(first=A, second=LIVING, **SAID)],
    ],
)
def test_who_is_owned_by_nobody_who_lives_takes_along_what_it_owns(
    cascade: Cascade, last: list[Fact]
) -> None:
    """No cause stands above a circle of owners, but on another owner."""
    tell(cascade, 20, owns(B, DEAD, LIVING))
    tell(cascade, 21, revoke(DEAD))
    assert {DEAD} == listed(cascade)
    for offset, fact in enumerate(last, 22):
        tell(cascade, offset, fact)

    assert {B} == listed(cascade)


def test_owners_who_live_have_nothing_listed(
    cascade: Cascade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much hangs below, unless more stands above than is looked at."""
    facts: list[Fact] = [owns(LIVING, A), owns(ROOT, LIVING)]
    facts.append(Edge(child=LIVING, parent=B, **SAID))
    for offset, fact in enumerate(facts, 20):
        tell(cascade, offset, fact)
    assert (0, None) == where(cascade)
    monkeypatch.setattr(owners, "MOST", 2)
    tell(cascade, 23, owns(LIVING, A, DEAD))

    assert (1, 23) == where(cascade)
