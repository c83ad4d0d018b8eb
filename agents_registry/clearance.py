"""Clearance: until when nothing that a node hangs on can deny it, kept by node.

A value is kept for each node that was asked about and for all that it hangs on:

- its *until*: before that time no presentation of the node alone is denied, whatever
  its claims: no cause in force stands on the closure, every owner set is met by an
  owner who lives, nothing that counts has expired. Held in steps of 34 ms, rounded
  down;
- its *size*: at least as many nodes as its closure has, since one that is too large is
  denied;
- whether a scope is declared in the closure, whether *until* is that of owners, and
  whether a fact makes the node itself known;
- the *generation* in which it was found out. In another one it says nothing.

What no value can say is remembered as an answer, a bounded number of them.

A fact that touches a node undoes what hangs on it. All that a value or an answer hangs
on has a value itself, if only the mark that something was asked, so that nothing needs
to be looked for below a node without one. Where very much hangs below, a new generation
begins, which takes no time, and values are found out again as they are asked for.
Nothing of this is part of a dump.
"""

from __future__ import annotations

from array import array
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from agents_registry.lineage import UNKNOWN_TIME

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Mapping

    from agents_registry.lineage import Lineage
    from agents_registry.verdict import Judgement

GENERATION: Final = (1 << 10) - 1  # the number 0 stands for none
ONE: Final = 1 << 10  # of the size
SIZE: Final = 4095 * ONE
SCOPES_ABOVE: Final = 1 << 22
OWNERS_END: Final = 1 << 23
NAMED: Final = 1 << 24
CURRENT: Final = NAMED | GENERATION
FINE: Final = (1 << 25) - 1  # below this a value holds no time
NO_TIME: Final = -(1 << 63)
NEVER_CLEAR: Final = NO_TIME + FINE  # values up to this one
UNDONE_AT_ONCE: Final = 4096  # looks at what hangs below; beyond begins a generation
MOST_WEIGHT: Final = 1 << 18  # of all answers: some tens of MB
_OF_AN_ANSWER: Final = 8  # about as heavy as so many identifiers of its path


class Answer(NamedTuple):
    """What was found out of one presentation.

    Attributes:
        judgement: the verdict, apart from what the policy says of unknown identifiers.
        settled: the policy has no say, since facts make all identifiers known or the
            verdict is a denial.
        since: first time at which it is the same (ns).
        until: first time after which it may be another one (ns).
    """

    judgement: Judgement
    settled: bool
    since: int
    until: int


class Clearance:
    """What is known of the nodes of one table.

    Attributes:
        values: by node, for those that are known; 0 where nothing is.
        token: stands for the table, and does not keep it.
        generation: the one whose values count.
        current: it, of a node that is known.
        answers: what was found out of presentations, by what was asked.
    """

    def __init__(self, lineage: Lineage, owned: Mapping[int, Iterable[int]]) -> None:
        """Start with nothing known; a table that nobody asks pays nothing."""
        self.values = array("q")
        self.token = object()
        self.generation = 1
        self.current = NAMED | 1
        self.answers: dict[Hashable, Answer] = {}
        self._lineage = lineage
        self._owned = owned
        self._asked: dict[int, list[Hashable]] = {}
        self._weight = 0

    def grow(self) -> None:
        """Make room for the nodes that facts named since."""
        missing = len(self._lineage) - len(self.values)
        if missing:
            self.values.frombytes(bytes(8 * missing))

    def remember(
        self, key: Hashable, asked: Collection[int], closure: Iterable[int], now: int,
        judgement: Judgement, *, settled: bool,
    ) -> None:  # fmt: skip
        """Keep an answer until a fact touches its closure.

        Args:
            key: what was asked.
            asked: the nodes that were presented, or stand in the chain.
            closure: all that the answer hangs on; numbers below 0 are left out.
            now: when it was asked (ns).
            judgement: the verdict.
            settled: the policy has no say.
        """
        weight = _OF_AN_ANSWER + len(asked) + len(judgement.path)
        self._weight += weight
        if self._weight > MOST_WEIGHT:
            self._forget_all()
            self._weight = weight
        self.grow()
        values, generation, expires = (
            self.values,
            self.generation,
            self._lineage.expires,
        )
        since, until = NO_TIME, UNKNOWN_TIME
        for node in closure:
            if node < 0:
                continue
            if values[node] & GENERATION != generation:
                values[node] = NO_TIME | generation
            if expires[node] <= now:
                since = max(since, expires[node])
            else:
                until = min(until, expires[node])
        self.answers[key] = Answer(judgement, settled, since, until)
        for node in asked:
            self._asked.setdefault(node, []).append(key)

    def name(self, node: int) -> None:
        """Note that a fact makes a node known."""
        if node < len(self.values):
            self.values[node] |= NAMED

    def undo(self, *touched: int) -> None:
        """Undo what hangs on nodes: a fact may end or limit it."""
        if not self.values:
            return
        hanging = self._hanging(touched)
        if hanging is None:
            self.begin()
            return
        for node in hanging:
            self.values[node] = 0
            self._forget(node)

    def loosen(self, *touched: int) -> None:
        """Forget the answers that hang on nodes: a fact may have taken limits away."""
        if not self.answers:
            return
        hanging = self._hanging(touched)
        if hanging is None:
            self._forget_all()
            return
        for node in hanging:
            self._forget(node)

    def begin(self) -> None:
        """Begin a generation: nothing is known any more."""
        self._forget_all()
        self.generation += 1
        if self.generation > GENERATION:
            self.generation = 1
            self.values = array("q")
        self.current = NAMED | self.generation

    def _hanging(self, touched: Collection[int]) -> list[int] | None:
        """Nodes with a value that hang on others, or None where there are too many."""
        if len(touched) > UNDONE_AT_ONCE:
            return None
        values, generation = self.values, self.generation
        known, looks = len(values), 0
        seen = {
            n for n in touched if n < known and values[n] & GENERATION == generation
        }
        found = list(seen)
        for node in found:
            for below in self._downs(node):
                looks += 1
                if looks > UNDONE_AT_ONCE:
                    return None
                if (
                    below < known
                    and values[below] & GENERATION == generation
                    and below not in seen
                ):
                    seen.add(below)
                    found.append(below)
        return found

    def _downs(self, node: int) -> Iterable[int]:
        """Nodes that hang on a node directly, and the next one of its names."""
        return chain(
            (self._lineage.ring[node],),
            self._lineage.children(node),
            self._owned.get(node, ()),
        )

    def _forget(self, node: int) -> None:
        for key in self._asked.pop(node, ()):
            self.answers.pop(key, None)

    def _forget_all(self) -> None:
        self.answers, self._asked, self._weight = {}, {}, 0
