"""Causes that are limited: which nodes they act on, and which one is first.

Such a cause acts on each name that is of one of its kinds and requires the target and
all further conditions, or that an owner owns where that is the condition; what hangs on
that name, as its other names do, is ended with it. Nothing is walked once a cause: the
nodes are found once for all causes with the same limits, and what is above them as
watermarks are (`agents_registry.watermarks`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from agents_registry.identifiers import owner_in
from agents_registry.lineage import NONE, OWNED
from agents_registry.ownership import Graph
from agents_registry.watermarks import STEP, UNKNOWN_ISSUE, first_marks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agents_registry.cause_rows import CauseLimit, RecordedCause
    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps


class NamedGraph(Graph, Protocol):
    """A graph that tells the kinds of its nodes."""

    def kinds(self, node: int) -> Iterable[str]:
        """Kind of a node; what is presented may be of several."""
        ...

    def standing_for(self, nodes: set[int]) -> Iterable[int]:
        """Nodes without a name of their own that stand for one of some nodes."""
        ...


class Selection:
    """The nodes of a graph that limits let a cause act on."""

    def __init__(self, registry: Registry, graph: NamedGraph) -> None:
        """Start with nothing found; the graph is to be complete by then."""
        self._registry = registry
        self._lineage = registry.lineage
        self._graph = graph
        self._meeting: dict[Identifier, set[int]] = {}
        self._chosen: dict[CauseLimit, list[int]] = {}

    def of(self, limit: CauseLimit) -> Steps[list[int]]:
        """Find the nodes, apart from that they require the target, once."""
        if limit not in self._chosen:
            self._chosen[limit] = yield from self._choose(limit)
        return self._chosen[limit]

    def _choose(self, limit: CauseLimit) -> Steps[list[int]]:
        kinds, found = frozenset(limit.kinds), list[int]()
        for name in limit.where:
            yield from self._meet(name)
        sets = sorted((self._meeting[name] for name in limit.where), key=len)
        for count, node in enumerate(sets[0] if sets else self._graph.nodes):
            if not count & STEP:
                yield
            if (not kinds or not kinds.isdisjoint(self._graph.kinds(node))) and all(
                node in some for some in sets[1:]
            ):
                found.append(node)
        return found

    def _meet(self, name: Identifier) -> Steps[None]:
        """Find what meets a condition, once."""
        if name not in self._meeting:
            owner = owner_in(name)
            meeting = self._below(name) if owner is None else self._owned_by(owner)
            self._meeting[name] = yield from meeting

    def _below(self, name: Identifier) -> Steps[set[int]]:
        """Find what requires a name."""
        node = self._lineage.find(name)
        todo = [node] if node != NONE and node in self._graph.nodes else []
        seen = set(todo)
        for count, each in enumerate(todo):
            if not count & STEP:
                yield
            for child in self._graph.children(each):
                if child not in seen:
                    seen.add(child)
                    todo.append(child)
        return seen

    def _owned_by(self, owner: Identifier) -> Steps[set[int]]:
        """Find what an owner owns by any of its names, with its other names."""
        lineage, owners = self._lineage, self._registry.owners
        found, node = set[int](), lineage.find(owner)
        names = set[int]()
        if node != NONE:
            names.update((yield from lineage.others_in_steps(node)))
        for count, each in enumerate(self._graph.nodes if names else ()):
            if not count & STEP:
                yield
            if (
                each >= 0
                and lineage.flags[each] & OWNED
                and each not in found
                and not all(map(names.isdisjoint, owners.of(each)))
            ):
                found.update((yield from lineage.others_in_steps(each)))
        found.intersection_update(self._graph.nodes)
        return found.union(self._graph.standing_for(found))


def first_limited(
    graph: NamedGraph,
    chosen: Iterable[int],
    limit: CauseLimit,
    marks: Sequence[tuple[RecordedCause, int]],
) -> Steps[dict[int, int]]:
    """Find which of some causes ends each node that limits let them act on first.

    What hangs on one that was ended before is ended by that, and may be left out.

    Args:
        graph: complete.
        chosen: what `Selection` found.
        limit: of all of the causes.
        marks: the causes, each with where it stands; the one that came first stands
            first.

    Returns:
        The place of the cause, by the node.
    """
    if limit.of_owner:
        return dict.fromkeys(chosen, 0)
    issued = dict.fromkeys(chosen, UNKNOWN_ISSUE)  # before every mark
    return (yield from first_marks(graph, marks, issued, lambda *_: False))
