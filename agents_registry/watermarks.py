"""Watermarks: which credentials a ``not_before`` ends, and which one does so first.

A watermark with the time T ends what hangs on its target and was issued up to T. Many
of them stand on one lineage when a user signs out again and again. So no walk is made
for each of them: of every node the oldest credential below it is known, and a walk goes
only where something is left to be ended. The cost is near linear in the lineage.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from agents_registry.steps import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agents_registry.cause_rows import RecordedCause
    from agents_registry.ownership import Graph
    from agents_registry.steps import Steps

UNKNOWN_ISSUE: Final = -(1 << 63)  # lies before every watermark
ENDED: Final = 1 << 63  # of nodes below which nothing is left to be ended
STEP: Final = 127  # a mask: nodes walked between two yields


def oldest_below(graph: Graph, issued: Mapping[int, int]) -> Steps[dict[int, int]]:
    """Find for each node the earliest issue of the credentials that require it.

    Args:
        graph: complete above the credentials.
        issued: the time of issue of each credential (ns), or `UNKNOWN_ISSUE`.

    Returns:
        A node that no credential requires is left out; a credential requires itself.
    """
    oldest: dict[int, int] = {}
    count = 0
    for credential in (yield from in_order(issued, issued.__getitem__)):
        count += 1
        if not count & STEP:
            yield
        todo = [] if credential in oldest else [credential]
        for node in todo:
            count += 1
            if not count & STEP:
                yield
            if node not in oldest:
                oldest[node] = issued[credential]
                todo += graph.parents(node)
    return oldest


def first_marks(
    graph: Graph,
    marks: Sequence[tuple[RecordedCause, int]],
    issued: Mapping[int, int],
    spares: Callable[[int, RecordedCause], bool],
) -> Steps[dict[int, int]]:
    """Find which watermark ends each credential first.

    What hangs on a credential that was ended before is ended by that, and left out.

    Args:
        graph: complete.
        marks: each with its target; the one that came first stands first.
        issued: as `oldest_below` takes it.
        spares: tells whether a cause spares a credential, whatever its age.

    Returns:
        The place of the watermark, by the credential.
    """
    walk = _Walk(graph, issued, (yield from oldest_below(graph, issued)))
    for place, (cause, target) in enumerate(marks):
        yield from walk.end(place, cause, target, spares)
    return walk.ended


class _Walk:
    """Walks down from one target after the other to what is left to be ended.

    Attributes:
        ended: credential to the place of the mark that ended it.
    """

    def __init__(
        self, graph: Graph, issued: Mapping[int, int], oldest: dict[int, int]
    ) -> None:
        self.ended: dict[int, int] = {}
        self._graph = graph
        self._issued = issued
        self._oldest = oldest  # of what is left; it may be older than that is
        self._below: dict[int, list[tuple[int, int]]] = {}  # heaps, by the oldest
        self._count = 0

    def end(
        self,
        place: int,
        cause: RecordedCause,
        target: int,
        spares: Callable[[int, RecordedCause], bool],
    ) -> Steps[None]:
        """End what one mark ends."""
        mark, oldest, issued = cause.mark, self._oldest, self._issued
        todo = [target] if oldest.get(target, ENDED) <= mark else []
        seen = set(todo)
        taken: list[list[int]] = []
        left = ENDED
        for node in todo:
            self._count += 1
            if not self._count & STEP:
                yield
            own = issued.get(node, ENDED)
            if own <= mark and not spares(node, cause):
                self.ended[node] = place
                oldest[node] = ENDED
                taken.append([])
                continue
            taken.append((yield from self._take(node, mark)))
            heap = self._below[node]
            left = min(left, own, heap[0][0] if heap else ENDED)
            for child in taken[-1]:
                self._count += 1
                if not self._count & STEP:
                    yield
                if child not in seen:
                    seen.add(child)
                    todo.append(child)
        for node, children in zip(reversed(todo), reversed(taken), strict=True):
            self._count += 1
            if not self._count & STEP:
                yield
            if node not in self.ended:
                # Of a ring no name comes last: what is left of all is right for each.
                below = yield from self._put_back(node, children)
                oldest[node] = max(left, below)

    def _take(self, node: int, mark: int) -> Steps[list[int]]:
        """Take the children below which something may be left that is old enough."""
        heap = self._below.get(node)
        if heap is None:
            heap = self._below[node] = yield from self._heap(node)
        taken = []
        while heap and heap[0][0] <= mark:
            self._count += 1
            if not self._count & STEP:
                yield
            _, child = heappop(heap)
            left = self._oldest[child]
            if left <= mark:
                taken.append(child)
            elif left < ENDED:
                heappush(heap, (left, child))
        return taken

    def _heap(self, node: int) -> Steps[list[tuple[int, int]]]:
        """Make the heap of a node's children; a million at once takes 250 ms."""
        heap: list[tuple[int, int]] = []
        for child in self._graph.children(node):
            self._count += 1
            if not self._count & STEP:
                yield
            if (oldest := self._oldest.get(child)) is not None:
                heappush(heap, (oldest, child))
        return heap

    def _put_back(self, node: int, children: list[int]) -> Steps[int]:
        """Put children back; give the oldest that is left below."""
        heap = self._below[node]
        for child in children:
            self._count += 1
            if not self._count & STEP:
                yield
            if (left := self._oldest[child]) < ENDED:
                heappush(heap, (left, child))
        own = self._issued.get(node, ENDED)
        return min(own, heap[0][0] if heap else ENDED)
