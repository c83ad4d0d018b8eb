"""What is known of each node of a table, and how facts undo it.

A node is quiet when nothing that its life hangs on carries a cause, whatever its time:
ancestors, other names, owners and theirs. That is found out when the node is first met,
by one walk that makes all it passes quiet, and is undone from a node downwards by any
fact that could change it. Where very much hangs below, all is undone at once, which
takes no time, and found out again as it is met.
"""

from __future__ import annotations

from array import array
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from agents_registry.closure import STEP
from agents_registry.facts import (
    Alias,
    Cause,
    Edge,
    Fact,
    Holds,
    LabelSet,
    Lift,
    Node,
    OwnerSet,
    Withdraw,
)
from agents_registry.lineage import CAUSED, MORE_ABOVE, NONE, OWNED
from agents_registry.steps import RUN, in_runs
from streams.stages.access.columns import LATEST, U8
from streams.stages.sentinel.node_prints import NodePrints

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.stages.access.columns import Numbers

QUIET: Final = 1  # nothing could have ended it, nor anything above it
LOUD: Final = 2  # something could
SHARED: Final = 4  # another node has the same print
TIMED: Final = 8  # it is known from when on it lives, or is dead
WATERMARKED: Final = 32  # of a timed node: a not_before stands on what it hangs on
SETTLED: Final = 64  # it and whoever acts with it are declared
MET: Final = 16  # what is known of it, or of one below, hangs on what it is
UNDONE_AT_ONCE: Final = 4096  # nodes looked at; of more all bits are undone
DEEP: Final = 32  # levels of lineage met in bulk
# The nodes whose life a fact may have hung on something else, by the kind of fact.
_TOUCHED: Final[dict[type[Fact], tuple[str, ...]]] = {
    Cause: ("target",),
    Edge: ("child",),
    Alias: ("first", "second"),
    OwnerSet: ("node",),
    Holds: ("node",),
    LabelSet: ("node",),
    Node: ("node",),
    Lift: ("target",),
}
# These change nothing for a node that is quiet, nor for those below it.
_OF_THE_LOUD: Final = (Node, Lift)


class NodeBits:
    """A byte for each node of a table, of the bits that stand above.

    Attributes:
        registry: the table; a table that was built anew needs new bits.
    """

    def __init__(self, registry: Registry) -> None:
        """Start with no node looked at."""
        self.registry = registry
        self._prints = NodePrints(registry.lineage)
        self._bits = bytearray()
        self._lives_after = array("q")

    def grow(self) -> bool:
        """Take in some of the nodes that facts named since; tell if there are more."""
        shared, known = self._prints.grow(), len(self._bits)
        added = len(self._prints) - known
        self._bits.extend(bytes(added))
        self._lives_after.extend([LATEST] * added)
        for node in shared:
            self._bits[node] |= SHARED
        return not self._prints.complete

    def note(self, fact: Fact) -> None:
        """Undo what a fact may have made wrong; it was just applied."""
        if not self._bits:
            return
        if isinstance(fact, Withdraw):
            self._undo_all()  # less is loud now
        lineage = self.registry.lineage
        for name in _TOUCHED.get(type(fact), ()):
            node = lineage.find(getattr(fact, name))
            if node == NONE or (
                isinstance(fact, _OF_THE_LOUD) and self._is_quiet(node)
            ):
                continue
            node = self.registry.selected.get(node, node)
            self._undo([node, *self.registry.holders.get(node, ())])

    def _is_quiet(self, node: int) -> bool:
        return node >= len(self._bits) or bool(self._bits[node] & QUIET)

    def _find(self, prints: Numbers) -> Numbers:
        """Node of each print, -1 where no fact names it."""
        while self.grow():
            pass
        return self._prints.find(prints)

    def _meet_all(self, nodes: Numbers, depth: int = 0) -> Steps[None]:
        """Find out in bulk of nodes, each given once, whether they are quiet.

        Most have one name and one parent, and what they hang on is met before them.
        """
        lineage, bits = self.registry.lineage, np.frombuffer(self._bits, U8)
        parent = np.frombuffer(lineage.parent, np.intc)[nodes]
        above = np.unique(parent[parent != NONE])
        above = above[bits[above] & (QUIET | LOUD) == 0]
        if len(above) and depth < DEEP:
            yield from self._meet_all(above, depth + 1)
        flags = np.frombuffer(lineage.flags, U8)[nodes]
        plain = flags & (CAUSED | OWNED | MORE_ABOVE) == 0
        plain &= np.frombuffer(lineage.ring, np.intc)[nodes] == nodes
        plain &= (parent == NONE) | (bits[parent] & QUIET != 0)
        bits[nodes[plain]] |= QUIET | MET
        for node in nodes[~plain].tolist():
            yield from self._meet(node)

    def _meet(self, start: int) -> Steps[None]:
        """Find out whether a node is quiet, and all that it hangs on with it.

        Where it is loud, so is the way to what makes it so. What is not on that way is
        walked again by the next.
        """
        bits, lineage = self._bits, self.registry.lineage
        flags = lineage.flags
        came_from = {start: start}
        todo = [start]
        named: set[int] = set()
        for count, node in enumerate(todo):
            if not count & STEP:
                yield
            bit = bits[node]
            if bit & QUIET:
                continue
            if flags[node] & CAUSED or bit & LOUD:
                self._be_loud(node, came_from)
                return
            ups = (*self.registry.hangs_on(node), *lineage.names_once(node, named))
            for place, up in enumerate(ups, 1):
                if not place % RUN:
                    yield
                if up not in came_from:
                    came_from[up] = node
                    todo.append(up)
        for run in in_runs(todo):
            yield
            for node in run:
                bits[node] |= QUIET | MET

    def _be_loud(self, node: int, came_from: Mapping[int, int]) -> None:
        """Note that a node is loud, and the way on which it was met."""
        bits = self._bits
        bits[node] |= LOUD
        while came_from[node] != node:
            node = came_from[node]
            bits[node] |= LOUD

    def _undo(self, nodes: list[int]) -> None:
        """Undo the bits of nodes and of all whose life hangs on them.

        All that a bit hangs on is marked as met, so nothing needs to be undone below
        a node that is not.
        """
        bits, lineage = self._bits, self.registry.lineage
        ring, owned = lineage.ring, self.registry.owned
        named: set[int] = set()
        for node in nodes:
            if node < len(bits) and bits[node] & MET:
                bits[node] &= SHARED
                lineage.add_children(node, nodes, UNDONE_AT_ONCE)
                if ring[node] != node:  # a call takes as long as all of this
                    nodes += lineage.names_once(node, named)
                if node in owned:
                    nodes += islice(owned[node], UNDONE_AT_ONCE + 1)
            if len(nodes) > UNDONE_AT_ONCE:
                self._undo_all()
                return

    def _undo_all(self) -> None:
        bits = np.frombuffer(self._bits, U8)
        bits &= SHARED
