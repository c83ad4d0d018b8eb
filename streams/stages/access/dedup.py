"""Which remembered uses tell again what an earlier one told: sources repeat lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from streams.stages.access.columns import U64, prints_of
from streams.stages.access.joining import bucket
from streams.stages.access.segment import MINUTE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.steps import Steps
    from streams.stages.access.columns import Numbers
    from streams.stages.access.index import AccessIndex
    from streams.stages.access.segment import Segment
    from streams.stages.access.uses import AccessEvent


def repeats_among(
    remembered: AccessIndex, uses: Iterable[AccessEvent]
) -> Steps[set[tuple[str, int]]]:
    """Rows, by piece and number, that repeat an earlier row.

    Args:
        remembered: all there are.
        uses: some of them; rows of other credentials and minutes are not looked at.
    """
    told = [use for use in uses if use.event_id is not None]
    if not told:
        return set()
    minutes = [use.at // MINUTE for use in told]
    names = dict.fromkeys(use.identifiers[0] for use in told)
    prints = np.unique(np.array([prints_of(name)[0] for name in names], U64))
    found = remembered.find(prints, (min(minutes), max(minutes)))
    return (yield from repeats(found))


def repeats(
    found: Iterable[tuple[Segment, Numbers]],
) -> Steps[set[tuple[str, int]]]:
    """Rows, by piece and number, that repeat one of some rows.

    That is the same event's id of the same credential, point, outcome and minute.
    """
    found = list(found)
    if not found:
        return set()  # a damaged row tells of another name than its print
    events = np.concatenate([piece.lines.event[rows] for piece, rows in found])
    _, which, counts = np.unique(events, return_inverse=True, return_counts=True)
    alike = (counts[which] > 1) & (events != 0)
    if not alike.any():
        return set()
    known: set[tuple[Any, ...]] = set()
    again = set()
    before = 0
    for piece, rows in found:
        for row in rows[alike[before : before + len(rows)]].tolist():
            yield
            try:
                event = piece.lines.use(row).event_id
            except ValueError:
                continue  # whoever judges it counts it as unreadable
            told = (*bucket(piece.lines, row), event)
            if told in known:
                again.add((piece.key, row))
            known.add(told)
        before += len(rows)
    return again
