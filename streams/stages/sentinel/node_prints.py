"""The nodes of a table by the prints of their names."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

import numpy as np

from streams.stages.access.columns import I64, U64, prints_of

if TYPE_CHECKING:
    from agents_registry.lineage import Lineage
    from streams.stages.access.columns import Numbers

GROWN_AT_ONCE: Final = 1000  # nodes whose prints are made in one step
# New nodes, or prints looked for among them, before the sorted prints are made anew.
SORTED_AFTER: Final = 4096
OF_SORTED: Final = 64  # one more for so many that are in order: one step puts all in


class NodePrints:
    """Finds nodes by print; of those that share one, the first."""

    def __init__(self, lineage: Lineage) -> None:
        """Start with no node taken in."""
        self._lineage = lineage
        self._checks = array("Q")
        self._sorted = np.empty(0, U64)
        self._nodes = np.empty(0, I64)
        self._new: dict[int, int] = {}
        self._missed = 0  # prints that were not among the sorted ones

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
            self._sort()  # a step of its own
            return shared
        both = [prints_of(lineage.identifier(node)) for node in nodes]
        self._checks.extend(check for _, check in both)
        before = self._find_sorted(np.array([one for one, _ in both], U64)).tolist()
        for node, (one, _), old in zip(nodes, both, before, strict=True):
            other = self._new.setdefault(one, node) if old < 0 else old
            if other != node:
                shared += (node, other)
        return shared

    def find(self, prints: Numbers) -> Numbers:
        """Node of each print, -1 where no node that is taken in has it."""
        nodes = self._find_sorted(prints)
        if self._new:
            missing = np.flatnonzero(nodes < 0)
            new = self._new
            for place, one in zip(
                missing.tolist(), prints[missing].tolist(), strict=True
            ):
                nodes[place] = new.get(one, -1)
            self._missed += len(missing)
            if self._are_many(self._missed):
                self._sort()
        return nodes

    def agree(self, nodes: Numbers, checks: Numbers) -> Numbers:
        """Mask of the nodes whose names have these checks too."""
        ours: Numbers = np.frombuffer(self._checks, U64)[nodes] == checks
        return ours & (nodes >= 0)

    def _find_sorted(self, prints: Numbers) -> Numbers:
        nodes = np.full(len(prints), -1, I64)
        if len(self._sorted):
            # Neighbours in the table are looked up one after the other.
            order = np.argsort(prints)
            wanted = prints[order]
            at = np.searchsorted(self._sorted, wanted)
            at[at == len(self._sorted)] = 0
            nodes[order] = np.where(self._sorted[at] == wanted, self._nodes[at], -1)
        return nodes

    def _are_many(self, prints: int) -> bool:
        """Whether it is worth to put the new ones in order."""
        return prints > SORTED_AFTER + len(self._sorted) // OF_SORTED

    def _sort(self) -> None:
        count = len(self._new)
        new = np.fromiter(self._new.keys(), U64, count)
        nodes = np.fromiter(self._new.values(), I64, count)
        # To sort all of them anew would take longer than a step may.
        order = np.argsort(new)
        places = np.searchsorted(self._sorted, new[order])
        self._sorted = np.insert(self._sorted, places, new[order])
        self._nodes = np.insert(self._nodes, places, nodes[order])
        self._new = {}
        self._missed = 0
