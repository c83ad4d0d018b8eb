"""Prints in order, each with its node, and how two orders become one in steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from attrs import frozen

from streams.stages.access.columns import I64, U64

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from streams.stages.access.columns import Numbers

MERGED_AT_ONCE: Final = 1 << 16  # prints of the larger order in one step


@frozen
class OrderedPrints:
    """Prints, each once and sorted, and the node of each."""

    prints: Numbers
    nodes: Numbers

    def __len__(self) -> int:
        """Count the prints."""
        return len(self.prints)

    def put(self, prints: Numbers, nodes: Numbers, wanted: Numbers) -> None:
        """Put the nodes of some prints where they are found.

        Args:
            prints: which.
            nodes: of each of these prints; what is not found stays.
            wanted: the places of those that are looked for.
        """
        if not len(self) or not len(wanted):
            return
        # Neighbours in the table are looked up one after the other.
        ours = wanted[np.argsort(prints[wanted])]
        at = np.searchsorted(self.prints, prints[ours])
        at[at == len(self)] = 0
        found = self.prints[at] == prints[ours]
        nodes[ours[found]] = self.nodes[at[found]]


def ordered(nodes: Mapping[int, int]) -> OrderedPrints:
    """Order the nodes of a dict by their prints."""
    prints = np.fromiter(nodes.keys(), U64, len(nodes))
    order = np.argsort(prints)
    values: Collection[int] = nodes.values()
    return OrderedPrints(prints[order], np.fromiter(values, I64, len(nodes))[order])


class Merge:
    """Two orders on their way to be one, which has room from the start."""

    def __init__(self, large: OrderedPrints, small: OrderedPrints) -> None:
        """Begin; none of the one is in the other."""
        self.large, self.small = large, small
        count = len(large) + len(small)
        self._whole = OrderedPrints(np.empty(count, U64), np.empty(count, I64))
        self._taken = self._beside = 0  # of the large one, and of the small one

    def step(self) -> OrderedPrints | None:
        """Merge some more; give the whole once it is complete."""
        large, small, whole = self.large, self.small, self._whole
        start, first = self._taken, self._beside
        end, last = start + MERGED_AT_ONCE, len(small)
        if end < len(large):
            last = int(np.searchsorted(small.prints, large.prints[end]))
        places = np.searchsorted(large.prints[start:end], small.prints[first:last])
        for into, much, few in (
            (whole.prints, large.prints, small.prints),
            (whole.nodes, large.nodes, small.nodes),
        ):
            piece = np.insert(much[start:end], places, few[first:last])
            into[start + first : start + first + len(piece)] = piece
        self._taken, self._beside = end, last
        return whole if end >= len(large) else None
