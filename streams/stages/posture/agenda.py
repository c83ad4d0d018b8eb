"""Which nodes are to be looked at, since what a fact or time changed may touch them.

A fact marks what it names, and what hangs on that where that may stand otherwise too.
Marks that come while others are worked off wait and are worked off together. A table
that is new is looked at once from its first node to its last.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

from agents_registry.facts import (
    Alias,
    Cause,
    Edge,
    Fact,
    Holds,
    Horizon,
    LabelSet,
    Lift,
    Node,
    OwnerSet,
    Renewal,
    ScopeSet,
    Withdraw,
)
from agents_registry.lineage import NONE
from agents_registry.parts import PartedDict
from agents_registry.reach import Reached
from streams.stages.posture.marks import Marks

if TYPE_CHECKING:
    from agents_registry.registry import Registry


# What a fact changes by itself, and what else hangs on that.
_NAMES: Final[dict[type[Fact], tuple[str, ...]]] = {
    Node: ("node",),
    Edge: ("child", "parent"),
    Alias: ("first", "second"),
    OwnerSet: ("node",),
    Renewal: ("node",),
    ScopeSet: ("node",),
    LabelSet: ("node",),
    Holds: ("node", "attribute"),
    Cause: ("target",),
    Lift: ("target",),
    Withdraw: ("target",),
}
_BELOW: Final[dict[type[Fact], tuple[str, ...]]] = {
    Node: ("node",),
    Edge: ("child",),
    Alias: ("first", "second"),
    OwnerSet: ("node",),
    ScopeSet: ("node",),
    LabelSet: ("node",),
    Cause: ("target",),
    Lift: ("target",),
    Withdraw: ("target",),
    Holds: ("node",),
}


class Agenda:
    """What is still to be looked at in one table, by the numbers of its nodes.

    Attributes:
        registry: the table.
        dirty: nodes that may stand otherwise than before.
        lapsed: nodes that were found to be expired.
    """

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.dirty = Marks()
        self.lapsed: PartedDict[int, None] = PartedDict()
        self._roots: PartedDict[int, None] = PartedDict()
        self._reach: Reached | None = None
        self._scan, self._end = 0, len(registry.lineage)
        self._due: list[tuple[int, int]] = []
        self._due_at: PartedDict[int, int] = PartedDict()

    def note(self, fact: Fact) -> None:
        """Mark what a fact, which is in the table, may have changed."""
        registry = self.registry
        lineage = registry.lineage
        named = [getattr(fact, name) for name in _NAMES.get(type(fact), ())]
        if isinstance(fact, OwnerSet):
            named += fact.owners
        # What a fact names that was taken back before it came is not in the table.
        found = (node for name in named if (node := lineage.find(name)) != NONE)
        self.dirty.add(found)
        for name in _BELOW.get(type(fact), ()):
            self._root(lineage.find(getattr(fact, name)))
        if isinstance(fact, Horizon):
            self.look_at_all()
        if isinstance(fact, Renewal) and (node := lineage.find(fact.node)) != NONE:
            lapsed = node in self.lapsed or lineage.expires[node] <= fact.received_at
            self.lapsed.pop(node, None)
            if lapsed or node in registry.owned:
                self._root(node)

    def look_at_all(self) -> None:
        """Begin anew with all there is."""
        self._scan, self._end = 0, len(self.registry.lineage)

    def _root(self, node: int) -> None:
        """Have all looked at that hangs on a node."""
        registry = self.registry
        if node != NONE and (
            node in registry.owned
            or node in registry.holders
            or registry.lineage.ring[node] != node
            or next(registry.lineage.children(node), None) is not None
        ):
            self._roots[node] = None

    def waiting(self, now: int) -> int:
        """Count what is still to be looked at, roughly."""
        rest = self._end - self._scan
        due = bool(self._due) and self._due[0][0] <= now
        walking = self._reach is not None
        return len(self.dirty) + len(self._roots) + walking + rest + due

    def again(self, node: int, at: int) -> None:
        """Look at a node at a time, or before."""
        if at < self._due_at.get(node, at + 1):
            self._due_at[node] = at
            heapq.heappush(self._due, (at, node))

    def take(self, now: int, most: int) -> list[int]:
        """Next nodes to judge; fewer, or none, also where there are more."""
        taken = self._take_below(most)
        while len(taken) < most and self._due and self._due[0][0] <= now:
            at, node = heapq.heappop(self._due)
            if self._due_at.get(node) == at:
                del self._due_at[node]
                taken.append(node)
        start = self._scan
        self._scan = min(start + most - len(taken), self._end)
        return [*taken, *range(start, self._scan)]

    def _take_below(self, most: int) -> list[int]:
        """Return the marked nodes, then their descendants."""
        taken = self.dirty.take(most)
        if self._reach is None and self._roots:
            self._reach = Reached(self.registry, self._roots)
            self._roots = PartedDict()
        if self._reach is not None and len(taken) < most:
            taken += self._reach.take(most - len(taken))
            if self._reach.over:
                self._reach = None
        return taken
