"""All that a node hangs on and all that hangs on it, walked once, by places.

A place is a number from 0 on, in the order in which nodes are met: the node that is
asked about, then what is above, level by level, then what is below. The other names of
a node share its place. Facts may be merged while a walk stands still: a name that is
new since it began is not met.
"""

from __future__ import annotations

from array import array
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np

from agents_registry.lineage import NONE, UNKNOWN_TIME
from streams.stages.access.columns import prints_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps

STEP: Final = 63  # a mask: names met between two yields


class NeighbourhoodWalk:
    """What was met around a node.

    Attributes:
        registry: the table.
        nodes: of each place, the name by which it was met.
        via: of each place, that from which it was met; of several the one whose name
            comes first. It stands before it.
        depth: of each place, its distance; below 0 above.
        above: how many places are above.
        several: the names of each place that has more than one.
    """

    def __init__(self, registry: Registry, asked: Identifier, start: int) -> None:
        """Start at a node.

        Args:
            registry: the table.
            asked: the name by which it is asked about.
            start: number of that name.
        """
        self.registry = registry
        self.nodes = array("i")
        self.via = array("i")
        self.depth = array("i")
        self.above = 0
        self.several: dict[int, list[int]] = {}
        self._called: dict[int, Identifier] = {0: asked}
        self._prints: dict[int, int] = {}
        # The system gives these zeros when they are touched: most never are.
        self._size = len(registry.lineage)
        self._places = np.zeros(self._size, np.int32).data
        self._put(start, 0, 0)

    def __len__(self) -> int:
        """Count the places."""
        return len(self.nodes)

    def place_of(self, node: int) -> int:
        """Place of a name, NONE where it was not met."""
        return self._places[node] - 1 if 0 <= node < self._size else NONE

    def names_at(self, place: int) -> list[int]:
        """Names of a place, that by which it was met first."""
        return self.several.get(place) or [self.nodes[place]]

    def called(self, place: int) -> Identifier:
        """Name that a place is shown by: the one asked for, or the first as text."""
        found = self._called.get(place)
        if found is None:
            name = self.registry.lineage.identifier
            found = self._called[place] = min(map(name, self.names_at(place)))
        return found

    def kind_at(self, place: int) -> str:
        """Kind of the name that a place is shown by."""
        kind = self.registry.lineage.kind
        if place in self._called:
            return self._called[place].kind
        names = self.several.get(place)
        return kind(self.nodes[place]) if names is None else min(map(kind, names))

    def print_of(self, node: int) -> int:
        """Print of a name, by which its uses are found."""
        found = self._prints.get(node)
        if found is None:
            name = self.registry.lineage.identifier(node)
            found = self._prints[node] = prints_of(name)[0]
        return found

    def issued_at(self, place: int) -> int:
        """Earliest time at which a place was issued (ns), or UNKNOWN_TIME."""
        issued = self.registry.lineage.issued
        names = self.several.get(place)
        if names is None:
            return issued[self.nodes[place]]
        return min((issued[name] for name in names), default=UNKNOWN_TIME)

    def flags_at(self, place: int) -> int:
        """Combine the flags of all names of a place."""
        flags = self.registry.lineage.flags
        names = self.several.get(place)
        if names is None:
            return flags[self.nodes[place]]
        found = 0
        for name in names:
            found |= flags[name]
        return found

    def _put(self, name: int, via: int, depth: int) -> None:
        place = len(self.nodes)
        self.nodes.append(name)
        self.via.append(via)
        self.depth.append(depth)
        self._places[name] = place + 1
        if self.registry.lineage.ring[name] != name:
            names = self.registry.lineage.others(name)
            self.several[place] = names = [each for each in names if each < self._size]
            for each in names:
                self._places[each] = place + 1

    def walk(
        self,
        ways: Callable[[Registry, int], Iterable[int]],
        way: int,
        is_end: Callable[[int], bool] = lambda _: False,
    ) -> Steps[None]:
        """Meet all in one direction.

        Args:
            ways: gives the names to which one leads.
            way: -1 upwards, 1 downwards.
            is_end: tells of some of those that lead to none, fast.
        """
        places, count, size = self._places, 0, self._size
        nodes, via, several = self.nodes, self.via, self.several
        led = partial(ways, self.registry)
        level, depth = range(1), 0
        while level:
            depth += way
            first = len(nodes)
            for place in level:
                count += 1
                if not count & STEP:
                    yield
                if place not in several and is_end(nodes[place]):
                    continue  # most lead nowhere
                for other in chain.from_iterable(map(led, self.names_at(place))):
                    count += 1
                    if not count & STEP:
                        yield
                    if other >= size:
                        continue
                    known = places[other]
                    if not known:
                        self._put(other, place, depth)
                    elif known > first and via[known - 1] != place:
                        self._prefer(known - 1, place)
            level = range(first, len(nodes))

    def _prefer(self, place: int, other: int) -> None:
        """Have a place hang on the one of two whose name comes first."""
        self.via[place] = min(self.via[place], other, key=self.called)


def walking(
    registry: Registry, asked: Identifier, start: int
) -> Steps[NeighbourhoodWalk]:
    """Walk all that a node hangs on, and all that hangs on it.

    Args:
        registry: the table.
        asked: the name by which it is asked about.
        start: number of that name.
    """
    around = NeighbourhoodWalk(registry, asked, start)
    yield from around.walk(above, -1)
    around.above = len(around) - 1
    yield from around.walk(below, 1, partial(is_end, registry))
    return around


def above(registry: Registry, name: int) -> Iterator[int]:
    """Yield what a name hangs on directly: parents, owners, values of attributes."""
    yield from registry.hangs_on(name)
    yield from list(registry.attributes.get(name, ()))


def is_end(registry: Registry, name: int) -> bool:
    """Whether `below` yields nothing for a name."""
    return (
        registry.lineage.is_leaf(name)
        and name not in registry.owned
        and name not in registry.holders
    )


def below(registry: Registry, name: int) -> Iterator[int]:
    """Yield the names that `above` leads from to this one."""
    yield from registry.lineage.children(name)
    owners = registry.owners
    for owned in registry.owned.get(name, ()):
        # It may have other owners by now.
        yield owned if any(name in some for some in owners.of(owned)) else name
    yield from list(registry.holders.get(name, ()))
