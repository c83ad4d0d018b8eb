"""Who acts with what a use presents: the agent that is named, or the nearest above."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agents_registry.identifiers import Identifier
from agents_registry.lineage import KNOWN, NONE
from streams.stages.access.agent_kinds import rank
from streams.stages.access.caller import MOST_TEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from agents_registry.registry import Registry
    from streams.stages.access.uses import AccessEvent

MOST_MET: Final = 256  # nodes above something presented that are looked at


def levels_above(
    names: Sequence[Identifier], registry: Registry
) -> Iterator[list[Identifier]]:
    """Yield some names with their other names, then those that they hang on, by level.

    At most `MOST_MET` nodes are looked at.
    """
    lineage = registry.lineage
    nodes = [node for node in map(lineage.find, names) if node != NONE]
    found, met, first = list(names), set(nodes), True
    while nodes or first:
        above: list[int] = []
        for node in nodes:
            for other in lineage.others(node, MOST_MET):
                found.append(lineage.identifier(other))
                above += (parent for parent, _ in lineage.parents(other, MOST_MET))
        yield found
        if len(met) >= MOST_MET:
            return
        found, first = [], False
        nodes = [each for each in dict.fromkeys(above[:MOST_MET]) if each not in met]
        met.update(nodes)


def acting_agent(
    use: AccessEvent, registry: Registry, acts: Callable[[str], bool]
) -> Identifier | None:
    """Acting agent: the one that the line names, or the nearest above it.

    Of several at one distance agents go before accounts, and these before others.

    Args:
        use: what was presented, and by whom.
        registry: the table.
        acts: tells whether what a kind names acts by itself.
    """
    named = named_agent(use.caller.agent if use.caller else None)
    if named is not None and acts(named.kind):
        return named
    if own := _first(use.identifiers, acts):
        return own
    for names in levels_above(use.identifiers, registry):
        if found := _first(names, acts):
            return found
    return None


def named_agent(text: str | None) -> Identifier | None:
    """Read the agent that a line names; None where it is cut, and so another's name."""
    if text is None or len(text) >= MOST_TEXT:
        return None
    try:
        return Identifier.parse(text)
    except ValueError:
        return None


def is_declared(registry: Registry, name: Identifier) -> bool:
    """Whether a fact declared something, under whichever of its names."""
    lineage = registry.lineage
    node = lineage.find(name)
    if node == NONE:
        return False
    flags, ring = lineage.flags, lineage.ring
    other = node
    while not flags[other] & KNOWN:
        other = ring[other]
        if other == node:
            return False
    return True


def _first(
    names: Iterable[Identifier], acts: Callable[[str], bool]
) -> Identifier | None:
    found = [name for name in names if acts(name.kind)]
    return min(found, key=lambda name: rank(name.kind), default=None)
