"""Which remembered uses to hold against their scopes again, since a fact came late.

A fact that limits scopes, or ties a credential to what is limited, may come after the
uses that it speaks of. What it may change lies below the names that it speaks of. Those
are noted as they come, and looked up a slice at a time; of too many, after a start, and
once something was taken back, all remembered uses are looked at that tell their scopes.
Where none does, nothing is noted.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from agents_registry.facts import Alias, Cause, Edge, Effect, Fact, Holds, ScopeSet
from agents_registry.inventory import descendants
from agents_registry.life import quiet
from agents_registry.lineage import CAUSED, NONE, SCOPED
from streams.stages.lines import U64, prints_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from streams.stages.lines import Numbers
    from streams.stages.remembered import Piece, Remembered

AT_ONCE: Final = 1000  # names looked up in one step
MOST: Final = 100_000  # names that wait; of more everything is looked at
_SPOKEN_OF: Final[dict[type[Fact], tuple[str, ...]]] = {
    ScopeSet: ("node",),
    Edge: ("child",),
    Alias: ("first", "second"),
    Holds: ("node",),
}


def limited(fact: Fact) -> tuple[Identifier, ...]:
    """Give the names below which a fact may have limited scopes further."""
    if isinstance(fact, Cause):
        return (fact.target,) if fact.effect is Effect.NARROW else ()
    return tuple(getattr(fact, name) for name in _SPOKEN_OF.get(type(fact), ()))


class LateLimits:
    """What is still to be looked at."""

    def __init__(self, uses: Remembered) -> None:
        """Start with nothing, of all the uses that are remembered."""
        self._uses = uses
        self._needed = False  # a remembered use tells which scopes it needed
        self._everything = False
        self._prints: deque[Numbers] = deque()
        self._names: dict[Identifier, None] = {}
        self._below: Iterator[Identifier] = iter(())
        self._more = False  # perhaps, below the last name

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
        self._everything, self._more = True, False
        self._names.clear()
        self._prints.clear()
        self._below = iter(())

    @property
    def waiting(self) -> bool:
        """Tell whether there may be more to look at."""
        return self._everything or bool(self._names or self._prints) or self._more

    def step(self, registry: Registry) -> list[tuple[Piece, Numbers]]:
        """Give the uses to look at next, which tell their scopes."""
        if self._everything:
            self._begin_anew()
        if self._prints:
            prints = self._prints.popleft()
        else:
            names = self._take(registry)
            prints = np.array([prints_of(name)[0] for name in names], U64)
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

    def _take(self, registry: Registry) -> list[Identifier]:
        taken = list(islice(self._below, AT_ONCE))
        while len(taken) < AT_ONCE and self._names:
            name = next(iter(self._names))
            del self._names[name]
            self._below = _below(registry, name)
            taken += islice(self._below, AT_ONCE - len(taken))
        self._more = len(taken) == AT_ONCE
        return taken


def _below(registry: Registry, name: Identifier) -> Iterator[Identifier]:
    """Yield a name, who holds it if it is an attribute, and all that hangs on these.

    Nothing where nothing limits scopes.
    """
    lineage = registry.lineage
    node = lineage.find(name)
    if node == NONE or quiet(registry, (node,), -1, SCOPED | CAUSED):
        return
    holders = map(lineage.identifier, [*registry.holders.get(node, ())])
    for top in (name, *holders):
        yield top
        for each, _ in descendants(registry, top):
            yield each
