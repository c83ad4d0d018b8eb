"""Lineages that are made to be costly: a walk grows with what it touches, and is cut.

Each shape is judged at two sizes: twice of it must cost about twice as much, in
operations of the interpreter, and no more in one step.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from agents_registry.causes import FEW
from agents_registry.death import Fate
from agents_registry.facts import (
    FUTURE_TOLERANCE,
    SECOND,
    Alias,
    Cause,
    Edge,
    Effect,
    Fact,
    Holds,
    Lift,
    Node,
    OwnerSet,
    Reach,
)
from agents_registry.identifiers import Identifier
from agents_registry.life import Reason
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.steps import finish
from agents_registry.sweep import Sweep
from agents_registry.verdict import judge, judging
from tests.counted import cost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agents_registry.steps import Steps

    # The facts, whose life is asked for, and the reason of its end.
    World = tuple[list[Fact], Identifier, Reason | None]

pytestmark = pytest.mark.unit

SIZE: Final = 400
TWICE: Final = 2.6  # of what the half costs; of a square it is 4
STEP: Final = 200_000  # operations: about 2 ms
MAILS: Final = [Identifier("attribute.mail", f"{number:04}") for number in range(2)]


def said(at: int) -> dict[str, Any]:
    """Give what each fact carries, said and received at a second."""
    return {"authority": "a", "version": at * SECOND, "received_at": at * SECOND}


def names(count: int, kind: str = "vault.accessor") -> list[Identifier]:
    """Name so many."""
    return [Identifier(kind, f"{number}") for number in range(count)]


def chain(line: list[Identifier], issued: int = 1) -> Iterator[Fact]:
    """Hang each on the one before it, issued at a second."""
    for each in line:
        yield Node(node=each, issued_at=issued * SECOND, **said(issued))
    for parent, child in pairwise(line):
        yield Edge(child=child, parent=parent, **said(1))


def end(target: Identifier, effect: Effect, at: int, **fields: Any) -> Cause:
    """End something at a second."""
    return Cause(target=target, effect=effect, at=at * SECOND, **fields, **said(at))


def deep(count: int) -> World:
    """Make a chain whose top was revoked."""
    line = names(count)
    return [*chain(line), end(line[0], Effect.REVOKE, 2)], line[-1], Reason.REVOKED


def signed_out(count: int) -> World:
    """Make a chain of which each was signed out, the top first."""
    line = names(count)
    ends = [end(each, Effect.NOT_BEFORE, 2 + at) for at, each in enumerate(line)]
    return [*chain(line), *ends], line[-1], Reason.NOT_BEFORE


def signed_out_before(count: int) -> World:
    """Make a chain that was issued after all of it was signed out."""
    line = names(count)
    ends = [end(each, Effect.NOT_BEFORE, 2 + at) for at, each in enumerate(line)]
    return [*chain(line, 2 * count), *ends], line[-1], None


def sessions_of_other_devices(count: int) -> World:
    """Make a chain of which one device after the other was signed out."""
    line = names(8)
    ends = [
        end(line[0], Effect.NOT_BEFORE, 2 + at, device=f"d{at % 4}")
        for at in range(count)
    ]
    bound = Node(node=line[-1], device="d0", **said(1))
    return [*chain(line), bound, *ends], line[-1], Reason.NOT_BEFORE


def signed_out_names(count: int) -> World:
    """Make a credential of many names, each of which was signed out."""
    line = names(count, "vault.token_hmac")
    ends = [end(each, Effect.NOT_BEFORE, 2 + at) for at, each in enumerate(line)]
    nodes = [Node(node=each, issued_at=1, **said(1)) for each in line]
    return [*nodes, *aliases(line), *ends], line[-1], Reason.NOT_BEFORE


def aliases(line: list[Identifier]) -> list[Fact]:
    """Make all names of one node."""
    return [Alias(first=line[0], second=name, **said(1)) for name in line[1:]]


def suspended_alone(count: int) -> World:
    """Make a credential of many names, each of which was suspended by itself."""
    line = names(count, "vault.token_hmac")
    ends = [
        end(each, Effect.SUSPEND, 2 + at, reach=Reach.SELF)
        for at, each in enumerate(line)
    ]
    return [*aliases(line), *ends], line[-1], Reason.SUSPENDED


def left_by_owners(count: int) -> World:
    """Make a chain of which each had an owner of its own, who left."""
    line, owners = names(count, "agent.id"), names(count, "person.id")
    owned = [
        OwnerSet(node=each, owners=(owner,), **said(1))
        for each, owner in zip(line, owners, strict=True)
    ]
    left = [end(owner, Effect.REVOKE, 2 + at) for at, owner in enumerate(owners)]
    return [*chain(line), *owned, *left], line[-1], Reason.NO_LIVING_OWNER


def left_by_holders(count: int) -> World:
    """Make a chain whose owners are looked up by two addresses, which were ended."""
    facts, last, reason = left_by_owners(count)
    kept = [fact for fact in facts if not isinstance(fact, Cause)]
    holds = [
        Holds(node=owner, attribute=MAILS[place % 2], **said(1))
        for place, owner in enumerate(names(count, "person.id"))
    ]
    ends = [end(mail, Effect.SUSPEND, 9 + at) for at, mail in enumerate(MAILS)]
    return [*kept, *holds, *ends], last, reason


def suspended_and_lifted(count: int) -> World:
    """Make a credential that was suspended, and that lifted, again and again."""
    (name,) = names(1)
    pairs: list[Fact] = [Node(node=name, issued_at=1, **said(1))]
    for at in range(2, 2 + 2 * count, 2):
        pairs += [end(name, Effect.SUSPEND, at), Lift(target=name, **said(at + 1))]
    return pairs, name, None


WORLDS: Final[tuple[Callable[[int], World], ...]] = (
    deep,
    signed_out,
    signed_out_before,
    sessions_of_other_devices,
    signed_out_names,
    suspended_alone,
    left_by_owners,
    left_by_holders,
    suspended_and_lifted,
)


def ends_together(registry: Registry, name: Identifier) -> Steps[bool]:
    """Judge a node as lists are made; tell whether a cause ends it."""
    node = registry.lineage.find(name)
    sweep = Sweep(registry)
    yield from sweep.include([node])
    yield from sweep.judge()
    return node in (yield from sweep.ends())


@pytest.mark.long
@pytest.mark.no_cover
@pytest.mark.parametrize("make", WORLDS, ids=lambda make: make.__name__)
def test_a_walk_costs_as_much_as_it_touches(make: Callable[[int], World]) -> None:
    """A check, the death that the sentinel asks for, and the lists of a cascade."""
    costs = []
    for size in (SIZE // 2, SIZE):
        facts, name, reason = make(size)
        registry = Registry.build(facts)
        now = 10**6 * SECOND
        verdict, check = cost(judging(registry, Presented((name,)), now=now))
        death, use = cost(Fate(registry, name).dying(at=now))
        ended, listed = cost(ends_together(registry, name))
        costs.append((check, use, listed))

        assert verdict.reason is (reason or Reason.LIVES)
        assert (death is not None) == ended == (reason is not None)
    for half, whole in zip(*costs, strict=True):
        assert whole.total <= TWICE * half.total
        assert whole.longest <= STEP


@pytest.mark.parametrize("make", WORLDS, ids=lambda make: make.__name__)
def test_a_walk_in_steps_says_what_one_in_one_go_says(
    make: Callable[[int], World],
) -> None:
    """Wherever it is cut."""
    facts, name, reason = make(SIZE)
    registry, presented = Registry.build(facts), Presented((name,))
    now = 10**6 * SECOND
    verdict = judge(registry, presented, now=now)

    assert verdict == finish(judging(registry, presented, now=now))
    assert verdict.reason is (reason or Reason.LIVES)
    assert finish(ends_together(registry, name)) == (reason is not None)


def test_a_lift_counts_by_its_first_copy_however_many_there_are() -> None:
    """A copy that came earlier, and what is taken back, is looked at anew."""
    facts, name, _ = suspended_and_lifted(2 * FEW)
    registry = Registry.build(facts)
    last = facts[-1]
    assert judge(registry, Presented((name,)), now=0).allowed

    registry.apply(Lift(target=name, **said(9 * FEW)))
    assert judge(registry, Presented((name,)), now=0).allowed
    registry.apply(attrs.evolve(last, received_at=SECOND - FUTURE_TOLERANCE // 2))
    registry.apply(last)
    registry.apply(end(name, Effect.SUSPEND, 10 * FEW))
    assert not judge(registry, Presented((name,)), now=0).allowed


def test_the_measure_sees_a_walk_for_each_cause() -> None:
    """A planted bug: twice as many causes cost four times as much, in one step."""

    def squared(count: int) -> Steps[int]:
        yield
        return sum(1 for _ in range(count) for _ in range(count))

    (_, half), (_, whole) = cost(squared(SIZE // 2)), cost(squared(SIZE))

    assert whole.total > TWICE * half.total
    assert whole.longest > STEP
