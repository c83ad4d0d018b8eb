"""What a new fact condemned: the identifiers that subscribers must be told of.

A revocation is one fact whatever it reaches; guards walk ancestors themselves.
Subscribers that know only ids, and the sentinel, need the list. The list of a cause
starts at its target; that of an edge, alias, owner set or node fact at the node that
it hung on something that a cause may have ended, or that has no living owner; and that
of a fact taken back at what it spoke of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from agents_registry.causes import CauseRef, reference
from agents_registry.death import Death
from agents_registry.facts import (
    Alias,
    Cause,
    Edge,
    Effect,
    Fact,
    Holds,
    LabelSet,
    Node,
    OwnerSet,
    Withdraw,
)
from agents_registry.identifiers import ATTRIBUTE, Identifier
from agents_registry.lineage import NONE
from agents_registry.owner_circles import may_take_an_owner
from agents_registry.shown_way import shown_way
from agents_registry.sweep import Sweep
from agents_registry.verdict_dependencies import met_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.reach import Reached
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from agents_registry.sweep_ends import End
    from agents_registry.uncaused import Uncaused

TOGETHER: Final = 1000  # nodes judged at once, at least
# What is condemned, or may hang on something dead from now on, by the kind of fact.
_TOUCHED: Final[dict[type[Fact], str]] = {
    Cause: "target",
    Withdraw: "target",
    Edge: "child",
    Alias: "first",
    Node: "node",
    OwnerSet: "node",
    Holds: "node",
    LabelSet: "node",
}
_HANGS: Final = frozenset({Edge, Alias, OwnerSet, LabelSet})


class Condemned(NamedTuple):
    """An identifier whose uses are of interest: it is dead, or was for some time.

    Attributes:
        death: why it is dead now; of a long path only the ends are told. None where it
            lives and may have been dead, or where a ``not_before`` may end what is
            presented together with it: only its uses are of interest.
    """

    identifier: Identifier
    death: Death | None


def root(registry: Registry, fact: Fact, uncaused: Uncaused) -> Identifier | None:
    """Return the identifier at which a fact may have condemned something, or None.

    Args:
        registry: the table, with the fact applied.
        fact: a fact that was just applied.
        uncaused: tells what no cause can have ended.
    """
    name = _TOUCHED.get(type(fact))
    if name is None:
        return None
    touched: Identifier = getattr(fact, name)
    if isinstance(fact, Cause):
        return None if fact.effect is Effect.NARROW else met_at(touched)[-1]
    node = registry.lineage.recall(touched)
    if node == NONE:
        return None
    if isinstance(fact, Withdraw):
        # Without a lift, an issue or an owner it may be dead, once the table that is
        # perhaps still to be built anew says so.
        return met_at(touched)[-1]
    if uncaused.is_clear(node) and not (
        type(fact) in _HANGS and may_take_an_owner(registry, node)
    ):
        return None
    return touched


def condemned(
    registry: Registry, reach: Reached, heard: int = 0
) -> Steps[list[Condemned]]:
    """Judge the next of what hangs on some nodes; give those that are or were dead.

    What only hangs there and lives (an older child under reach self, a node with
    another living owner) is left out. So many are judged at once that what is above
    them, and walked again for the next ones, is no more than they are.
    """
    nodes: list[int] = []
    sweep = Sweep(registry, heard=heard)
    while not reach.over and len(nodes) < max(TOGETHER, len(sweep.nodes) // 2):
        taken = reach.take(1 + TOGETHER // 4)
        nodes += taken
        yield  # below many leaves nothing new is found for long
        yield from sweep.include(taken)
    yield from sweep.judge()
    ends = yield from sweep.ends()
    waned = (yield from sweep.under(sweep.waned)) if sweep.waned else ()
    found = []
    deaths = _Deaths(registry)
    for count, node in enumerate(nodes):
        if not count % 16:
            yield
        end = ends.get(node)
        if end is None and node not in waned:
            continue
        identifier = registry.lineage.identifier(node)
        if not identifier.kind.startswith(ATTRIBUTE):
            death = None if end is None else deaths.of(node, identifier, end)
            found.append(Condemned(identifier, death))
    return found


class _SharedEnd(NamedTuple):
    """What the deaths by one cause share.

    Attributes:
        names: of the target, as nodes.
    """

    cause: CauseRef
    target: Identifier
    names: frozenset[int]


class _Deaths:
    """Tells deaths; what those by one cause share is looked up once."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._shared: dict[int, _SharedEnd] = {}  # by the ends, which are kept

    def of(self, node: int, identifier: Identifier, end: End) -> Death:
        """Death of a node, of whose path only a short one is told."""
        shared = self._shared.get(id(end))
        if shared is None:
            shared = self._shared[id(end)] = self._share(end)
        cause, target, names = shared
        if node in names:
            path = (identifier,) if node == end.target else (identifier, target)
            return Death(cause=cause, path=path, via="direct")
        between = map(self._registry.lineage.identifier, self._between(node, end))
        return Death(cause=cause, path=(identifier, *between, target), via="ancestor")

    def _between(self, node: int, end: End) -> list[int]:
        """Nodes on the way; none where a node hangs on the target, as most do."""
        if self._registry.lineage.strengths(node, end.target):
            return []
        return shown_way(self._registry, node, end.target)[1:-1]

    def _share(self, end: End) -> _SharedEnd:
        lineage = self._registry.lineage
        names = frozenset(lineage.others(end.target))
        cause, target = reference(self._registry, end.cause), end.target
        stands = target == end.cause.node  # as but for what a selector reaches
        named = cause.target if stands else lineage.identifier(target)
        return _SharedEnd(cause, named, names)


def dead(found: Iterable[Condemned]) -> Iterator[tuple[Identifier, Death]]:
    """Yield those that are dead now, as subscribers are told."""
    for each in found:
        if each.death is not None:
            yield each.identifier, each.death
