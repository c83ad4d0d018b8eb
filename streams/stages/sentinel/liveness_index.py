"""Which lines present something dead, most of them without a walk.

A line whose identifiers are all quiet (`streams.stages.sentinel.node_bits`) needs no
walk. A bit that is missing costs a look, never a finding.

Of a node that is loud the time is kept after which nothing changed for it, once it was
looked at. Later uses need no walk either, until a fact changes what it hangs on: it
lives (a login after all sessions were ended, an account that is back), or is dead and
it is known why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from agents_registry.closure import Requirements
from agents_registry.death import Fate, latest_mark
from agents_registry.lineage import CREDENTIAL, KNOWN, MORE_ABOVE, NONE
from agents_registry.parts import PartedDict
from agents_registry.presentation import Presented, is_credential
from streams.stages.access.columns import I64, LATEST, U8, AccessColumns
from streams.stages.sentinel.node_bits import (
    DEEP,
    LOUD,
    MET,
    QUIET,
    SETTLED,
    SHARED,
    TIMED,
    WATERMARKED,
    NodeBits,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.death import Death
    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.stages.access.columns import Numbers

MOST_ENDS: Final = 1 << 16
LONGEST: Final = 8  # names of a path that is kept, most often under 200 bytes each


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


class LivenessIndex(NodeBits):
    """Which lines present something dead, by the bits of a realm's table."""

    def __init__(self, registry: Registry) -> None:
        """Start with no node looked at."""
        super().__init__(registry)
        # Those of nodes that are timed count.
        self._ends: PartedDict[int, NodeEnd] = PartedDict()

    def look(
        self, lines: AccessColumns, skew: int, acts: Callable[[str], bool] | None = None
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
        ours = self._prints.agree(nodes, lines.checks)
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

        That holds until a fact changes what it hangs on; of that a node that is
        neither quiet nor timed takes no note, so it is asked about again.
        """
        node = self.registry.lineage.find(name)
        if NONE != node < len(self._bits) and self._bits[node] & (QUIET | TIMED):
            self._bits[node] |= SETTLED

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
        plain = flags & MORE_ABOVE == 0
        plain &= np.frombuffer(lineage.ring, np.intc)[nodes] == nodes
        bits[nodes[plain & np.where(acting, known, fine)]] |= SETTLED

    def suspects(self, lines: AccessColumns, skew: int) -> Steps[Numbers]:
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
            node = self._taken_in(name)
            deaths.append((yield from self._death(node, name, first, last)))
            marked = marked or (yield from self._watermarked(node, name))
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
        return self._watermarked(self._taken_in(identifier), identifier)

    def _watermarked(self, node: int, identifier: Identifier) -> Steps[bool]:
        if node == NONE or self._bits[node] & QUIET:
            return False
        if self._bits[node] & TIMED:
            return bool(self._bits[node] & WATERMARKED)
        fate = Fate(self.registry, identifier)
        return latest_mark((yield from fate.causes_above())) is not None

    def death(
        self, identifier: Identifier, first: int, last: int
    ) -> Steps[Death | None]:
        """Death of an identifier by itself at both of two times, as `death_of`."""
        return self._death(self._taken_in(identifier), identifier, first, last)

    def _taken_in(self, identifier: Identifier) -> int:
        """Node of a name, of which there are bits; NONE where no fact named it."""
        node = self.registry.lineage.find(identifier)
        while node >= len(self._bits):
            self.grow()
        return node

    def _death(
        self, node: int, identifier: Identifier, first: int, last: int
    ) -> Steps[Death | None]:
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
        while max(closure.nodes) >= len(self._bits):  # facts named some since
            yield
            self.grow()
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
        self._ends.clear()

    def _quiet(self, lines: AccessColumns, nodes: Numbers, skew: int) -> Steps[Numbers]:
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


def _dead_at_both(fate: Fate, first: int, last: int) -> Steps[Death | None]:
    """Death at the first of two times, where there is one at both."""
    why = yield from fate.dying(at=first)
    if why is None or first == last:
        return why
    still = yield from fate.dying(at=last)
    return None if still is None else why
