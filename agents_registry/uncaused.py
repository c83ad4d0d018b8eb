"""Which nodes no cause could have ended at any time: a bit each, found out once.

A node is clear when nothing that its life may hang on (ancestors, other names, owners
and theirs) carries a cause or holds an attribute. That is found out by one walk, which
makes all that it passes clear, and stays so until a fact hangs such a node on something
that is not clear. So facts on lineages without causes cost the same however large the
lineage is, and in whatever order they come.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Final

from agents_registry.facts import Alias, Cause, Edge, Holds, LabelSet, OwnerSet
from agents_registry.lineage import CAUSED, LOUD, MORE_ABOVE, NONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agents_registry.facts import Fact
    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry

    _Find = Callable[[Identifier], int]

AT_ONCE: Final = 2048  # nodes undone one by one; of more all are undone
CLEAR: Final = 1
NOT_CLEAR: Final = 2


class Uncaused:
    """The bits of one table; a table that was built anew needs new ones."""

    def __init__(self, registry: Registry) -> None:
        """Start with nothing known."""
        self._registry = registry
        self._bits = bytearray()

    def is_clear(self, start: int) -> bool:
        """Whether no cause could have ended a node; `NOT_CLEAR` never ends."""
        bits, lineage = self._bits, self._registry.lineage
        if len(bits) < lineage.count:
            self._extend()
        if bits[start]:
            return bits[start] == CLEAR
        if not lineage.flags[start] & (LOUD | MORE_ABOVE):
            parent = lineage.parent[start]
            if (parent == NONE or bits[parent] == CLEAR) and lineage.ring[
                start
            ] == start:
                bits[start] = CLEAR  # as most are, when facts first name them
                return True
        return self._find_out([start], set())

    def _find_out(self, starts: list[int], named: set[int]) -> bool:
        """Walk up from names of one node that are not known to be clear.

        Args:
            starts: the names.
            named: those whose other names are among the starts.
        """
        bits, lineage = self._bits, self._registry.lineage
        flags, ring = lineage.flags, lineage.ring
        met = set(starts)
        todo = list(starts)
        for node in todo:
            if flags[node] & CAUSED or NOT_CLEAR in {bits[node], bits[ring[node]]}:
                for start in starts:
                    bits[start] = NOT_CLEAR
                return False
            if bits[node] == CLEAR:
                continue
            for up in (
                *self._registry.hangs_on(node),
                *lineage.names_once(node, named),
            ):
                if up not in met:
                    met.add(up)
                    todo.append(up)
        for node in todo:
            bits[node] = CLEAR
        return True

    def note(self, fact: Fact) -> None:
        """Undo what a fact, which was just applied, may have made wrong."""
        note = self._NOTE.get(type(fact))
        if note is not None:
            note(self, self._registry.lineage.recall, fact)

    def _cause(self, number: _Find, fact: Cause) -> None:
        node = number(fact.target)
        self._undo(node)
        if (owner := self._registry.selected.get(node)) is not None:
            self._undo(owner)

    def _holds(self, number: _Find, fact: Holds) -> None:
        self._undo(number(fact.node))

    def _edge(self, number: _Find, fact: Edge) -> None:
        self._hang(number(fact.child), (fact.parent,))

    def _alias(self, number: _Find, fact: Alias) -> None:
        self._join(number(fact.first), number(fact.second))

    def _owner_set(self, number: _Find, fact: OwnerSet) -> None:
        self._hang(number(fact.node), fact.owners)

    def _label_set(self, number: _Find, fact: LabelSet) -> None:
        self._hang(number(fact.node), fact.labels)

    _NOTE: ClassVar[dict[type[Fact], Callable[[Uncaused, _Find, Any], None]]] = {
        Cause: _cause,
        Holds: _holds,
        Edge: _edge,
        Alias: _alias,
        OwnerSet: _owner_set,
        LabelSet: _label_set,
    }

    def _hang(self, node: int, names: Iterable[Identifier]) -> None:
        """Undo a clear node where it hangs on something that is not clear."""
        if not 0 <= node < len(self._bits) or self._bits[node] != CLEAR:
            return
        for name in names:
            up = self._registry.lineage.recall(name)
            if up != NONE and not self.is_clear(up):
                self._undo(node)
                return

    def _join(self, first: int, second: int) -> None:
        """Undo the names of a clear node that were joined to others, or clear those.

        Of one node's names all are clear or none, so where one of two is, they were
        two nodes' before. The other node's names stand between them in the ring.
        """
        if min(first, second) < 0 or self._is_marked(first) == self._is_marked(second):
            return
        clear, other = (first, second) if self._is_marked(first) else (second, first)
        ring = self._registry.lineage.ring
        names = [ring[clear]]
        while names[-1] != other:
            if names[-1] == clear:
                return  # the fact had been taken back before it came
            names.append(ring[names[-1]])
        self._extend()
        if not self._find_out(names, set(names)):
            self._undo(clear)

    def _extend(self) -> None:
        missing = self._registry.lineage.count - len(self._bits)
        if missing > 0:
            self._bits.extend(bytes(missing))

    def _is_marked(self, node: int) -> bool:
        return node < len(self._bits) and self._bits[node] == CLEAR

    def _undo(self, start: int) -> None:
        """Undo a node and all whose life may hang on it; below others none is clear."""
        bits, lineage = self._bits, self._registry.lineage
        ring, owned = lineage.ring, self._registry.owned
        nodes = [start]
        named: set[int] = set()
        for node in nodes:
            if not 0 <= node < len(bits) or bits[node] != CLEAR:
                continue
            bits[node] = 0
            lineage.add_children(node, nodes, AT_ONCE)
            if node in owned:
                nodes += islice(owned[node], AT_ONCE + 1)
            if ring[node] != node:  # a call takes as long as all of this
                nodes += lineage.names_once(node, named)
            if len(nodes) > AT_ONCE:
                self._bits = bytearray(bits.translate(_UNDONE))
                return


_UNDONE: Final = bytes(0 if bit == CLEAR else bit for bit in range(256))
