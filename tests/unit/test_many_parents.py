"""Names with very many parents: what a fact takes, what a check takes, what is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from agents_registry.closure import CLOSURE_LIMIT
from agents_registry.facts import (
    Cause,
    Edge,
    Effect,
    Horizon,
    Node,
    OwnerSet,
    Reach,
    Relation,
    Renewal,
)
from agents_registry.further_edges import SHORT
from agents_registry.identifiers import VOCABULARY, Identifier
from agents_registry.inventory import ancestors
from agents_registry.life import Reason
from agents_registry.lineage import MOST_PARENTS
from agents_registry.presentation import Presented
from agents_registry.pruning import prune
from agents_registry.registry import Registry
from agents_registry.steps import finish
from agents_registry.sweep import Sweep
from agents_registry.verdict import judging
from tests.counted import cost, operations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents_registry.facts import Fact
    from agents_registry.steps import Steps

pytestmark = pytest.mark.unit

SECOND: Final = 1_000_000_000
NOW: Final = 1_000 * SECOND
SAID: Final[dict[str, Any]] = {"authority": "a", "version": NOW, "received_at": NOW}
CHILD: Final = Identifier("agent.id", "child")
OWNER: Final = Identifier("agent.id", "owner")
STEP_COST: Final = 250_000  # operations: a few milliseconds
SIZES: Final = [(120, 120), (10, 1_500)]  # of grids: names, parents of each
RELATIONS: Final = (Relation.REQUIRES, Relation.ENDS_WITH_PARENT)


def parent(number: int) -> Identifier:
    """Give one of many."""
    return Identifier("vault.accessor", f"a{number}")


def between(number: int) -> Identifier:
    """Give one of those that hang on all parents."""
    return Identifier("vault.lease", f"b{number}")


def node(name: Identifier) -> Node:
    """Have a name known."""
    return Node(node=name, issued_at=NOW, **SAID)


def edge(
    child: Identifier, above: Identifier, relation: Relation = Relation.ENDS_WITH_PARENT
) -> Edge:
    """Hang a name on another."""
    return Edge(child=child, parent=above, relation=relation, **SAID)


def grid(names: int, parents: int) -> Iterator[Fact]:
    """Give a child of some names, of which each hangs on all of some parents."""
    yield node(CHILD)
    yield from (node(parent(number)) for number in range(parents))
    for number in range(names):
        yield node(between(number))
        yield edge(CHILD, between(number))
        yield from (edge(between(number), parent(high)) for high in range(parents))


@pytest.mark.parametrize("relation", [*RELATIONS, Relation.CREATED_BY])
def test_a_further_parent_takes_the_same_however_many_there_are(
    relation: Relation,
) -> None:
    """Of a name with ten thousand as of one with a hundred."""
    registry = Registry()
    costs = {}
    for number in range(10_000):
        fact = edge(CHILD, parent(number), relation)
        if number in {100, 9_999}:
            costs[number] = operations(lambda: registry.apply(fact))  # noqa: B023
        else:
            registry.apply(fact)
    assert costs[9_999] < 2 * costs[100]


@pytest.mark.parametrize("count", [SHORT, SHORT + 1, SHORT + 2, 3 * SHORT])
@pytest.mark.parametrize("dumped", [False, True])
def test_of_two_relations_the_stronger_one_stays(count: int, dumped: bool) -> None:
    """In whatever order they are told, and after a start."""
    registry = Registry.build(
        [edge(CHILD, parent(number), RELATIONS[number % 2]) for number in range(count)]
    )
    if dumped:
        registry = Registry.load(registry.dump(), VOCABULARY)
    for number in range(count):
        registry.apply(edge(CHILD, parent(number), RELATIONS[number // 2 % 2]))

    lineage = registry.lineage
    child = lineage.find(CHILD)
    told = {
        lineage.find(parent(number)): max(number % 2, number // 2 % 2)
        for number in range(count)
    }
    assert told == dict(lineage.parents(child))
    assert len(told) == len(lineage.parents(child))
    for name, strength in told.items():
        assert [strength] == lineage.strengths(child, name)
        assert [child] == list(lineage.children(name))
    assert [] == lineage.strengths(child, child)


@pytest.mark.parametrize("dumped", [False, True])
def test_a_maker_is_told_once(dumped: bool) -> None:
    """Of more than are looked through, too, and after a start."""
    facts = [
        edge(CHILD, parent(number), Relation.CREATED_BY) for number in range(2 * SHORT)
    ]
    registry = Registry.build(facts)
    if dumped:
        registry = Registry.load(registry.dump(), VOCABULARY)
    for fact in facts:
        registry.apply(fact)
    lineage = registry.lineage
    makers = [lineage.find(parent(number)) for number in range(2 * SHORT)]
    assert makers == lineage.creators[lineage.find(CHILD)]


def test_a_name_with_too_many_parents_is_denied_in_short_steps() -> None:
    """Its parents are not even looked at."""
    registry = Registry.build(
        [
            node(CHILD),
            *(edge(CHILD, parent(number)) for number in range(2 * MOST_PARENTS)),
        ]
    )
    judged, taken = cost(judging(registry, Presented((CHILD,)), now=NOW))
    assert (False, Reason.LINEAGE_TOO_LARGE) == (judged.allowed, judged.reason)
    assert taken.longest < STEP_COST
    lineage = registry.lineage
    child = lineage.find(CHILD)
    assert MOST_PARENTS + 1 == len(lineage.parents(child, MOST_PARENTS))
    assert 2 * MOST_PARENTS == len(lineage.parents(child))


def test_as_many_parents_as_are_looked_at_are_too_many() -> None:
    """Or a name whose parents are not all looked at might be allowed."""
    assert MOST_PARENTS > CLOSURE_LIMIT


def test_the_end_of_any_parent_ends_the_child() -> None:
    """For whoever is told, for plans and for a prune: they know no limit."""
    last = parent(MOST_PARENTS + 300)
    revoked = Cause(target=last, effect=Effect.REVOKE, at=NOW, **SAID)
    above = map(parent, range(MOST_PARENTS + 400))
    registry = Registry.build(
        [
            node(CHILD),
            *(edge(CHILD, name) for name in above),
            Renewal(node=last, expires_at=1, **SAID),
            revoked,
        ]
    )
    sweep = Sweep(registry)
    child = registry.lineage.find(CHILD)
    finish(sweep.include([child]))
    finish(sweep.judge())
    assert last == registry.lineage.identifier(finish(sweep.ends())[child].target)
    assert last in dict(ancestors(registry, CHILD))
    assert not prune(registry, now=2 * NOW, retain=0).gone


def ended(number: int) -> Cause:
    """End a parent alone."""
    cause = {"effect": Effect.REVOKE, "reach": Reach.SELF, "at": NOW}
    return Cause(target=parent(number), **cause, **SAID)  # type: ignore[arg-type]


def expired(number: int) -> Renewal:
    """Have a parent expire."""
    return Renewal(node=parent(number), expires_at=NOW - 1, **SAID)


def swept(registry: Registry) -> Steps[set[Reason]]:
    """Judge a child as stages do, with what it hangs on; give the reasons."""
    sweep = Sweep(registry, now=NOW)
    child = registry.lineage.find(CHILD)
    yield from sweep.include([child])
    yield from sweep.judge()
    return (yield from sweep.reasons()).get(child, set())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("owned", [False, True])
@pytest.mark.parametrize(
    ("end", "reason"),
    [(None, None), (ended, Reason.REVOKED), (expired, Reason.EXPIRED)],
)
def test_where_many_hang_on_many_no_step_is_long(
    size: tuple[int, int], owned: bool, end: Any, reason: Reason | None
) -> None:
    """Edges count, not names alone."""
    owners = [OwnerSet(node=CHILD, owners=(OWNER,), **SAID)] if owned else []
    facts = [*grid(*size), *owners, *(map(end, range(size[1])) if end else ())]
    registry = Registry.build(facts)
    # A tracer of lines does not see what is counted, so all is done once without.
    before = finish(judging(Registry.build(facts), Presented((CHILD,)), now=NOW))

    judged, taken = cost(judging(registry, Presented((CHILD,)), now=NOW))
    assert judged == before
    assert judged.reason is (reason or Reason.LIVES)
    assert taken.longest < STEP_COST < taken.total
    reasons, of_a_sweep = cost(swept(registry))
    assert ({reason} if reason else set()) == reasons == finish(swept(registry))
    assert of_a_sweep.longest < STEP_COST < of_a_sweep.total


def test_many_known_parents_below_a_horizon_are_found_in_short_steps() -> None:
    """Each is looked at: one that is unknown may have been revoked and pruned."""
    facts = [*grid(40, 1_000), Horizon(**SAID | {"version": NOW + 1})]
    unknown = edge(between(39), parent(1_000))
    for more, reasons in ((), set()), ((unknown,), {Reason.BEYOND_HORIZON}):
        registry = Registry.build([*facts, *more])
        judged, taken = cost(judging(registry, Presented((CHILD,)), now=NOW))
        assert judged.allowed is not bool(reasons)
        assert taken.longest < STEP_COST < taken.total
        found, of_a_sweep = cost(swept(registry))
        assert found == reasons == finish(swept(registry))
        assert of_a_sweep.longest < STEP_COST < of_a_sweep.total


def test_what_hangs_below_many_is_found_in_short_steps() -> None:
    """Of each name that lost an owner, all that hangs on it."""
    registry = Registry.build(grid(10, 1_500))
    sweep = Sweep(registry)
    nodes = [*map(registry.lineage.find, map(parent, range(1_500)))]
    finish(sweep.include([registry.lineage.find(CHILD)]))
    under, taken = cost(sweep.under(nodes))
    assert set(sweep.nodes) == under == finish(sweep.under(nodes))
    assert taken.longest < STEP_COST < taken.total
