"""When identifiers were used last, looked up in bulk among the sentinel's uses."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from streams.stages.access.columns import DENIED, I64

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agents_registry.steps import Steps
    from streams.stages.access.columns import Numbers
    from streams.stages.access.segment import Segment

    Uses = Callable[[Numbers], Steps[Numbers]]

UNUSED: Final = 0  # ns; in place of a time


class KnownUses(NamedTuple):
    """Uses of the identifiers of a realm, as far as they are known here.

    Attributes:
        find: gives the last one (ns) of each of some prints, sorted, each once.
        missing: what is not known here; empty where all is.
        pieces: the remembered uses themselves.
    """

    find: Uses
    missing: str = ""
    pieces: Sequence[Segment] = ()

    @classmethod
    def of(cls, pieces: Iterable[Segment], missing: str = "") -> KnownUses:
        """Know those that a sentinel remembers, as they are now."""
        known = tuple(pieces)
        return cls(partial(last_uses, known), missing, known)


def last_uses(pieces: Iterable[Segment], prints: Numbers) -> Steps[Numbers]:
    """Find for each print the time of its last use that was not refused (ns).

    Args:
        pieces: the remembered uses.
        prints: of identifiers, sorted, each once.

    Returns:
        A time for each print, `UNUSED` where there is none.
    """
    last = np.zeros(len(prints), I64)
    for piece in pieces if len(prints) else ():
        yield
        lines = piece.lines
        rows = lines.rows()
        places = prints.searchsorted(lines.prints)
        there = prints.take(places, mode="clip") == lines.prints
        there &= (lines.outcome != DENIED)[rows]
        yield
        np.maximum.at(last, places[there], lines.at[rows[there]])
    return last
