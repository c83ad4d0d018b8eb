"""Causes that are limited: which nodes they act on, and which one is first.

Such a cause acts on each name that is of one of its kinds and requires the target and
all further conditions, or that an owner owns where that is the condition; what hangs on
that name, as its other names do, is ended with it. Nothing is walked once a cause: the
nodes are found once for all causes with the same limits, and what is above them as
watermarks are (`agents_registry.watermarks`).
"""

from __future__ import annotations

from itertools import chain
from operator import mul
from typing import TYPE_CHECKING, Protocol

from agents_registry.cause_rows import CauseLimit
from agents_registry.identifiers import owner_in
from agents_registry.lineage import NONE, OWNED
from agents_registry.ownership import Graph, walked_down
from agents_registry.steps import in_runs
from agents_registry.watermarks import STEP, UNKNOWN_ISSUE, first_marks

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from agents_registry.cause_rows import RecordedCause
    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from agents_registry.steps import Row, Steps


class NamedGraph(Graph, Protocol):
    """A graph that tells the kinds of its nodes."""

    def kinds(self, node: int) -> Iterable[str]:
        """Kind of a node; what is presented may be of several."""
        ...

    def standing_for(self, nodes: set[int]) -> Iterable[int]:
        """Nodes without a name of their own that stand for one of some nodes."""
        ...


class Selection:
    """The nodes of a graph that limits let a cause act on.

    Very many limits may stand on one label, and most of them mean nothing of a graph:
    they are left out without a walk. What others have in common is found once.
    """

    def __init__(self, registry: Registry, graph: NamedGraph) -> None:
        """Start with nothing found; the graph is to be complete by then."""
        self._registry = registry
        self._lineage = registry.lineage
        self._graph = graph
        self._of_kind: dict[str, set[int]] = {}
        self._owned: list[int] | None = None
        self._meeting: dict[Identifier, set[int]] = {}
        self._chosen: dict[CauseLimit, dict[int, None]] = {}
        # By what equal nodes have in common: how many, their sum, that of squares.
        self._alike: dict[tuple[bool, int, int, int], list[CauseLimit]] = {}

    def reduced(self, limit: CauseLimit) -> Steps[CauseLimit | None]:
        """Find one for all limits that mean the same of this graph; None: nothing."""
        kinds, where, of_owner = limit
        if kinds:
            if not self._of_kind:
                yield from self._sort_by_kind()
            kinds = tuple(kind for kind in kinds if kind in self._of_kind)
            if not kinds:
                return None
        for name in where:
            if name not in self._meeting:
                yield from self._meet(name)
            if not self._meeting[name]:
                return None
        less = CauseLimit(kinds, where, of_owner)
        if less in self._chosen:
            return less
        chosen = yield from self._choose(less)
        if not chosen:
            return None
        first = yield from self._first_alike(less, chosen)
        if first is less:
            self._chosen[less] = chosen
        return first

    def of(self, limit: CauseLimit) -> Collection[int]:
        """Nodes of a reduced limit, apart from that they require the target."""
        return self._chosen[limit].keys()

    def _choose(self, limit: CauseLimit) -> Steps[dict[int, None]]:
        """Find what meets all conditions and is of one of the kinds, if any."""
        meeting = sorted((self._meeting[name] for name in limit.where), key=len)
        of_kinds = [self._of_kind[kind] for kind in limit.kinds]
        few, kinds = meeting[:1], of_kinds
        if of_kinds and not (few and len(few[0]) <= sum(map(len, of_kinds))):
            few, kinds = of_kinds, []
        found: dict[int, None] = {}
        for count, node in enumerate(chain(*few)):
            if not count & STEP:
                yield
            if all(node in each for each in meeting) and (
                not kinds or any(node in each for each in kinds)
            ):
                found[node] = None
        return found

    def _first_alike(
        self, limit: CauseLimit, chosen: dict[int, None]
    ) -> Steps[CauseLimit]:
        """Limit that chose the same nodes before; where there is none, this one."""
        total = squares = 0
        for run in in_runs(chosen):
            yield
            total += sum(run)
            squares += sum(map(mul, run, run))
        key = limit.of_owner, len(chosen), total, squares
        alike = self._alike.setdefault(key, [])
        for other in alike:
            before = self._chosen[other].keys()
            for run in in_runs(chosen):
                yield
                if not before >= set(run):
                    break
            else:
                return other
        alike.append(limit)
        return limit

    def _sort_by_kind(self) -> Steps[None]:
        for count, node in enumerate(self._graph.nodes):
            if not count & STEP:
                yield
            for kind in self._graph.kinds(node):
                self._of_kind.setdefault(kind, set()).add(node)

    def _meet(self, name: Identifier) -> Steps[None]:
        """Find what meets a condition."""
        owner = owner_in(name)
        meeting = self._below(name) if owner is None else self._owned_by(owner)
        self._meeting[name] = yield from meeting

    def _below(self, name: Identifier) -> Steps[set[int]]:
        """Find what requires a name."""
        node = self._lineage.find(name)
        starts = [node] if node != NONE and node in self._graph.nodes else []
        return walked_down(self._graph, starts)

    def _owned_by(self, owner: Identifier) -> Steps[set[int]]:
        """Find what an owner owns by any of its names, with its other names."""
        lineage, owners = self._lineage, self._registry.owners
        found, node = set[int](), lineage.find(owner)
        if node == NONE:
            return found
        if self._owned is None:
            self._owned = yield from self._find_owned()
        names = set((yield from lineage.others_in_steps(node)))
        for count, each in enumerate(self._owned):
            if not count & STEP:
                yield
            if each not in found and not all(map(names.isdisjoint, owners.of(each))):
                others = yield from lineage.others_in_steps(each)
                found.update(filter(self._graph.nodes.__contains__, others))
        found.update([*self._graph.standing_for(found)])
        return found

    def _find_owned(self) -> Steps[list[int]]:
        found, flags = list[int](), self._lineage.flags
        for count, node in enumerate(self._graph.nodes):
            if not count & STEP:
                yield
            if node >= 0 and flags[node] & OWNED:
                found.append(node)
        return found


def reduced_limits(
    selection: Selection, limited: Mapping[CauseLimit, Sequence[Row]]
) -> Steps[dict[CauseLimit, list[Row]]]:
    """Put together what limits stand for that mean the same; leave out what is none."""
    found: dict[CauseLimit, list[Row]] = {}
    for count, (limit, rows) in enumerate(limited.items()):
        if not count & STEP:
            yield
        reduced = yield from selection.reduced(limit)
        if reduced is not None:
            found.setdefault(reduced, []).extend(rows)
    return found


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
    # Where the owner is the condition, whatever is chosen is ended by the first mark.
    value = 0 if limit.of_owner else UNKNOWN_ISSUE  # before every mark
    issued: dict[int, int] = {}
    for run in in_runs(chosen):
        yield
        issued.update(dict.fromkeys(run, value))
    if limit.of_owner:
        return issued
    return (yield from first_marks(graph, marks, issued, lambda *_: False))
