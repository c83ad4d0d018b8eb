"""Limits: what a presentation of clear nodes may still be denied for.

A node that is clear in time (`agents_registry.clearance`) denies those presentations
alone that are too old for a ``not_before`` above it, or ask for a scope that a node
above does not cover.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agents_registry.clearance import (
    GENERATION,
    MARKED,
    NEVER_CLEAR,
    NO_TIME,
    SCOPES_ABOVE,
)
from agents_registry.lineage import CREDENTIAL, SCOPED, UNKNOWN_TIME
from agents_registry.scope import covers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents_registry.clearance import Clearance
    from agents_registry.presentation import Presented
    from agents_registry.registry import Registry

MOST_LOOKS: Final = 256  # at nodes, parents and scopes; beyond it is done in steps


def within(
    registry: Registry,
    presented: Presented,
    nodes: Sequence[int],
    scope: str | None,
) -> bool:
    """Whether a presentation keeps within what limits it; False: look closely.

    Args:
        registry: the table.
        presented: the presentation.
        nodes: of all its names, each with a value that counts; below 0 what no fact
            names.
        scope: is asked for.
    """
    clearance, mark = registry.clearance, NO_TIME
    for node in nodes:
        value = clearance.values[node] if node >= 0 else 0
        if value & MARKED and clearance.marks[node] > mark:
            mark = clearance.marks[node]
        if scope is not None and value & SCOPES_ABOVE:
            start = clearance.nearest[node]
            if not is_covered(registry, start, scope):
                return False
    return mark == NO_TIME or is_young(registry, presented, nodes, mark)


def is_young(
    registry: Registry, presented: Presented, nodes: Sequence[int], mark: int
) -> bool:
    """Whether it is known that what is presented was issued after a time."""
    flags, issued = registry.lineage.flags, registry.lineage.issued
    at = presented.issued_at
    earliest = UNKNOWN_TIME if at is None else at
    for node in nodes[: len(presented.identifiers)]:
        if node >= 0 and flags[node] & CREDENTIAL and issued[node] < earliest:
            earliest = issued[node]
    return mark < earliest < UNKNOWN_TIME


def is_declared(registry: Registry, node: int, scope: str) -> bool:
    """Whether a node alone covers a scope, by all that is declared of it."""
    for declared in registry.scopes.of(node):
        if scope not in declared and not covers(declared, scope):
            return False
    return True


def is_covered(registry: Registry, start: int, scope: str) -> bool:
    """Whether each scope that is declared from a node on upwards covers one.

    That it does is kept, for all that hangs on the node.

    Args:
        registry: the table.
        start: the node, as `Clearance.nearest` has it.
        scope: is asked for.
    """
    clearance = registry.clearance
    if start < 0:
        return is_declared(registry, ~start, scope)
    if scope in clearance.covered.get(start, ()):
        return True
    if not _covers(registry, start, scope):
        return False
    clearance.cover(start, scope)
    return True


def _covers(registry: Registry, start: int, scope: str) -> bool:
    """Look at the declared scopes, from one node to the next that declares some."""
    lineage, looks = registry.lineage, 0
    seen, todo = {start}, [start]
    for node in todo:
        edges = lineage.parents(node)
        sets = registry.scopes.of(node) if lineage.flags[node] & SCOPED else []
        looks += 1 + len(edges) + sum(map(len, sets))
        if looks > MOST_LOOKS or not all(covers(each, scope) for each in sets):
            return False
        ups = [_nearest(registry.clearance, up) for up, _ in edges]
        for up in (lineage.ring[node], *ups):
            if up is not None and up not in seen:
                seen.add(up)
                todo.append(up)
    return True


def _nearest(clearance: Clearance, node: int) -> int | None:
    """Node from which on scopes are declared, None where none is."""
    value = clearance.values[node]
    if value <= NEVER_CLEAR or value & GENERATION != clearance.generation:
        return node  # only marked: what is above it is to be looked at
    if not value & SCOPES_ABOVE:
        return None
    start = clearance.nearest[node]
    return start if start >= 0 else ~start
