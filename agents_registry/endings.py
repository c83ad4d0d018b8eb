"""Endings: what the causes in force of a closure end, and which one does so first.

Causes end in four ways: what hangs on their target, the target's own node with the
edges to its younger children (reach self), credentials that are too old
(``not_before``), or what hangs on their target and meets further conditions, and what
hangs on that. Many may stand on one lineage. Each is looked at once here, whatever
is below it, so that the cost is near linear in the closure and its causes.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from agents_registry.facts import Effect, Reach
from agents_registry.limited import Selection, first_limited, reduced_limits
from agents_registry.lineage import ALWAYS, CAUSED, CREDENTIAL, NONE, UNKNOWN_TIME
from agents_registry.watermarks import (
    ENDED,
    UNKNOWN_ISSUE,
    first_marks,
    oldest_below,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agents_registry.cause_rows import CauseLimit, RecordedCause
    from agents_registry.closure import Requirements
    from agents_registry.ownership import Age
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps

STEP: Final = 127  # a mask: nodes or causes between two yields


class Hit(NamedTuple):
    """A cause and a node that it ends.

    Attributes:
        node: of watermarks the target; see `Endings.nearest_too_old`.
        target: what the cause stands on.
    """

    node: int
    cause: RecordedCause
    target: int


class Ends(NamedTuple):
    """The first end of each node that a cause ends.

    Attributes:
        inherited: passes to what requires the node.
        personal: of the node alone.
        targets: where the causes of an end stand.
    """

    inherited: dict[int, Age]
    personal: dict[int, Age]
    targets: dict[Age, dict[int, RecordedCause]]


def age(cause: RecordedCause) -> Age:
    """Order causes: the earliest first, ids break ties."""
    return (cause.at, cause.fact_id)


class Endings:
    """The causes in force of a closure."""

    def __init__(self, registry: Registry, closure: Requirements) -> None:
        """Start with none; `collect` finds them."""
        self._registry = registry
        self._closure = closure
        self._subtree: list[Hit] = []
        self._marks: list[Hit] = []
        self._selves: dict[int, list[Hit]] = {}  # by the node that names stand for
        self._stands_for: dict[int, int] = {}
        self._edges: dict[int, list[tuple[int, int]]] = {}
        self._limited: dict[CauseLimit, list[Hit]] = {}
        self._nearest: dict[CauseLimit, dict[int, int]] = {}
        self._selection = Selection(registry, closure)

    def collect(
        self,
        causes_of: Callable[[int], Iterable[RecordedCause]],
        in_force: Callable[[RecordedCause], bool],
    ) -> Steps[None]:
        """Take all causes up that end something.

        Args:
            causes_of: tells those of a node.
            in_force: tells whether a cause counts.
        """
        count = 0
        for node in self._closure.nodes:
            count += 1
            if not count & STEP:
                yield
            if not self._closure.flags(node) & CAUSED:
                continue
            for cause in causes_of(node):
                count += 1
                if not count & STEP:
                    yield
                if cause.effect is Effect.NARROW or not in_force(cause):
                    continue
                hit = Hit(node, cause, node)
                if cause.effect is Effect.NOT_BEFORE:
                    self._marks.append(hit)
                elif (limit := cause.limit) is not None:
                    self._limited.setdefault(limit, []).append(hit)
                elif cause.reach is Reach.SUBTREE:
                    self._subtree.append(hit)
                else:
                    self._take_self(hit)

    def _take_self(self, hit: Hit) -> None:
        node = hit.target
        if node not in self._stands_for:
            names = self._closure.names(node)
            self._stands_for.update(dict.fromkeys(names, node))
            self._selves[node] = []
        self._selves[self._stands_for[node]].append(hit)

    def inherited(self, rank: Mapping[int, int]) -> Steps[list[Hit]]:
        """Causes that end n and all that requires it, each at its nearest node.

        Args:
            rank: the nodes of R(n), the nearest with the lowest.
        """
        hits = [hit for hit in self._subtree if hit.node in rank]
        for limit, limited in (yield from self._reduced()).items():
            nearest = yield from self._nearest_by(limit, rank)
            for hit in limited:
                node = nearest.get(NONE if limit.of_owner else hit.node)
                if node is not None:
                    hits.append(hit._replace(node=node))
        looks = 0
        for node, causes in self._selves.items():
            edges = yield from self._young(node)
            if (looks := looks + 1 + len(edges)) > STEP:
                looks = 0
                yield
            hits += self._nearest_young(causes, edges, rank)
        return hits + (yield from self._watermarks(rank))

    def nearest_of(
        self, limit: CauseLimit, stands: int, rank: Mapping[int, int]
    ) -> Steps[int | None]:
        """Find what a limited cause acts on: the nearest node of R(n), None of none.

        Args:
            limit: of the cause.
            stands: where the cause stands.
            rank: the nodes of R(n), the nearest with the lowest.
        """
        reduced = yield from self._selection.reduced(limit)
        if reduced is None:
            return None
        nearest = yield from self._nearest_by(reduced, rank)
        return nearest.get(NONE if limit.of_owner else stands)

    def _nearest_by(
        self, limit: CauseLimit, rank: Mapping[int, int]
    ) -> Steps[dict[int, int]]:
        """Nearest node of R(n) that a reduced limit chooses, by where causes stand."""
        if limit not in self._nearest:
            chosen = self._selection.of(limit)
            ranks = {node: rank[node] for node in chosen if node in rank}
            by_rank = {of: node for node, of in ranks.items()}
            if limit.of_owner:
                nearest = {NONE: min(by_rank)} if by_rank else {}
            else:
                nearest = yield from oldest_below(self._closure, ranks)
            self._nearest[limit] = {at: by_rank[of] for at, of in nearest.items()}
        return self._nearest[limit]

    def _reduced(self) -> Steps[dict[CauseLimit, list[Hit]]]:
        return reduced_limits(self._selection, self._limited)

    def personal(self, presented: Iterable[int], rank: Mapping[int, int]) -> list[Hit]:
        """Causes that end the presentation alone."""
        nearest: dict[int, int] = {}
        for node in sorted(presented, key=lambda node: rank.get(node, len(rank))):
            if node in self._stands_for:
                nearest.setdefault(self._stands_for[node], node)
        return [
            hit._replace(node=node)
            for stands_for, node in nearest.items()
            for hit in self._selves[stands_for]
        ]

    def _young(self, node: int) -> Steps[list[tuple[int, int]]]:
        """Edges into a node, as (time up to which a cause cuts it, child).

        An edge between two names of the node counts as well: a late alias can only
        add denials.
        """
        if node not in self._edges:
            closure, edges = self._closure, set[tuple[int, int]]()
            looks = STEP
            for name in closure.names(node):
                children = closure.children(name)
                if (looks := looks + 1 + len(children)) > STEP:
                    looks = 0
                    yield
                for child in children:
                    edges.update(
                        (ENDED if strength == ALWAYS else latest, child)
                        for latest in (closure.latest_issue(child),)
                        for strength in closure.strengths(child, name)
                    )
            self._edges[node] = sorted(edges)
        return self._edges[node]

    @staticmethod
    def _nearest_young(
        causes: list[Hit], edges: list[tuple[int, int]], rank: Mapping[int, int]
    ) -> list[Hit]:
        """Reach self: each cause with the nearest child that is not older."""
        young = [edge for edge in edges if edge[1] in rank]
        ranked = ((rank[child], child) for _, child in reversed(young))
        nearest = list(accumulate(ranked, min))[::-1]
        return [
            hit._replace(node=nearest[place][1])
            for hit in causes
            for place in (bisect_left(young, hit.cause.at, key=itemgetter(0)),)
            if place < len(young)
        ]

    def _watermarks(self, rank: Mapping[int, int]) -> Steps[list[Hit]]:
        """not_before T: credentials that hang on the target, issued up to T."""
        by_binding: dict[tuple[str | None, str | None], list[Hit]] = {}
        for hit in self._marks:
            if hit.node in rank:
                binding = (hit.cause.device, hit.cause.tenant)
                by_binding.setdefault(binding, []).append(hit)
        found: list[Hit] = []
        issued = (yield from self._issued(rank)) if by_binding else {}
        for hits in by_binding.values():
            yield
            cause = hits[0].cause
            some = {n: at for n, at in issued.items() if not self._spares(n, cause)}
            oldest = yield from oldest_below(self._closure, some)
            found += (h for h in hits if oldest.get(h.node, ENDED) <= h.cause.mark)
        return found

    def _issued(self, nodes: Iterable[int]) -> Steps[dict[int, int]]:
        """Issue time of each credential among some nodes."""
        closure, issued = self._closure, {}
        for count, node in enumerate(nodes):
            if not count & STEP:
                yield
            if closure.flags(node) & CREDENTIAL:
                time = closure.earliest_issue(node)
                issued[node] = UNKNOWN_ISSUE if time == UNKNOWN_TIME else time
        return issued

    def nearest_too_old(self, hit: Hit, rank: Mapping[int, int]) -> Steps[int]:
        """Nearest credential of R(n) that a watermark ends."""
        below = yield from self._closure.below(hit.target)
        found = []
        for count, node in enumerate(below):
            if not count & STEP:
                yield
            if node in rank and self._ends(node, hit.cause):
                found.append(node)
        return min(found, key=rank.__getitem__)

    def _ends(self, node: int, cause: RecordedCause) -> bool:
        closure = self._closure
        if not closure.flags(node) & CREDENTIAL or self._spares(node, cause):
            return False
        time = closure.earliest_issue(node)
        return time == UNKNOWN_TIME or time <= cause.mark

    def _spares(self, node: int, cause: RecordedCause) -> bool:
        """Complex subjects: spare what is bound to another device or tenant."""
        for wanted, bindings in (
            (cause.device, self._registry.devices),
            (cause.tenant, self._registry.tenants),
        ):
            bound = () if wanted is None else self._closure.bound_to(bindings, node)
            if bound and wanted not in bound:
                return True
        return False

    def first_ends(self) -> Steps[Ends]:
        """Find what ends each node of the closure first, by itself or with others."""
        ends = Ends({}, {}, {})
        selves = (hit for hits in self._selves.values() for hit in hits)
        limited = (hit for hits in self._limited.values() for hit in hits)
        plain = (*self._subtree, *self._marks, *selves, *limited)
        for count, hit in enumerate(plain):
            if not count & STEP:
                yield
            stands = ends.targets.setdefault(age(hit.cause), {})
            stands[hit.target] = hit.cause
        for hit in self._subtree:
            _end(ends.inherited, hit.node, age(hit.cause))
        yield from self._end_selves(ends)
        if self._marks:
            marks = _by_age(self._marks)
            issued = yield from self._issued(self._closure.nodes)
            ended = yield from first_marks(self._closure, marks, issued, self._spares)
            for node, place in ended.items():
                _end(ends.inherited, node, age(marks[place][0]))
        for limit, hits in (yield from self._reduced()).items():
            marks = _by_age(hits)
            chosen = self._selection.of(limit)
            ended = yield from first_limited(self._closure, chosen, limit, marks)
            for node, place in ended.items():
                _end(ends.inherited, node, age(marks[place][0]))
        return ends

    def _end_selves(self, ends: Ends) -> Steps[None]:
        looks = 0
        for node, hits in self._selves.items():
            first = min((hit.cause for hit in hits), key=age)
            names = self._closure.names(node)
            edges = yield from self._young(node)
            if (looks := looks + len(names) + len(edges)) > STEP:
                looks = 0
                yield
            for name in names:
                _end(ends.personal, name, age(first))
            for _, child in edges[bisect_left(edges, first.at, key=itemgetter(0)) :]:
                _end(ends.inherited, child, age(first))


def _by_age(hits: Iterable[Hit]) -> list[tuple[RecordedCause, int]]:
    """Causes with what they stand on, the earliest first."""
    marks = [(hit.cause, hit.target) for hit in hits]
    return sorted(marks, key=lambda mark: age(mark[0]))


def _end(ends: dict[int, Age], node: int, until: Age) -> None:
    ends[node] = min(until, ends.get(node, until))


class Blame:
    """Says which cause took the last owner of a node."""

    def __init__(
        self,
        registry: Registry,
        closure: Requirements,
        targets: Mapping[Age, Mapping[int, RecordedCause]],
    ) -> None:
        """Look among the causes of `Ends.targets`."""
        self._owners = registry.owners
        self._closure = closure
        self._targets = targets
        self._owning: dict[int, list[int]] | None = None
        self._led: dict[Age, dict[int, int]] = {}

    def of(self, node: int, end: Age) -> Steps[tuple[int | None, RecordedCause | None]]:
        """Node that a cause of an end stands on, and the cause, where there is one.

        One that stands on several, by an attribute that they hold, is told by one of
        those that the life of the node hangs on.
        """
        stands = self._targets.get(end)
        if stands is None:
            return None, None
        target = next(iter(stands))
        if len(stands) > 1:
            if end not in self._led:
                self._led[end] = yield from self._below(stands)
            target = self._led[end].get(node, target)
        return target, stands[target]

    def _below(self, starts: Iterable[int]) -> Steps[dict[int, int]]:
        """Nodes whose life hangs on one of some nodes, each with that one."""
        owning = self._owning
        if owning is None:
            owning = self._owning = {}
            for count, node in enumerate(self._closure.nodes):
                if not count & STEP:
                    yield
                for owners in self._owners.of(node):
                    for owner in owners:
                        owning.setdefault(owner, []).append(node)
        led = {start: start for start in starts}
        todo, count = list(led), 0
        for node in todo:
            for below in (*self._closure.children(node), *owning.get(node, ())):
                count += 1
                if not count & STEP:
                    yield
                if below not in led:
                    led[below] = led[node]
                    todo.append(below)
        return led
