"""Uses whose credential nobody declared: asked about again before they are told.

What declares a credential may come later than the lines that show it, and by another
way: from a list that is read each minute. So such a use is told once its credential
stayed undeclared for a while. Until then it is marked among the remembered uses, which
bound how many there are and bring them back after a restart. While a finding tells of a
credential further uses are told at once; a fact that declares it ends the finding.
"""

from __future__ import annotations

from itertools import islice, takewhile
from typing import TYPE_CHECKING, Final

import numpy as np

from agents_registry.lineage import KNOWN, NONE
from agents_registry.verdict import is_credential
from streams.findings import FindingKind
from streams.stages.episodes import Key
from streams.stages.lines import U64
from streams.stages.remembered import ASKED, HELD
from streams.stages.repeats import repeats_among
from streams.stages.sightings import of_unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.stages.episodes import Episodes
    from streams.stages.lines import Numbers
    from streams.stages.remembered import Piece, Remembered
    from streams.stages.uses import Seen

AT_ONCE: Final = 1000  # credentials asked about in one step
_KIND: Final = FindingKind.UNKNOWN_CREDENTIAL


class Undeclared:
    """Which remembered uses are to be asked about again, and when."""

    def __init__(self, uses: Remembered, episodes: Episodes, settle: int) -> None:
        """Start with none.

        Args:
            uses: all that are remembered.
            episodes: tell which credentials findings are open about.
            settle: how long a credential may be undeclared (ns, our clock).
        """
        self._uses = uses
        self._episodes = episodes
        self._settle = settle
        self._since: dict[int, int] = {}  # by print; who came first stands first
        self._round: Iterator[Key] = iter(())

    def restore(self) -> None:
        """Take up what is marked; it waits no longer than it would have."""
        for piece in self._uses:
            for one in piece.firsts(piece.held).tolist():
                self._since.setdefault(one, piece.newest)

    def meet(
        self,
        piece: Piece,
        found: Iterable[tuple[int, Seen]],
        registry: Registry,
        now: int,
    ) -> Steps[list[tuple[int, Seen]]]:
        """Hold those of some new uses whose credential is unknown.

        Args:
            piece: which they are remembered in.
            found: row and use.
            registry: the table.
            now: ns.

        Returns:
            Those that are told at once.
        """
        strange = []
        for row, use in found:
            yield
            if unknown(use, registry):
                strange.append((row, use))
        again = yield from repeats_among(self._uses, [use for _, use in strange])
        at_once, held = [], []
        for row, use in strange:
            yield
            key = Key(use.identifiers[0], _KIND, use.point)
            told = self._episodes.known(of_unknown(use, use.at, 1))
            if (piece.key, row) in again or told is not None:
                continue
            if self._settle <= 0 or self._episodes.is_open(key):
                at_once.append((row, use))
            else:
                held.append(row)
                self._uses.mark(piece, row, HELD)
        if held:
            for one in piece.firsts(np.array(held)).tolist():
                self._since.setdefault(one, now)
        return at_once

    def waiting(self, now: int) -> bool:
        """Tell whether a credential has been undeclared for long enough."""
        since = next(iter(self._since.values()), None)
        return since is not None and now - since >= self._settle

    def due(self, now: int) -> list[tuple[Piece, Numbers]]:
        """Give the held uses of the next credentials that are due; they are marked."""
        waited = takewhile(
            lambda each: now - each[1] >= self._settle, self._since.items()
        )
        prints = np.array([one for one, _ in islice(waited, AT_ONCE)], U64)
        for one in prints.tolist():
            del self._since[one]
        found = []
        for piece, rows in self._uses.find(np.sort(prints)):
            held = np.intersect1d(rows, piece.held)
            held = held[np.isin(piece.firsts(held), prints)]
            for row in held.tolist():
                self._uses.mark(piece, row, ASKED)
            found.append((piece, held))
        return found

    def declared(self, registry: Registry) -> Steps[list[Key]]:
        """Give what is over, of the next findings that are looked at."""
        keys = list(islice(self._round, AT_ONCE))
        if not keys:
            self._round = iter((yield from self._episodes.open_of(_KIND)))
            keys = list(islice(self._round, AT_ONCE))
        found = []
        for key in keys:
            yield
            if is_declared(registry, key.presented):
                found.append(key)
        return found


def unknown(use: Seen, registry: Registry) -> bool:
    """Tell whether an accepted credential is one that nobody declared."""
    names = [name for name in use.identifiers if is_credential(registry, name)]
    return bool(names) and not any(is_declared(registry, name) for name in names)


def is_declared(registry: Registry, name: Identifier) -> bool:
    """Tell whether a fact declared something, under whichever of its names."""
    lineage = registry.lineage
    node = lineage.find(name)
    if node == NONE:
        return False
    return any(lineage.flags[other] & KNOWN for other in lineage.others(node))
