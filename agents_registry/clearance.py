"""Clearance: until when nothing that a node hangs on can deny it, kept by node.

A value is kept for each node that was asked about and for all that it hangs on:

- its *until*: before that time no presentation of the node alone is denied that is
  young enough, whatever else it claims: no other cause in force stands on the closure,
  its credentials are young enough themselves, every owner set is met by an owner who
  lives, nothing that counts has expired. Held in steps of 134 ms, rounded down;
- its *size*: at least as many nodes as its closure has, since one that is too large is
  denied;
- whether a scope is declared or a ``not_before`` stands in the closure, and if one does
  whether the name tells no time of issue of its own; whether *until* is that of owners,
  and whether a fact makes the node itself known, which is no label;
- the *generation* in which it was found out. In another one it says nothing.

Two columns more hold what a presentation is compared with (`agents_registry.limits`),
for the nodes whose value says that there is something: the latest ``not_before``, and
the nearest node that declares a scope. They take room where it is needed first.

From one such node on scopes are looked at once, and those that are covered are kept, by
it. What else no value can say is kept as an answer (`agents_registry.answers`).

A fact that touches a node undoes what hangs on it. All that a value or an answer hangs
on has a value itself, if only the mark that something was asked, so that nothing needs
to be looked for below a node without one. Facts that come soon after each other share
a number of looks. Where more hangs below, a new generation begins, which takes no time,
and values are found out again as they are asked for.

One thread at a time touches a table: who asks writes here. Nothing of this is part of a
dump.
"""

from __future__ import annotations

from array import array
from itertools import chain
from typing import TYPE_CHECKING, Final

from agents_registry.answers import KeptAnswers
from agents_registry.lineage import UNKNOWN_TIME

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from agents_registry.lineage import Lineage

GENERATION: Final = (1 << 10) - 1  # the number 0 stands for none
ONE: Final = 1 << 10  # of the size
SIZE: Final = 4095 * ONE
SCOPES_ABOVE: Final = 1 << 22
OWNERS_END: Final = 1 << 23
NAMED: Final = 1 << 24
MARKED: Final = 1 << 25
UNDATED: Final = 1 << 26  # marked, and the name tells no time of issue
CURRENT: Final = NAMED | GENERATION
FINE: Final = (1 << 27) - 1  # below this a value holds no time
NO_TIME: Final = -(1 << 63)
NEVER_CLEAR: Final = NO_TIME + FINE  # values up to this one
UNDONE_AT_ONCE: Final = 4096  # looks at what hangs below; beyond begins a generation
LOOKS_OF_A_FACT: Final = 128  # what each one adds to the looks that are left
MOST_LOOKS: Final = 4 * UNDONE_AT_ONCE  # left; so a hundred facts take 5 ms at most
MOST_COVERED: Final = 1 << 20  # bytes of covered scopes, whose texts callers choose
OF_A_SCOPE: Final = 128  # bytes, without its text
MOST_SETS: Final = 1 << 16  # of scopes, told apart; further ones are looked up
PORTION: Final = 1 << 17  # names that room is made for at once, in less than 1 ms


class Clearance:
    """What is known of the nodes of one table.

    Attributes:
        values: by node, for those that are known; 0 where nothing is.
        marks: by node, the latest ``not_before`` in the closure (ns).
        nearest: by node, the one from which on scopes are declared in the closure;
            its number inverted, where that one alone declares all, and these are few.
        covered: by node of `nearest`, scopes that are covered from it upwards.
        sets: by node, the place in `declared` of all that is declared above; 0 where it
            has none.
        declared: sets of scopes, each once.
        token: stands for the table, and does not keep it.
        generation: the one whose values count.
        current: it, of a node that is known.
        answers: what was found out of presentations.
        since: values hold for clocks from this time on (ns): causes are over by then.
    """

    def __init__(self, lineage: Lineage, owned: Mapping[int, Collection[int]]) -> None:
        """Start with nothing known; a table that nobody asks pays nothing."""
        self.values = array("q")
        self.marks = array("q")
        self.nearest = array("i")
        self.covered: dict[int, set[str]] = {}
        self.sets = array("i")
        self.declared: list[tuple[str, ...]] = [()]
        self._places: dict[tuple[str, ...], int] = {}
        self.token = object()
        self.generation = 1
        self.current = NAMED | 1
        self.answers = KeptAnswers()
        self.since = NO_TIME
        self._ends = UNKNOWN_TIME
        self._lineage = lineage
        self._owned = owned
        self._bytes_covered = 0
        self._looks = MOST_LOOKS
        self._is_blank = True

    def growing(self, column: array[int]) -> Iterator[None]:
        """Make room for the nodes that facts named since; yields between portions."""
        self._is_blank = False
        while missing := len(self._lineage) - len(column):
            column.frombytes(bytes(column.itemsize * min(missing, PORTION)))
            if missing > PORTION:
                yield
                self._is_blank = False

    def hang(self, closure: Iterable[int], now: int) -> tuple[int, int]:
        """Mark all that an answer hangs on.

        Args:
            closure: the nodes, for which there is room; numbers below 0 are left out.
            now: ns.

        Returns:
            The first time at which the same of them are expired as now, and the first
            time after which others may be (ns).
        """
        values, generation = self.values, self.generation
        expires = self._lineage.expires
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
        return since, until

    def declare(self, names: Iterable[int], scopes: Sequence[tuple[str, ...]]) -> None:
        """Note what one node declares, for the names that nothing else limits.

        Args:
            names: of one node; there is room for them.
            scopes: the statements; several are looked up where they stand.
        """
        place = 0
        if len(scopes) == 1:
            place = self._places.get(scopes[0], 0)
            if not place and len(self._places) < MOST_SETS:
                place = self._places[scopes[0]] = len(self.declared)
                self.declared.append(scopes[0])
        for name in names:
            self.sets[name] = place

    def cover(self, node: int, scope: str) -> None:
        """Keep that a scope is covered from a node on, which has a value."""
        size = OF_A_SCOPE + scope.__sizeof__()
        if self._bytes_covered + size > MOST_COVERED:
            self._uncover()
        self._bytes_covered += size
        self.covered.setdefault(node, set()).add(scope)

    def _uncover(self) -> None:
        self.covered.clear()
        self._bytes_covered = 0

    def name(self, node: int) -> None:
        """Note that a fact makes a node known."""
        if node < len(self.values) and not self._lineage.is_of_labels(node):
            self.values[node] |= NAMED

    def allowed(self) -> int:
        """Count the looks that the next fact may take."""
        return 0 if self._is_blank else min(UNDONE_AT_ONCE, self._looks)

    def undo(self, *touched: int) -> None:
        """Undo what hangs on nodes: a fact may end or limit it."""
        if self._is_blank:
            return
        hanging = self._hanging(touched)
        if hanging is None:
            self.begin()
            return
        for node in hanging:
            self.values[node] = 0
        for node in self.covered.keys() & hanging:
            del self.covered[node]
        self.answers.touch(hanging)

    def loosen(self, *touched: int) -> None:
        """Undo the answers that hang on nodes: a fact may have taken limits away."""
        if not self.answers:
            return
        hanging = self._hanging(touched)
        if hanging is None:
            self.answers.drop()
        else:
            self.answers.touch(hanging)

    def time_cause(self, over_at: int, now: int) -> None:
        """Note that values rest on a cause with an end.

        Args:
            over_at: first time at which it is over (ns).
            now: the clock by which values are found out (ns).
        """
        if over_at <= now:
            self.since = max(self.since, over_at)
        else:
            self._ends = min(self._ends, over_at)

    def pass_time(self, now: int) -> None:
        """Begin a generation where a cause is over, or was by a clock that went back.

        Nothing is wrong before: what is not clear is looked at closely.
        """
        if now >= self._ends or now < self.since:
            self.begin()

    def begin(self) -> None:
        """Begin a generation: nothing is known any more."""
        self.since, self._ends = NO_TIME, UNKNOWN_TIME
        self.answers.drop()
        self._uncover()
        self._is_blank = True
        self.declared, self._places = [()], {}
        self.generation += 1
        if self.generation > GENERATION:
            self.generation = 1
            self.values = array("q")
        self.current = NAMED | self.generation

    def _hanging(self, touched: Collection[int]) -> list[int] | None:
        """Nodes with a value that hang on others, or None where there are too many."""
        values, generation, most = self.values, self.generation, self.allowed()
        self._looks = min(self._looks + LOOKS_OF_A_FACT, MOST_LOOKS)
        looks, known = len(touched), self._size()
        if looks > most:
            return None
        seen = {
            n for n in touched if n < known and values[n] & GENERATION == generation
        }
        found = list(seen)
        for node in found:
            if looks + self._counted(node) > most:
                return None  # a label of very many needs no look to say so
            for below in self._downs(node):
                looks += 1
                if looks > most:
                    self._looks -= most
                    return None
                if (
                    below < known
                    and values[below] & GENERATION == generation
                    and below not in seen
                ):
                    seen.add(below)
                    found.append(below)
        self._looks -= looks
        return found

    def _size(self) -> int:
        """Count the nodes that there are values for."""
        return len(self.values)

    def _counted(self, node: int) -> int:
        """Count the nodes below one, as far as that takes no look at them."""
        return self._lineage.counted_children(node) + len(self._owned.get(node, ()))

    def _downs(self, node: int) -> Iterable[int]:
        """Nodes that hang on a node directly, and the next one of its names."""
        return chain(
            (self._lineage.ring[node],),
            self._lineage.children(node),
            self._owned.get(node, ()),
        )
