"""Clear: whether it is known that nothing denies a presentation.

What nearly every check comes to; what is known is kept by node
(`agents_registry.clearance`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agents_registry.clearance import (
    CURRENT,
    FINE,
    GENERATION,
    MARKED,
    ONE,
    SCOPES_ABOVE,
    SIZE,
)
from agents_registry.limits import is_covered, is_kept_covered, within
from agents_registry.lineage import KNOWN, NONE
from agents_registry.presentation import Presented

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents_registry.registry import Registry

note: Final = vars(Presented)["found"].__set__  # a third of what setattr takes
_TUPLES: Final = {tuple}
# Bits of a value that nothing else must be asked about, by what is asked for.
_UNSCOPED: Final = CURRENT | MARKED
_SCOPED: Final = CURRENT | MARKED | SCOPES_ABOVE


def lives(
    registry: Registry, presented: Presented, now: int, scope: str | None
) -> bool:
    """Whether facts name all that is presented, and nothing denies it.

    This is what nearly every check comes to; False means "look closely".
    """
    clearance, found = registry.clearance, presented.found
    values, late = clearance.values, now | FINE
    mask = _UNSCOPED if scope is None else _SCOPED
    try:
        if found is None or found[0] is not clearance.token:
            found = _found(registry, presented)
        nodes, current = found[1], clearance.current
        if len(nodes) == 1:
            bits = values[nodes[0]]
            if bits <= late:
                return False
        else:
            bits, size = current, 0
            for node in nodes:
                value = values[node]
                if value <= late or value & CURRENT != current:
                    return False
                bits |= value & mask
                size += value & SIZE
            if size > SIZE:
                return False
        if bits & mask == current:
            return True
        return bits & CURRENT == current and within(
            registry, presented, nodes, scope, is_kept_covered
        )
    except LookupError:
        return False  # no fact names it, or nobody asked about it yet


def _found(registry: Registry, presented: Presented) -> tuple[object, tuple[int, ...]]:
    """Nodes of all names, noted for the next time.

    Raises:
        LookupError: nothing is presented, or no fact names some of it.
        TypeError: names were given as something else than tuples.
    """
    lineage, names = registry.lineage, presented.identifiers
    if not {type(names), type(presented.chain)} <= _TUPLES:
        raise TypeError("Presented takes tuples of identifiers: Presented((name,))")
    if len(names) == 1 and not presented.chain:
        nodes: tuple[int, ...] = (lineage.names.find(names[0]),)
    else:
        nodes = tuple(map(lineage.names.find, names + presented.chain))
    if not names or NONE in nodes:
        raise LookupError
    found = registry.clearance.token, nodes
    note(presented, found)
    return found


def is_clear(
    registry: Registry,
    presented: Presented,
    nodes: Sequence[int],
    now: int,
    scope: str | None,
) -> bool:
    """Whether it is known that nothing denies a presentation.

    Args:
        registry: the table.
        presented: the presentation.
        nodes: all that is presented and stands in the chain; below 0 what no fact
            names.
        now: ns.
        scope: is asked for.
    """
    clearance = registry.clearance
    values, generation = clearance.values, clearance.generation
    late, size = now | FINE, 0
    try:
        for node in nodes:
            if node < 0:
                size += ONE
                continue
            value = values[node]
            if value <= late or value & GENERATION != generation:
                return False
            size += value & SIZE
        if size > SIZE or not within(registry, presented, nodes, scope, is_covered):
            return False
    except IndexError:
        return False  # nobody asked about it yet
    if registry.horizon is None:
        return True
    flags = registry.lineage.flags
    return all(n >= 0 and flags[n] & KNOWN for n in nodes)
