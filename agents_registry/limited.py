"""Causes that are limited to kinds: which nodes they act on, and which one is first.

Such a cause acts on each name that is of one of its kinds and requires the target; what
hangs on that name, as its other names do, is ended with it. Nothing is walked once a
cause: nodes of the kinds are found once for all causes that have the same, and what is
above them as watermarks are (`agents_registry.watermarks`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from agents_registry.ownership import Graph
from agents_registry.watermarks import STEP, UNKNOWN_ISSUE, first_marks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agents_registry.cause_rows import RecordedCause
    from agents_registry.steps import Steps

Kinds: TypeAlias = tuple[str, ...]


class NamedGraph(Graph, Protocol):
    """A graph that tells the kinds of its nodes."""

    def kinds(self, node: int) -> Iterable[str]:
        """Kind of a node; what is presented may be of several."""
        ...


def of_kinds(graph: NamedGraph, kinds: Kinds, nodes: Iterable[int]) -> Steps[list[int]]:
    """Find those of some nodes that are of one of some kinds."""
    found, wanted = [], frozenset(kinds)
    for count, node in enumerate(nodes):
        if not count & STEP:
            yield
        if not wanted.isdisjoint(graph.kinds(node)):
            found.append(node)
    return found


def first_of_kinds(
    graph: NamedGraph, kinds: Kinds, marks: Sequence[tuple[RecordedCause, int]]
) -> Steps[dict[int, int]]:
    """Find which of some causes ends each node of their kinds first.

    What hangs on one that was ended before is ended by that, and left out.

    Args:
        graph: complete.
        kinds: of all of the causes.
        marks: the causes, each with where it stands; the one that came first stands
            first.

    Returns:
        The place of the cause, by the node.
    """
    some = yield from of_kinds(graph, kinds, graph.nodes)
    issued = dict.fromkeys(some, UNKNOWN_ISSUE)  # before every mark
    return (yield from first_marks(graph, marks, issued, lambda *_: False))
