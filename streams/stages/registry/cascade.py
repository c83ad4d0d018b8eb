"""The table of a realm and the lists of what its facts condemned, in slices.

A fact may condemn a million identifiers. They are listed a slice at a time, and more
facts may be applied between two slices: what they add is listed or is where another
list starts. The lists of all facts that wait are made together, so that nothing is
judged once for each of them.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from agents_registry.reach import Reached
from agents_registry.registry import Registry
from agents_registry.uncaused import Uncaused
from streams.stages.registry.registry import Condemned, condemned, root

if TYPE_CHECKING:
    from agents_registry.facts import Fact
    from agents_registry.identifiers import Identifier, Vocabulary
    from agents_registry.steps import Steps

SLICE: Final = 1000  # identifiers listed at once


class Root(NamedTuple):
    """Where the listing of one fact starts, and the fact's offset."""

    offset: int
    identifier: Identifier


class Slice(NamedTuple):
    """The next identifiers that facts condemned; done: there are no more of them."""

    found: list[Condemned]
    done: bool


class Cascade:
    """A realm's table, and the facts whose lists are not complete.

    Attributes:
        registry: the table.
        exclusive: no fact may be applied before the next slice: its list was judged
            already.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.registry = Registry(vocabulary)
        self.exclusive = False
        self._uncaused = Uncaused(self.registry)
        self._roots: deque[Root] = deque()
        self._listed = 0  # of the roots: those whose lists are being made
        self._reach: Reached | None = None
        self._found: deque[Condemned] = deque()
        self._heard = 0  # when the latest fact was accepted (ns)

    @property
    def waiting(self) -> int:
        """Count the facts whose lists are not complete."""
        return len(self._roots)

    @property
    def oldest(self) -> int | None:
        """Offset of the first fact whose list is not complete."""
        return self._roots[0].offset if self._roots else None

    def apply(self, fact: Fact) -> None:
        """Merge a fact into the table."""
        self.registry.apply(fact)
        self._heard = max(self._heard, fact.received_at)
        self._uncaused.note(fact)

    def enlist(self, offset: int, fact: Fact) -> None:
        """Have all listed that an applied fact condemned, if it condemned anything."""
        start = root(self.registry, fact, self._uncaused)
        if start is not None:
            self._roots.append(Root(offset, start))

    def replace(self, registry: Registry) -> None:
        """Go on with a table that was built anew."""
        self.registry = registry
        self._uncaused = Uncaused(registry)
        self._begin_anew()

    def next_slice(self) -> Steps[Slice]:
        """Next slice of the oldest facts; `finish` them once it is done.

        No fact may be applied before it is given.
        """
        if self._reach is None:
            # Looked up as they are walked: there may be very many.
            named = [each.identifier for each in self._roots]
            self._listed = len(named)
            starts = map(self.registry.lineage.find, named)
            self._reach = Reached(self.registry, starts)
        if not self._found:
            found = yield from condemned(self.registry, self._reach, self._heard)
            self._found.extend(found)
        taken = list(islice(self._found, SLICE))
        for _ in taken:
            self._found.popleft()
        self.exclusive = bool(self._found)
        return Slice(taken, self._reach.over and not self.exclusive)

    def finish(self) -> None:
        """Take the facts off whose lists are made."""
        for _ in range(self._listed):
            self._roots.popleft()
        self._begin_anew()

    def forget(self) -> None:
        """Leave the facts whose lists are not complete to others."""
        self._roots.clear()
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._reach = None
        self._listed = 0
        self._found.clear()
        self.exclusive = False
