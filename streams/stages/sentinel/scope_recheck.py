"""Which remembered uses to hold against their scopes again, since a fact came late.

A fact that limits scopes, or ties a credential to what is limited, may come after the
uses that it speaks of. What it may change lies below the names that it speaks of. Those
are noted as they come, and looked up a slice at a time; of too many, after a start, and
once something was taken back, all remembered uses are looked at that tell their scopes.
Where none does, nothing is noted.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np

from agents_registry.facts import (
    Alias,
    Cause,
    Edge,
    Effect,
    Fact,
    Holds,
    LabelSet,
    OwnerSet,
    ScopeSet,
)
from agents_registry.lineage import NONE
from agents_registry.reach import Reached
from agents_registry.verdict_dependencies import met_at
from streams.stages.access.columns import U64, prints_of
from streams.stages.access.dedup import repeats_among
from streams.stages.access.segment import BEYOND
from streams.stages.sentinel.observations import of_beyond
from streams.stages.sentinel.scope_use import nothing_limits, violation
from streams.stages.sentinel.step import SentinelStep
from streams.stages.sentinel.tolerances import Tolerances

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.stages.access.columns import Numbers
    from streams.stages.access.index import AccessIndex
    from streams.stages.access.segment import Segment

AT_ONCE: Final = 1000  # names looked up in one step
MOST: Final = 100_000  # names that wait; of more everything is looked at
_SPOKEN_OF: Final[dict[type[Fact], tuple[str, ...]]] = {
    ScopeSet: ("node",),
    Edge: ("child",),
    Alias: ("first", "second"),
    Holds: ("node",),
    LabelSet: ("node",),
    OwnerSet: ("node",),
}


def limited(fact: Fact) -> tuple[Identifier, ...]:
    """Names below which a fact may have limited scopes further."""
    if isinstance(fact, Cause):
        return met_at(fact.target)[-1:] if fact.effect is Effect.NARROW else ()
    return tuple(getattr(fact, name) for name in _SPOKEN_OF.get(type(fact), ()))


class ScopeRecheck:
    """What is still to be looked at."""

    def __init__(self, uses: AccessIndex) -> None:
        """Start with nothing, of all the uses that are remembered."""
        self._uses = uses
        self._needed = False  # a remembered use tells which scopes it needed
        self._everything = False
        self._prints: deque[Numbers] = deque()
        self._names: dict[Identifier, None] = {}
        self._tops: list[int] = []
        self._below: Reached | None = None

    def need(self) -> None:
        """Take note that a use tells its scopes; before, nothing need be noted."""
        self._needed = True

    def note(self, names: Iterable[Identifier]) -> None:
        """Have all looked at that hangs on some names."""
        if self._needed and not self._everything:
            self._names.update(dict.fromkeys(names))
            if len(self._names) > MOST:
                self.note_all()

    def note_all(self) -> None:
        """Have everything looked at."""
        self._everything = True
        self._names.clear()
        self._prints.clear()
        self._below, self._tops = None, []

    @property
    def waiting(self) -> bool:
        """Whether there may be more to look at."""
        names = self._names or self._tops or self._below is not None
        return self._everything or bool(names or self._prints)

    def step(self, registry: Registry) -> Steps[list[tuple[Segment, Numbers]]]:
        """Next uses to look at, with known scopes."""
        if self._everything:
            self._begin_anew()
        if self._prints:
            prints = self._prints.popleft()
        else:
            of_names = []
            for name in (yield from self._take(registry)):
                yield
                of_names.append(prints_of(name)[0])
            prints = np.array(of_names, U64)
        found = self._uses.find(np.unique(prints))
        return [
            (piece, rows[piece.lines.tells_scopes()[rows]]) for piece, rows in found
        ]

    def _begin_anew(self) -> None:
        """Take all that is remembered, in slices."""
        self._everything = False
        lines = [piece.lines for piece in self._uses]
        prints = [
            each.prints[np.repeat(each.tells_scopes(), each.names)] for each in lines
        ]
        every = np.unique(np.concatenate([np.empty(0, U64), *prints]))
        self._needed = bool(len(every))
        for start in range(0, len(every), AT_ONCE):
            self._prints.append(every[start : start + AT_ONCE])

    def _take(self, registry: Registry) -> Steps[list[Identifier]]:
        """Next names; as many of those noted are walked from together."""
        lineage = registry.lineage
        while self._below is None and self._names:
            yield
            name = next(iter(self._names))
            del self._names[name]
            node = lineage.find(name)
            # Nothing limits scopes there.
            if node != NONE and not nothing_limits(registry, node):
                self._tops.append(node)
            if len(self._tops) >= AT_ONCE or not self._names:
                self._below = Reached(registry, self._tops)
                self._tops = []
        if self._below is None:
            return []
        taken = self._below.take(AT_ONCE)
        if self._below.over:
            self._below = None
        return [lineage.identifier(node) for node in taken]


def hold_to_scopes(
    found: Iterable[tuple[Segment, Numbers]],
    registry: Registry,
    telling: SentinelStep,
    remembered: AccessIndex,
    tolerances: Tolerances,
) -> Steps[None]:
    """Report the uses among some rows that needed more than they may."""
    skew, grace = tolerances.skew, tolerances.grace
    beyond = []
    for piece, rows in found:
        for row, use in telling.uses(piece, rows[piece.marks[rows] & BEYOND == 0]):
            yield
            if use.outcome == "denied":
                continue
            limits = violation(use, registry, skew=skew, grace=grace)
            if detail := (yield from limits):
                beyond.append((piece, row, use, detail))
    again = yield from repeats_among(remembered, [use for _, _, use, _ in beyond])
    for piece, row, use, detail in beyond:
        yield
        remembered.mark(piece, row, BEYOND)
        if (piece.key, row) not in again:
            told = of_beyond(use, detail, *piece.merged_of(row))
            telling.see_use(told, use, registry)
