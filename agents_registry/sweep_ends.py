"""What the flaws of a sweep end, by one walk down from each that counts."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from agents_registry.endings import age
from agents_registry.ownership import NEVER, walked_down
from agents_registry.steps import in_order, in_runs

if TYPE_CHECKING:
    from agents_registry.cause_rows import RecordedCause
    from agents_registry.life import Reason
    from agents_registry.ownership import Graph
    from agents_registry.steps import Steps

LOOKS: Final = 1023  # a mask: edges walked between two yields


class End(NamedTuple):
    """What ends a node first: the cause, and the node that carries it."""

    cause: RecordedCause
    target: int


_Flaws = list[tuple["Reason", int, "End | None"]]


def first_ends(
    graph: Graph, inherited: _Flaws, personal: _Flaws
) -> Steps[dict[int, End]]:
    """Find what ends each node first, where a cause does.

    Args:
        graph: the nodes.
        inherited: flaws that pass to all that hangs on their nodes.
        personal: those that do not.
    """
    ends: dict[int, End] = {}
    aged = ((age(e.cause) if e else NEVER, n, e) for _, n, e in inherited)
    count = 0
    for _, start, end in (yield from in_order(aged, itemgetter(0))):
        todo = [start]
        for node in todo:
            count += 1
            if not count & LOOKS:
                yield
            if end and node not in ends:
                ends[node] = end
                todo += graph.children(node)
    for run in in_runs(personal):
        yield
        for _, node, other in run:
            first = ends.get(node)
            if other and (not first or age(other.cause) < age(first.cause)):
                ends[node] = other
    return ends


def all_reasons(
    graph: Graph, inherited: _Flaws, personal: _Flaws
) -> Steps[dict[int, set[Reason]]]:
    """Find for each node why it is dead now; see `first_ends`."""
    found: dict[int, set[Reason]] = {}
    starts: dict[Reason, list[int]] = {}
    for flaws in in_runs(inherited):
        yield
        for reason, node, _ in flaws:
            starts.setdefault(reason, []).append(node)
    for reason, nodes in starts.items():
        for run in in_runs((yield from walked_down(graph, nodes))):
            yield
            for node in run:
                found.setdefault(node, set()).add(reason)
    for flaws in in_runs(personal):
        yield
        for reason, node, _ in flaws:
            found.setdefault(node, set()).add(reason)
    return found
