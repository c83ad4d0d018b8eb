"""It is never said too early that the log tells of a death."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from agents_registry.causes import CauseRef
from agents_registry.death import Death
from agents_registry.facts import Effect, OwnerSet, Reach, Withdraw
from agents_registry.identifiers import Identifier
from streams.stages.sentinel.revocation_offsets import (
    AT_ONCE,
    Accepted,
    RevocationOffsets,
)
from tests.counted import operations

pytestmark = pytest.mark.unit

A, B = Identifier("agent.id", "a"), Identifier("agent.id", "b")


def death(*path: Identifier, cause: str = "c", effect: Effect = Effect.REVOKE) -> Death:
    """Give a death over a path."""
    of = CauseRef(cause, path[-1], effect, Reach.SUBTREE, "x", 1)
    via: Any = "direct" if len(path) == 1 else "ancestor"
    return Death(of, path, via)


def test_a_revoked_identifier_is_known_by_its_cause_alone() -> None:
    """Whatever was listed: nothing else is needed to deny it."""
    known = RevocationOffsets(floor=900)

    assert 8 == known.as_of(death(A), Accepted(1, 7))
    assert 900 == known.as_of(death(A), None)
    assert 900 == known.as_of(death(A, effect=Effect.NOT_BEFORE), Accepted(1, 7))


def test_an_heir_is_known_when_it_was_listed_first() -> None:
    """The cause may lie far before the edge that ties the heir to it."""
    known = RevocationOffsets()
    known.note([(B, "c")], 20)
    known.note([(B, "c")], 90)

    assert 20 == known.as_of(death(B, A), Accepted(1, 7))


def test_a_death_that_was_listed_under_another_cause_counts_from_the_last() -> None:
    """Which of the listings told of it is not known; the last one surely did."""
    known = RevocationOffsets()
    known.note([(B, "c")], 20)
    known.note([(B, "c")], 90)

    assert 90 == known.as_of(death(B, A, cause="d"), Accepted(1, 7))


def test_what_is_forgotten_counts_from_the_last_forgotten_one() -> None:
    """Memory is bounded, and claims less of the old."""
    known = RevocationOffsets(most=4)
    for number in range(10):
        known.note([(Identifier("agent.id", str(number)), "c")], 10 + number)

    assert len(known) <= 4
    first, last = (Identifier("agent.id", str(number)) for number in (0, 9))
    assert 19 == known.as_of(death(last, A), None)
    assert 10 <= known.as_of(death(first, A), None) <= 19


def test_old_ones_are_forgotten_bit_by_bit() -> None:
    """However many there are: what notes one holds the loop for no longer."""
    known, costs = RevocationOffsets(most=20_000), list[int]()
    for number in range(21_000):
        name = Identifier("agent.id", str(number))
        said: dict[str, Any] = {"authority": "a", "version": 1, "received_at": 1}
        turn = OwnerSet(node=name, owners=(A,), **said)
        note = partial(known.note, [(name, "c")], number)
        if number < 20_000:
            known.turn(turn, number)
            note()
        else:
            costs += [operations(partial(known.turn, turn, number)), operations(note)]

    assert len(known) <= 20_000
    assert max(costs) < 100 * AT_ONCE


def test_what_was_taken_back_makes_all_of_it_doubtful() -> None:
    """The dead of the new table are known from its end on."""
    known = RevocationOffsets()
    known.note([(B, "c")], 20)
    known.rebuilt(70)

    assert 70 == known.as_of(death(B, A), Accepted(1, 7))
    assert 70 == known.as_of(death(A), Accepted(1, 7))
    known.note([(B, "c")], 80)
    assert 80 == known.as_of(death(B, A), Accepted(1, 7))


def test_a_restart_keeps_first_listings() -> None:
    """Later ones are not kept, so what they would tell counts from the end."""
    known = RevocationOffsets()
    known.restore([(B, "c", 20), (A, "d", 30)], 100)

    assert 20 == known.as_of(death(B, A), Accepted(1, 7))
    assert 100 == known.as_of(death(B, A, cause="e"), Accepted(1, 7))


def owners(of: Identifier) -> OwnerSet:
    """Say who owns something."""
    return OwnerSet(authority="x", version=1, received_at=1, node=of, owners=(A, B))


def test_what_may_have_revived_it_counts_from_its_last_word() -> None:
    """Another owner, anywhere on the way to the cause; a lift that is taken back."""
    known = RevocationOffsets()
    known.note([(B, "c"), (A, "c")], 20)
    known.turn(owners(B), 40)
    assert 41 == known.as_of(death(B, A), Accepted(1, 7))
    assert 8 == known.as_of(death(A), Accepted(1, 7))
    back = Withdraw(
        authority="x", version=1, received_at=1, fact_id="ab", kind="lift", target=A
    )
    known.turn(back, 50)

    assert 51 == known.as_of(death(A), Accepted(1, 7))
    assert 51 == known.as_of(death(B, A), Accepted(1, 7))


def test_so_many_owners_are_remembered_and_no_more() -> None:
    """Of the rest the bound of all counts."""
    known = RevocationOffsets(most=4)
    for number in range(6):
        known.turn(owners(Identifier("agent.id", str(number))), 10 + number)

    assert 16 == known.as_of(death(Identifier("agent.id", "5")), Accepted(1, 7))
    assert 12 == known.as_of(death(A), Accepted(1, 7))
