"""Bits say that nothing could have ended a node, and are undone in time."""

from __future__ import annotations

from typing import Any

import pytest

from agents_registry.death import Death, Fate
from agents_registry.facts import (
    Alias,
    Cause,
    Edge,
    Effect,
    Fact,
    Holds,
    Lift,
    Node,
    OwnerSet,
    Withdraw,
    fact_id,
)
from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from agents_registry.steps import finish
from streams.stages.access import columns as lines
from streams.stages.access.columns import AccessColumns
from streams.stages.access.uses import AccessEvent
from streams.stages.sentinel import liveness_index as dead_bits
from streams.stages.sentinel import node_prints
from streams.stages.sentinel.liveness_index import LivenessIndex

pytestmark = pytest.mark.unit

SAID: dict[str, Any] = {"authority": "v", "version": 5, "received_at": 5}
MAIL = Identifier("attribute.mail", "00ff")
PARENT, CHILD, OTHER = (Identifier("vault.accessor", value) for value in "pco")


class Table:
    """A table with bits."""

    def __init__(self) -> None:
        """Start with a child below a parent."""
        self.registry = Registry()
        self.bits = LivenessIndex(self.registry)
        self.tell(Node(node=CHILD, issued_at=1, **SAID))
        self.tell(Edge(child=CHILD, parent=PARENT, **SAID))

    def tell(self, fact: Fact) -> None:
        """Apply a fact."""
        self.registry.apply(fact)
        self.bits.note(fact)

    def quiet(self, name: Identifier = CHILD, at: int = 9) -> bool:
        """Tell whether a use needs no walk."""
        use = AccessEvent((name,), "p", "allowed", at, None)
        return bool(finish(self.bits.look(AccessColumns.of([use]), 0)).quiet[0])

    def death(self, name: Identifier = CHILD, at: int = 9) -> Death | None:
        """Give why a name was dead."""
        return finish(self.bits.death(name, at, at))


def revoke(target: Identifier, effect: Effect = Effect.REVOKE) -> Cause:
    """End an identifier."""
    return Cause(target=target, effect=effect, at=5, **SAID)


def test_a_cause_above_undoes_what_hangs_below() -> None:
    """And nothing else."""
    table = Table()
    assert table.quiet()
    table.tell(revoke(PARENT))
    assert not table.quiet()
    assert table.quiet(OTHER)


LATE: dict[str, list[Fact]] = {
    "a cause on it": [revoke(CHILD)],
    "a cause above": [revoke(PARENT)],
    "a cause far above": [Edge(child=PARENT, parent=OTHER, **SAID), revoke(OTHER)],
    "an edge": [revoke(OTHER), Edge(child=CHILD, parent=OTHER, **SAID)],
    "an edge above": [revoke(OTHER), Edge(child=PARENT, parent=OTHER, **SAID)],
    "an alias": [revoke(OTHER), Alias(first=OTHER, second=CHILD, **SAID)],
    "the same alias": [
        revoke(OTHER),
        Alias(first=CHILD, second=OTHER, **SAID),
    ],
    "a dead owner": [revoke(OTHER), OwnerSet(node=CHILD, owners=(OTHER,), **SAID)],
    "a dead owner above": [
        revoke(OTHER),
        OwnerSet(node=PARENT, owners=(OTHER,), **SAID),
    ],
    "an owner that dies": [
        OwnerSet(node=CHILD, owners=(OTHER,), **SAID),
        revoke(OTHER),
    ],
    "a cause on what it holds": [
        Holds(node=CHILD, attribute=MAIL, **SAID),
        revoke(MAIL),
    ],
    "a cause on what its parent holds": [
        Holds(node=PARENT, attribute=MAIL, **SAID),
        revoke(MAIL),
    ],
    "an attribute that was ended": [
        revoke(MAIL),
        Holds(node=CHILD, attribute=MAIL, **SAID),
    ],
    "an earlier time of issue": [
        Node(node=CHILD, issued_at=9, **SAID | {"version": 9}),
        revoke(CHILD, Effect.NOT_BEFORE),
    ],
}


@pytest.mark.parametrize("how", LATE)
def test_whatever_ends_it_last_undoes_its_bit(how: str) -> None:
    """After each fact the node is met again, so a bit that stays would be seen."""
    table = Table()
    for fact in LATE[how]:
        for name in (CHILD, PARENT):
            assert table.quiet(name) or table.death(name) is None
            assert table.quiet(name)
        table.tell(fact)

    assert not table.quiet()
    assert table.death() is not None


SINCE: dict[str, Fact] = {
    "a parent": Edge(child=CHILD, parent=OTHER, **SAID),
    "another name": Alias(first=CHILD, second=OTHER, **SAID),
    "an owner": OwnerSet(node=CHILD, owners=(OTHER,), **SAID),
}


@pytest.mark.parametrize("how", SINCE)
def test_what_was_ended_once_hangs_on_what_no_line_named_yet(how: str) -> None:
    """Of that there are no bits until somebody asks about it."""
    table = Table()
    table.tell(revoke(CHILD, Effect.SUSPEND))
    table.tell(Lift(target=CHILD, **SAID | {"version": 7}))
    assert not table.quiet()  # its bit stays: something could have ended it
    table.tell(SINCE[how])
    table.tell(revoke(OTHER))

    assert table.death() is not None
    table.tell(Lift(target=OTHER, **SAID | {"version": 8}))
    assert table.death() is not None  # a lift lifts no revoke
    assert not table.quiet()


def test_a_withdrawal_lets_all_be_met_again() -> None:
    """The node stays marked as caused, so it is timed: nothing ever ended it."""
    table = Table()
    cause = revoke(PARENT)
    table.tell(cause)
    assert not table.quiet()
    identity = fact_id(cause).hex()
    table.tell(Withdraw(fact_id=identity, kind="cause", target=PARENT, **SAID))
    assert not table.quiet()
    assert table.death() is None
    assert table.quiet()


def test_a_print_that_another_node_gets_keeps_what_was_met(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cause on either is still found by those below."""
    true_prints = lines.prints_of

    def prints_of(name: Identifier) -> tuple[int, int]:
        one, check = true_prints(name)
        return (7 if name in {PARENT, OTHER} else one), check

    for module in (lines, node_prints):
        monkeypatch.setattr(module, "prints_of", prints_of)
    table = Table()
    assert table.quiet()
    table.tell(Node(node=OTHER, issued_at=1, **SAID))
    assert table.quiet()
    table.tell(revoke(PARENT))
    assert not table.quiet()


def test_a_cause_above_very_many_undoes_all_at_once() -> None:
    """None of them stays quiet, and what has nothing to do with it is met again."""
    table = Table()
    names = [Identifier("vault.accessor", f"n{n}") for n in range(5000)]
    for name in names:
        table.tell(Edge(child=name, parent=PARENT, **SAID))
    uses = [AccessEvent((name,), "p", "allowed", 9, None) for name in (*names, OTHER)]
    assert finish(table.bits.look(AccessColumns.of(uses), 0)).quiet.all()
    table.tell(revoke(PARENT))
    quiet = finish(table.bits.look(AccessColumns.of(uses), 0)).quiet.tolist()

    assert [False] * len(names) + [True] == quiet


def test_a_loud_node_that_lives_needs_no_walk_until_a_fact_changes_it() -> None:
    """A login after all sessions were ended, until its issue turns out earlier."""
    table = Table()
    young, user = Identifier("vault.accessor", "young"), Identifier("agent.id", "u")
    table.tell(Node(node=young, issued_at=7, **SAID | {"received_at": 8}))
    table.tell(Edge(child=young, parent=user, **SAID))
    table.tell(revoke(user, Effect.NOT_BEFORE))
    assert not table.quiet(young)
    assert table.death(young) is None
    assert table.quiet(young)
    assert not table.quiet(young, at=5)
    table.tell(Node(node=young, issued_at=2, **SAID))
    assert not table.quiet(young)
    assert table.death(young) is not None
    assert not table.quiet(young)


def test_a_dead_node_is_walked_once_until_a_fact_changes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Why it is dead is kept, and found out again where it may be another reason."""
    table = Table()
    walks: list[Identifier] = []

    class Counted(Fate):
        def __init__(self, registry: Registry, identifier: Identifier) -> None:
            walks.append(identifier)
            super().__init__(registry, identifier)

    monkeypatch.setattr(dead_bits, "Fate", Counted)
    table.tell(revoke(PARENT))
    assert not table.quiet()
    first, second = table.death(), table.death(at=8)
    assert (first, [CHILD]) == (second, walks)
    assert table.death(at=5) is None

    table.tell(Cause(target=CHILD, effect=Effect.REVOKE, at=3, **SAID))
    assert not table.quiet()
    deaths = [first, table.death()]
    assert [PARENT, CHILD] == [death and death.cause.target for death in deaths]


def test_a_node_that_lives_again_is_not_dead_as_before() -> None:
    """What was kept of it is of another time."""
    table = Table()
    cause = revoke(CHILD)
    table.tell(cause)
    assert not table.quiet()
    assert table.death() is not None
    identity = fact_id(cause).hex()
    table.tell(Withdraw(fact_id=identity, kind="cause", target=CHILD, **SAID))
    later = SAID | {"version": 12, "received_at": 12}
    table.tell(Cause(target=CHILD, effect=Effect.SUSPEND, at=12, **later))
    table.tell(Lift(target=CHILD, **later | {"version": 14, "received_at": 14}))
    assert not table.quiet()
    found = [table.death(at=at) for at in (20, 20, 13, 9)]

    assert [False, False, True, False] == [death is not None for death in found]


def both_found_out_twice() -> Table:
    """End both, and ask about each in turn."""
    table = Table()
    table.tell(revoke(PARENT))
    for _ in range(2):
        for name in (PARENT, CHILD):
            assert not table.quiet(name)
            death = table.death(name)
            assert death is not None
            assert name == death.path[0]
    return table


def test_of_too_many_deaths_all_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """And are found out again."""
    monkeypatch.setattr(dead_bits, "MOST_ENDS", 1)
    both_found_out_twice()


def test_a_death_far_below_is_found_out_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is kept is bounded, however deep the lineage."""
    monkeypatch.setattr(dead_bits, "LONGEST", 1)
    table = both_found_out_twice()
    assert 1 == len(table.bits._ends)
