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
    UNDATED,
)
from agents_registry.kept import NOT_KEPT
from agents_registry.limits import is_declared, is_young, within
from agents_registry.lineage import KNOWN, NONE
from agents_registry.presentation import FoundNodes, Presented
from agents_registry.scope import covers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents_registry.registry import Registry

note: Final = vars(Presented)["found"].__set__  # a third of what setattr takes
_TUPLES: Final = {tuple}
_ALONE: Final = CURRENT | UNDATED  # of a name that is presented without anything else


def lives(
    registry: Registry, presented: Presented, now: int, scope: str | None
) -> bool:
    """Whether facts name all that is presented, and nothing denies it.

    This is what nearly every check comes to; False means "look closely".
    """
    clearance = registry.clearance
    try:
        _, table, nodes, node, wanted, _ = presented.found
        if table is not clearance.token:
            _, _, nodes, node, wanted, _ = _found(registry, presented)
        current = clearance.current
        if node >= 0:
            bits = clearance.values[node]
            if bits <= now | FINE:
                return False
        else:
            values, late = clearance.values, now | FINE
            bits, size = current, 0
            for each in nodes:
                value = values[each]
                if value <= late or value & CURRENT != current:
                    return False
                bits |= value
                size += value & SIZE
            if size > SIZE:
                return False
        if bits & wanted != current and not (
            bits & CURRENT == current and _are_young(registry, presented, nodes)
        ):
            return False
        if now < clearance.since:
            return False  # a clock that went back
        return (
            scope is None or not bits & SCOPES_ABOVE or _cover(registry, nodes, scope)
        )
    except LookupError:
        return False  # no fact names it, or nobody asked about it yet


def text_lives(registry: Registry, text: str, now: int, scope: str | None) -> bool:
    """Whether `lives` holds of what is presented as one text, ``kind:value``.

    False means "read it, and look closely".
    """
    names, clearance = registry.lineage.names, registry.clearance
    node = names.texts.get(text)
    if node is None:
        node = names.find_text(text)
    if not 0 <= node < len(clearance.values):
        return False
    bits = clearance.values[node]
    return (
        bits > now | FINE
        and bits & _ALONE == clearance.current
        and now >= clearance.since
        and (
            scope is None or not bits & SCOPES_ABOVE or _cover(registry, (node,), scope)
        )
    )


def _are_young(
    registry: Registry, presented: Presented, nodes: tuple[int, ...]
) -> bool:
    """Whether what is presented was issued after each ``not_before`` above it."""
    values, marks = registry.clearance.values, registry.clearance.marks
    mark = max(marks[node] for node in nodes if values[node] & MARKED)
    return is_young(registry, presented, nodes, mark)


def _cover(registry: Registry, nodes: tuple[int, ...], scope: str) -> bool:
    """Whether it is quickly known that all that is declared above covers a scope."""
    clearance = registry.clearance
    for node in nodes:
        if clearance.values[node] & SCOPES_ABOVE:
            place = clearance.sets[node]
            if place:
                declared = clearance.declared[place]
                if scope not in declared and not covers(declared, scope):
                    return False
                continue
            start = clearance.nearest[node]
            if start < 0:
                if not is_declared(registry, ~start, scope):
                    return False
            elif scope not in clearance.covered.get(start, ()):
                return False
    return True


def _found(registry: Registry, presented: Presented) -> FoundNodes:
    """Nodes of all names, noted for the next time.

    Raises:
        LookupError: nothing is presented, or no fact names some of it.
        TypeError: names were given as something else than tuples.
    """
    lineage, names = registry.lineage, presented.identifiers
    if not {type(names), type(presented.chain)} <= _TUPLES:
        raise TypeError("Presented takes tuples of identifiers: Presented((name,))")
    nodes = tuple(map(lineage.names.find, names + presented.chain))
    if not names or NONE in nodes:
        raise LookupError
    # Who claims a time is compared with each mark, others where no name tells one.
    is_dated = presented.issued_at is None and len(nodes) == 1
    wanted = CURRENT | (UNDATED if is_dated else MARKED)
    only = nodes[0] if len(nodes) == 1 else NONE
    asked = only if is_dated else (presented.issued_at, nodes, len(names))
    token = registry.clearance.token
    found = (NOT_KEPT, token, nodes, only, wanted, asked)
    if presented.is_bounded():
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
        if now < clearance.since or size > SIZE:
            return False
        if not within(registry, presented, nodes, scope):
            return False
    except IndexError:
        return False  # nobody asked about it yet
    if registry.horizon is None:
        return True
    flags = registry.lineage.flags
    return all(n >= 0 and flags[n] & KNOWN for n in nodes)
