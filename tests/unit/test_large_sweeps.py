"""What only a large lineage shows of walks that are shared and cut into steps."""

from __future__ import annotations

import pytest

from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from agents_registry.shown_way import SHOWN, shown_way
from agents_registry.steps import finish
from agents_registry.sweep import STEP, Sweep
from agents_registry.uncaused import AT_ONCE, Uncaused
from tests.property.cases import alias, edge, owned, revoke, suspend

pytestmark = pytest.mark.unit

TOP = Identifier("agent.id", "top")


def below(count: int) -> list[Identifier]:
    """Name so many agents."""
    return [Identifier("agent.id", f"{number}") for number in range(count)]


def test_reasons_reach_all_that_hangs_on_one_in_steps() -> None:
    """More than one step holds have the reason of what they hang on."""
    names = below(2 * STEP)
    registry = Registry.build([revoke(TOP), *(edge(name, TOP) for name in names)])
    sweep = Sweep(registry, 0)
    nodes = [registry.lineage.find(name) for name in names]
    finish(sweep.include(nodes))
    finish(sweep.judge())
    found = finish(sweep.reasons())

    assert sum(1 for _ in sweep.reasons())
    assert all(len(found[each]) == 1 for each in nodes)


def test_the_way_to_an_owner_is_shown_and_a_long_one_by_its_ends() -> None:
    """Nobody reads a path through a thousand names."""
    names = below(SHOWN + 2)
    wide = [edge(names[0], name) for name in names[1:]]
    registry = Registry.build([owned(names[0], TOP), *wide, edge(names[1], TOP)])
    find = registry.lineage.find
    short = Registry.build([owned(names[0], TOP)])

    assert shown_way(short, short.lineage.find(names[0]), short.lineage.find(TOP)) == [
        short.lineage.find(names[0]),
        short.lineage.find(TOP),
    ]
    assert shown_way(registry, find(names[0]), find(TOP))[-1] == find(TOP)
    far = below(3 * SHOWN)
    chain = [edge(far[n], far[n + 1]) for n in range(len(far) - 1)]
    fan = [edge(far[0], Identifier("agent.id", f"f{n}")) for n in range(SHOWN)]
    many = Registry.build([*chain, *fan])
    start, target = many.lineage.find(far[0]), many.lineage.find(far[-1])
    assert shown_way(many, start, target) == [start, target]


def test_where_much_hangs_below_all_is_found_out_anew() -> None:
    """A cause above very many undoes what was known of all."""
    names = below(AT_ONCE + 2)
    facts = [edge(name, TOP) for name in names]
    registry = Registry.build(facts)
    known = Uncaused(registry)
    find = registry.lineage.find
    assert all(known.is_clear(find(name)) for name in names)
    ends = revoke(TOP)
    registry.apply(ends)
    known.note(ends)

    assert not any(known.is_clear(find(name)) for name in (names[0], names[-1], TOP))


def test_an_alias_that_was_taken_back_before_it_came_joins_nothing() -> None:
    """The table left it out, so what was known of the names stays."""
    first, second = below(2)
    registry = Registry.build([edge(first, TOP), edge(second, TOP)])
    known = Uncaused(registry)
    asked = registry.lineage.find(first)
    assert known.is_clear(asked)
    known.note(alias(first, second))

    assert known.is_clear(asked)


def test_a_cause_on_what_an_owner_has_is_no_clear_name() -> None:
    """Neither the owner nor the name of what it has, which a condition named before."""
    owner = Identifier("owner.of", str(TOP))
    registry = Registry.build([
        edge(below(1)[0], TOP), suspend(Identifier("label.t", "b"), where=(owner,)),
    ])  # fmt: skip
    known = Uncaused(registry)
    nodes = [registry.lineage.find(name) for name in (owner, TOP)]
    assert all(map(known.is_clear, nodes))
    ends = suspend(owner)
    registry.apply(ends)
    known.note(ends)

    assert not any(map(known.is_clear, nodes))
