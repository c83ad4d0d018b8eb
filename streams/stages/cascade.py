"""The table of a realm and the lists of what its facts condemned, in slices.

A fact may condemn a million identifiers. They are listed a slice at a time, and more
facts may be applied between two slices: what they add is listed or is a root itself.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from agents_registry.registry import Registry
from streams.stages.registry import Condemned, condemned, root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents_registry.facts import Fact
    from agents_registry.identifiers import Identifier, Vocabulary

SLICE: Final = 1000  # identifiers listed at once


class Root(NamedTuple):
    """Where the listing of one fact starts, and the fact's offset."""

    offset: int
    identifier: Identifier


class Slice(NamedTuple):
    """The next identifiers that a fact condemned; done: there are no more of it."""

    found: list[Condemned]
    done: bool


class Cascade:
    """A realm's table, and the facts whose lists are not complete.

    Attributes:
        registry: the table.
        alone: no fact may be applied before the next slice: the table grew under
            the walk of one, which starts again.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Start with no facts."""
        self.registry = Registry(vocabulary)
        self.alone = False
        self._roots: deque[Root] = deque()
        self._listing: Iterator[Condemned] | None = None

    @property
    def waiting(self) -> int:
        """Count the facts whose lists are not complete."""
        return len(self._roots)

    @property
    def oldest(self) -> int | None:
        """Give the offset of the first fact whose list is not complete."""
        return self._roots[0].offset if self._roots else None

    @property
    def second(self) -> int | None:
        """Give the offset of the one that comes after it."""
        return self._roots[1].offset if len(self._roots) > 1 else None

    def apply(self, fact: Fact) -> None:
        """Merge a fact into the table."""
        self.registry.apply(fact)

    def enlist(self, offset: int, fact: Fact) -> None:
        """Have all listed that an applied fact condemned, if it condemned anything."""
        start = root(self.registry, fact)
        if start is not None:
            self._roots.append(Root(offset, start))

    def replace(self, registry: Registry) -> None:
        """Go on with a table that was built anew."""
        self.registry = registry
        self._listing = None

    def next_slice(self) -> Slice:
        """Give the next slice of the oldest fact; `finish` it once it is done."""
        try:
            found = self._next()
        except IndexError:
            # The table grew under the walk: walk again, with no facts in between.
            # Listing an identifier twice is harmless, its record is there once.
            self.alone = True
            self._listing = None
            found = self._next()
        return Slice(found, len(found) < SLICE)

    def finish(self) -> None:
        """Take the oldest fact off: all that it condemned is listed."""
        self._roots.popleft()
        self._listing = None
        self.alone = False

    def forget(self) -> None:
        """Leave the facts whose lists are not complete to others."""
        self._roots.clear()
        self._listing = None
        self.alone = False

    def _next(self) -> list[Condemned]:
        if self._listing is None:
            self._listing = condemned(self.registry, self._roots[0].identifier)
        return list(itertools.islice(self._listing, SLICE))
