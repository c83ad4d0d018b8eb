"""The nodes of a table by the prints of their names."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

import numpy as np

from streams.stages.access.columns import I64, U64, prints_of
from streams.stages.sentinel.ordered_prints import Merge, ordered

if TYPE_CHECKING:
    from agents_registry.lineage import Lineage
    from streams.stages.access.columns import Numbers

GROWN_AT_ONCE: Final = 1000  # nodes whose prints are made in one step
# New nodes, or prints looked for among them, before those are put in order.
ORDERED_AFTER: Final = 4096
OF_ORDERED: Final = 64  # one more for so many that are in order: a merge moves them all
ORDERED_AT_ONCE: Final = 1 << 16  # in one step


class NodePrints:
    """Finds nodes by print; of those that share one, the first."""

    def __init__(self, lineage: Lineage) -> None:
        """Start with no node taken in."""
        self._lineage = lineage
        self._checks = array("Q")
        self._ordered = ordered({})
        self._merge: Merge | None = None  # of them and those put in order last
        self._new: dict[int, int] = {}
        self._missed = 0  # prints that were not among the ordered ones

    def __len__(self) -> int:
        """Count the nodes that are taken in."""
        return len(self._checks)

    @property
    def complete(self) -> bool:
        """All nodes that facts named are taken in."""
        return len(self) == len(self._lineage)

    def grow(self) -> list[int]:
        """Take in some of the nodes that facts named since; those that share a print.

        What they share it with is among them. Some steps take none in.
        """
        lineage, known = self._lineage, len(self)
        nodes = range(known, min(known + GROWN_AT_ONCE, len(lineage)))
        shared: list[int] = []
        if not nodes:
            return shared
        if self._are_many(len(self._new)):
            self._order()  # a step of its own
            return shared
        both = [prints_of(lineage.identifier(node)) for node in nodes]
        self._checks.extend(check for _, check in both)
        before = self._find_ordered(np.array([one for one, _ in both], U64)).tolist()
        for node, (one, _), old in zip(nodes, both, before, strict=True):
            other = self._new.setdefault(one, node) if old < 0 else old
            if other != node:
                shared += (node, other)
        return shared

    def find(self, prints: Numbers) -> Numbers:
        """Node of each print, -1 where no node that is taken in has it."""
        nodes = self._find_ordered(prints)
        if self._new:
            missing = np.flatnonzero(nodes < 0)
            new = self._new
            for place, one in zip(
                missing.tolist(), prints[missing].tolist(), strict=True
            ):
                nodes[place] = new.get(one, -1)
            self._missed += len(missing)
            if self._are_many(self._missed):
                self._order()
        return nodes

    def agree(self, nodes: Numbers, checks: Numbers) -> Numbers:
        """Mask of the nodes whose names have these checks too."""
        ours: Numbers = np.frombuffer(self._checks, U64)[nodes] == checks
        return ours & (nodes >= 0)

    def _find_ordered(self, prints: Numbers) -> Numbers:
        nodes = np.full(len(prints), -1, I64)
        self._ordered.put(prints, nodes, np.arange(len(prints)))
        if self._merge is not None:
            self._merge.small.put(prints, nodes, np.flatnonzero(nodes < 0))
        return nodes

    def _are_many(self, prints: int) -> bool:
        """Whether it is worth to put the new ones in order."""
        further = min(len(self._ordered) // OF_ORDERED, ORDERED_AT_ONCE)
        return prints > ORDERED_AFTER + further

    def _order(self) -> None:
        """Go on to put the new ones in order: to do it at once takes too long."""
        if self._merge is None:
            self._merge = Merge(self._ordered, ordered(self._new))
            self._new = {}
        elif (whole := self._merge.step()) is not None:
            self._ordered, self._merge = whole, None
        self._missed = 0
