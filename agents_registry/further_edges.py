"""Edges of the few names that have several of a kind: further parents, and makers.

Lists have them in the order in which facts told them. Where a list is long, the places
of its edges are known, so one more costs the same.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Final

from agents_registry.derived import invert
from agents_registry.parts import PartedDict
from agents_registry.steps import rested

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.steps import Rest

SHORT: Final = 32  # edges, which take about a microsecond to look through
_PARENT: Final = itemgetter(0)


class _Places:
    """Places in the lists of one kind of edge, by both ends; short lists have none."""

    def __init__(self) -> None:
        self._places: PartedDict[tuple[int, int], int] = PartedDict()

    def find(self, name: int, other: int, others: Iterable[int], count: int) -> int:
        """Place of an edge, negative where there is none.

        Args:
            name: whose list it is.
            other: the other end.
            others: the other ends of all, in their order.
            count: how many there are.
        """
        if count > SHORT:
            return self._places.get((name, other), -1)
        for place, end in enumerate(others):
            if end == other:
                return place
        return -1

    def added(self, name: int, other: int, others: Iterable[int], count: int) -> None:
        """Note the edge at the end of a list; see `find`."""
        if count > SHORT + 1:
            self._places[name, other] = count - 1
        elif count > SHORT:
            self.fill(name, others)

    def fill(self, name: int, others: Iterable[int]) -> None:
        """Note all edges of a long list; see `find`."""
        self._places.fill(((name, end), place) for place, end in enumerate(others))


class FurtherParents:
    """Parents of a name but the first.

    Attributes:
        edges: (parent, strength) by name.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.edges: PartedDict[int, list[tuple[int, int]]] = PartedDict()
        self._places = _Places()

    def restore(self, rest: Rest) -> None:
        """Make of rows of lists, as they were dumped, what they were."""
        for name, told in rested(self.edges.items(), rest):
            edges = self.edges[name] = [(parent, strength) for parent, strength in told]
            if len(edges) > SHORT:
                self._places.fill(name, rested(map(_PARENT, edges), rest))

    def add(self, name: int, parent: int, strength: int) -> bool:
        """Add an edge, or have the stronger one stay; whether there was none."""
        edges = self.edges.setdefault(name, [])
        place = self._find(name, parent, edges)
        if place >= 0:
            edges[place] = (parent, max(edges[place][1], strength))
            return False
        edges.append((parent, strength))
        self._places.added(name, parent, map(_PARENT, edges), len(edges))
        return True

    def strength(self, name: int, parent: int) -> int | None:
        """Strength of an edge, None where there is none."""
        edges = self.edges.get(name, [])
        place = self._find(name, parent, edges)
        return None if place < 0 else edges[place][1]

    def _find(self, name: int, parent: int, edges: list[tuple[int, int]]) -> int:
        return self._places.find(name, parent, map(_PARENT, edges), len(edges))


class Makers:
    """Who made what, which ends nothing.

    Attributes:
        creators: by what was made.
        created: by who made it.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.creators: PartedDict[int, list[int]] = PartedDict()
        self.created: PartedDict[int, list[int]] = PartedDict()
        self._places = _Places()

    def restore(self, rest: Rest, *, inverted: bool) -> None:
        """Take up the creators; what they created follows where it is not there."""
        for name, makers in rested(self.creators.items(), rest):
            if len(makers) > SHORT:
                self._places.fill(name, rested(makers, rest))
        if not inverted:
            invert(self.creators, self.created, rest)

    def add(self, name: int, creator: int) -> None:
        """Note who made something."""
        makers = self.creators.setdefault(name, [])
        if self._places.find(name, creator, makers, len(makers)) < 0:
            makers.append(creator)
            self._places.added(name, creator, makers, len(makers))
            self.created.setdefault(creator, []).append(name)
