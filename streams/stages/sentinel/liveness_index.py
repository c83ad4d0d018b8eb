"""A bit for each node: whether anything could have ended it at some time.

A line whose identifiers are all quiet needs no walk. A node is quiet when nothing that
its life hangs on carries a cause, whatever its time: ancestors, other names, owners
and theirs. That is found out when the node is first met, by one walk that makes all
it passes quiet, and is undone from a node downwards by any fact that could change it.
Where very much hangs below, all is undone at once, which takes no time, and found out
again as it is met. A bit that is missing costs a look, never a finding.

Of a node that is loud the time is kept after which nothing changed for it, once it was
looked at. Later uses need no walk either, until a fact changes what it hangs on: it
lives (a login after all sessions were ended, an account that is back), or is dead and
it is known why.
"""

from __future__ import annotations

from array import array
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from agents_registry.closure import STEP, Requirements
from agents_registry.death import Fate, latest_mark
from agents_registry.facts import (
    Alias,
    Cause,
    Edge,
    Fact,
    Holds,
    Lift,
    Node,
    OwnerSet,
    Withdraw,
)
from agents_registry.lineage import (
    CAUSED,
    CREDENTIAL,
    KNOWN,
    MANY_PARENTS,
    NONE,
    OWNED,
)
from agents_registry.presentation import Presented, is_credential
from streams.stages.access.columns import I64, LATEST, U8, U64, Lines, prints_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.death import Death
    from agents_registry.identifiers import Identifier
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
MOST_ENDS: Final = 1 << 16
LONGEST: Final = 8  # names of a path that is kept, most often under 200 bytes each
GROWN_AT_ONCE: Final = 1000  # nodes whose prints are made in one step
# New nodes, or prints looked for among them, before the sorted prints are made anew.
SORTED_AFTER: Final = 4096
# The nodes whose life a fact may have hung on something else, by the kind of fact.
_TOUCHED: Final[dict[type[Fact], tuple[str, ...]]] = {
    Cause: ("target",),
    Edge: ("child",),
    Alias: ("first", "second"),
    OwnerSet: ("node",),
    Holds: ("node",),
    Node: ("node",),
    Lift: ("target",),
}
# These change nothing for a node that is quiet, nor for those below it.
_OF_THE_LOUD: Final = (Node, Lift)


class BulkLiveness(NamedTuple):
    """What is known in bulk of some lines, a row each.

    Attributes:
        quiet: nothing that it presents could have been dead at its time.
        declared: nobody need ask whether its credential was declared, nor whether
            the agent was that it hangs on.
    """

    quiet: Numbers
    declared: Numbers


class NodeEnd(NamedTuple):
    """Why a node is dead at all times after one (ns)."""

    after: int
    why: Death


class DeadBits:
    """The bits of a realm's table, and the prints by which its nodes are found.

    Attributes:
        registry: the table; a table that was built anew needs new bits.
    """

    def __init__(self, registry: Registry) -> None:
        """Start with no node looked at."""
        self.registry = registry
        self._bits = bytearray()
        self._checks = array("Q")
        self._lives_after = array("q")
        self._ends: dict[int, NodeEnd] = {}  # those of nodes that are timed count
        self._sorted = np.empty(0, U64)
        self._nodes = np.empty(0, I64)
        self._new: dict[int, int] = {}
        self._missed = 0  # prints that were not among the sorted ones

    def note(self, fact: Fact) -> None:
        """Undo what a fact may have made wrong; it was just applied."""
        if isinstance(fact, Withdraw):
            self._undo_all()  # less is loud now
        lineage = self.registry.lineage
        for name in _TOUCHED.get(type(fact), ()):
            node = lineage.find(getattr(fact, name))
            if node == NONE or (
                isinstance(fact, _OF_THE_LOUD) and self._is_quiet(node)
            ):
                continue
            self._undo([node, *self.registry.holders.get(node, ())])

    def _is_quiet(self, node: int) -> bool:
        return node >= len(self._bits) or bool(self._bits[node] & QUIET)

    def look(
        self, lines: Lines, skew: int, acts: Callable[[str], bool] | None = None
    ) -> Steps[BulkLiveness]:
        """Look lines up in bulk.

        Args:
            lines: with their checks.
            skew: ns; a use counts as so much earlier than its line says.
            acts: tells whether what a kind names acts by itself; without it nobody is
                found out to be declared.
        """
        nodes = self._find(lines.prints)
        quiet = yield from self._quiet(lines, nodes, skew)
        if not self._bits:
            return BulkLiveness(quiet, np.zeros(len(lines), np.bool_))
        ours = self._ours(nodes, lines.checks)
        flags = np.frombuffer(self.registry.lineage.flags, U8)[nodes]
        known = ours & (flags & (CREDENTIAL | KNOWN) == CREDENTIAL | KNOWN)
        principal = ours & (flags & CREDENTIAL == 0)
        if acts is not None:
            bits = np.frombuffer(self._bits, U8)[nodes]
            open_ = ours & (bits & (QUIET | SETTLED) == QUIET)
            self._settle_all(np.unique(nodes[open_]), acts)
            yield
        settled = ours & (np.frombuffer(self._bits, U8)[nodes] & SETTLED != 0)
        declared = lines.any(known) | lines.every(principal)
        return BulkLiveness(quiet, declared & lines.every(settled))

    def settle(self, name: Identifier) -> None:
        """Note that a name, and whoever acts with it, are declared.

        That holds until a fact changes what it hangs on.
        """
        node = self.registry.lineage.find(name)
        if node != NONE and node < len(self._bits) and self._is_quiet(node):
            self._bits[node] |= SETTLED

    def _ours(self, nodes: Numbers, checks: Numbers) -> Numbers:
        """Mask of the prints that belong to the nodes found by them."""
        ours: Numbers = np.frombuffer(self._checks, U64)[nodes] == checks
        return ours & (nodes >= 0)

    def _settle_all(
        self, nodes: Numbers, acts: Callable[[str], bool], depth: int = 0
    ) -> None:
        """Find out in bulk which quiet nodes, each given once, are `settle`d.

        As in `_meet_all` most have one name and one parent. Others are asked about
        one by one.
        """
        lineage, bits = self.registry.lineage, np.frombuffer(self._bits, U8)
        parent = np.frombuffer(lineage.parent, np.intc)[nodes]
        above = np.unique(parent[parent != NONE])
        above = above[bits[above] & (QUIET | SETTLED) == QUIET]
        if len(above) and depth < DEEP:
            self._settle_all(above, acts, depth + 1)
        flags = np.frombuffer(lineage.flags, U8)[nodes]
        kinds = map(lineage.kind, nodes.tolist())
        acting = np.fromiter(map(acts, kinds), np.bool_, len(nodes))
        known, credential = flags & KNOWN != 0, flags & CREDENTIAL != 0
        fine = (parent == NONE) | (bits[parent] & SETTLED != 0)
        fine &= known | ~credential
        plain = flags & MANY_PARENTS == 0
        plain &= np.frombuffer(lineage.ring, np.intc)[nodes] == nodes
        bits[nodes[plain & np.where(acting, known, fine)]] |= SETTLED

    def suspects(self, lines: Lines, skew: int) -> Steps[Numbers]:
        """Rows that present something that may have been dead."""
        quiet = yield from self._quiet(lines, self._find(lines.prints), skew)
        return np.flatnonzero(~quiet)

    def death_of(
        self, presented: Presented, first: int, last: int
    ) -> Steps[Death | None]:
        """Death of a presentation at both of two times; that of the first.

        Args:
            presented: the names, and the time of issue where it is told.
            first: ns, as is ``last``.
            last: the same, or later.
        """
        deaths, marked = [], False
        for name in presented.identifiers:
            deaths.append((yield from self.death(name, first, last)))
            marked = marked or (yield from self.watermarked(name))
        if not marked or (
            len(deaths) == 1
            and presented.issued_at is None
            and is_credential(self.registry, presented.identifiers[0])
        ):
            return next((why for why in deaths if why is not None), None)
        fate = Fate(self.registry, presented)
        return (yield from _dead_at_both(fate, first, last))

    def watermark(self, identifier: Identifier) -> Steps[int | None]:
        """Latest T of a ``not_before`` that an identifier hangs on (ns)."""
        if not (yield from self.watermarked(identifier)):
            return None
        fate = Fate(self.registry, identifier)
        return latest_mark((yield from fate.causes_above()))

    def watermarked(self, identifier: Identifier) -> Steps[bool]:
        """Whether a ``not_before`` stands on an identifier or an ancestor."""
        node = self.registry.lineage.find(identifier)
        if node == NONE or node >= len(self._bits) or self._bits[node] & QUIET:
            return False
        if self._bits[node] & TIMED:
            return bool(self._bits[node] & WATERMARKED)
        fate = Fate(self.registry, identifier)
        return latest_mark((yield from fate.causes_above())) is not None

    def death(
        self, identifier: Identifier, first: int, last: int
    ) -> Steps[Death | None]:
        """Death of an identifier by itself at both of two times, as `death_of`."""
        while self.grow():
            pass
        node = self.registry.lineage.find(identifier)
        if node == NONE:
            return None
        if self._bits[node] & TIMED:
            if first > self._lives_after[node]:
                return None
            end = self._ends.get(node)
            if end is not None and first > end.after:
                return end.why
        fate = Fate(self.registry, identifier)
        why = yield from fate.dying(at=first)
        if self._bits[node] & (LOUD | TIMED) == LOUD:
            yield from self._time(node, fate, first, why)
        if why is None or first == last:
            return why
        still = yield from fate.dying(at=last)
        return None if still is None else why

    def _time(self, node: int, fate: Fate, at: int, why: Death | None) -> Steps[None]:
        """Note what became of a loud node after all that could change it.

        Args:
            node: which.
            fate: of it.
            at: some time (ns).
            why: it was dead then.
        """
        closure = fate.closure or Requirements(self.registry, node)
        yield from closure.collect()
        if closure.too_large:
            return
        causes = yield from fate.causes_above()
        if latest_mark(causes) is not None:
            self._bits[node] |= WATERMARKED
        last = max(self.registry.causes.turning_points(causes), default=0)
        if at <= last:
            why = yield from fate.dying(at=last + 1)
        self._ends.pop(node, None)
        if why is not None and len(why.path) <= LONGEST:
            if len(self._ends) >= MOST_ENDS:
                self._forget_ends()
            self._ends[node] = NodeEnd(last, why)
        self._lives_after[node] = last if why is None else LATEST
        self._bits[node] |= TIMED
        for each in closure.nodes:
            self._bits[each] |= MET

    def _forget_ends(self) -> None:
        """Forget them all: to look for the oldest each time would cost as much."""
        for node in self._ends:
            self._bits[node] &= ~TIMED
        self._ends = {}

    def _quiet(self, lines: Lines, nodes: Numbers, skew: int) -> Steps[Numbers]:
        """For each row, whether all that it presents lived at its time.

        What no fact names cannot have been ended.
        """
        found = nodes >= 0
        if not found.any():
            return lines.every(~found)
        bits = np.frombuffer(self._bits, U8)[nodes]
        unmet = nodes[found & (bits & (QUIET | LOUD) == 0)]
        if len(unmet):
            yield from self._meet_all(np.unique(unmet))
            bits = np.frombuffer(self._bits, U8)[nodes]
        fine = bits & QUIET != 0
        timed = np.flatnonzero(bits & TIMED)
        if len(timed):
            rows = lines.rows()[timed]
            at = lines.at[rows] - skew
            lives = at > np.frombuffer(self._lives_after, I64)[nodes[timed]]
            # A watermark may end what is presented together, though each name lives.
            flags = np.frombuffer(self.registry.lineage.flags, U8)[nodes[timed]]
            alone = (lines.names[rows] == 1) & (flags & CREDENTIAL != 0)
            fine[timed] |= lives & (alone | (bits[timed] & WATERMARKED == 0))
        return lines.every(~found | (fine & (bits & SHARED == 0)))

    def _find(self, prints: Numbers) -> Numbers:
        """Node of each print, -1 where no fact names it."""
        while self.grow():
            pass
        nodes = self._find_sorted(prints)
        if self._new:
            missing = np.flatnonzero(nodes < 0)
            new = self._new
            for place, one in zip(
                missing.tolist(), prints[missing].tolist(), strict=True
            ):
                nodes[place] = new.get(one, -1)
            self._missed += len(missing)
            if self._missed > SORTED_AFTER + len(self._sorted) // 16:
                self._sort()
        return nodes

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

    def grow(self) -> bool:
        """Take in some of the nodes that facts named since; tell if there are more."""
        lineage, known = self.registry.lineage, len(self._bits)
        nodes = range(known, min(known + GROWN_AT_ONCE, len(lineage)))
        if not nodes:
            return False
        both = [prints_of(lineage.identifier(node)) for node in nodes]
        self._checks.extend(check for _, check in both)
        self._bits.extend(bytes(len(both)))
        self._lives_after.extend([LATEST] * len(both))
        before = self._find_sorted(np.array([one for one, _ in both], U64)).tolist()
        for node, (one, _), old in zip(nodes, both, before, strict=True):
            other = self._new.setdefault(one, node) if old < 0 else old
            if other != node:
                self._bits[node] |= SHARED
                self._bits[other] |= SHARED
        if len(self._new) > SORTED_AFTER + len(self._sorted) // 16:
            self._sort()
        return nodes.stop < len(lineage)

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
        plain = flags & (CAUSED | OWNED | MANY_PARENTS) == 0
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
                way = node
                while way != start:
                    bits[way] |= LOUD
                    way = came_from[way]
                bits[start] |= LOUD
                return
            for up in (*self.registry.hangs_on(node), *lineage.names_once(node, named)):
                if up not in came_from:
                    came_from[up] = node
                    todo.append(up)
        for node in todo:
            bits[node] |= QUIET | MET

    def _undo(self, nodes: list[int]) -> None:
        """Undo the bits of nodes and of all whose life hangs on them.

        All that a bit hangs on is marked as met, so nothing needs to be undone below
        a node that is not.
        """
        bits, lineage = self._bits, self.registry.lineage
        owned = self.registry.owned
        named: set[int] = set()
        for node in nodes:
            if node < len(bits) and bits[node] & MET:
                bits[node] &= SHARED
                nodes += islice(lineage.children(node), UNDONE_AT_ONCE + 1)
                nodes += lineage.names_once(node, named)
                nodes += islice(owned.get(node, ()), UNDONE_AT_ONCE + 1)
            if len(nodes) > UNDONE_AT_ONCE:
                self._undo_all()
                return

    def _undo_all(self) -> None:
        bits = np.frombuffer(self._bits, U8)
        bits &= SHARED


def _dead_at_both(fate: Fate, first: int, last: int) -> Steps[Death | None]:
    """Death at the first of two times, where there is one at both."""
    why = yield from fate.dying(at=first)
    if why is None or first == last:
        return why
    still = yield from fate.dying(at=last)
    return None if still is None else why
