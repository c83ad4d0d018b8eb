"""Segments joined into one, and bursts of uses within it into one row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from streams.stages.access.columns import U64, AccessColumns, joined
from streams.stages.access.segment import (
    ASKED,
    HELD,
    MINUTE,
    REPORTED,
    Merged,
    Segment,
    merged_at,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents_registry.steps import Steps
    from streams.stages.access.columns import Numbers


SINGLES: Final = 32
# Odd numbers that spread what they are multiplied with over 64 bits.
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_ODDER: Final = np.uint64(0xC2B2AE3D27D4EB4F)


class UseBucket(NamedTuple):
    """What uses have in common that are counted together."""

    whom: bytes
    point: str
    outcome: int
    minute: int
    scopes: str


def bucket(lines: AccessColumns, row: int) -> UseBucket:
    """Key by which uses are counted together."""
    point = lines.points[lines.point[row]]
    minute = int(lines.at[row]) // MINUTE
    return UseBucket(
        lines.whom(row), point, int(lines.outcome[row]), minute, lines.scopes(row)
    )


def joined_segments(key: str, pieces: list[Segment]) -> Steps[Segment]:
    """Make one piece of several, bursts merged."""
    whole = joined([piece.lines for piece in pieces])
    yield
    marks = np.concatenate([piece.marks for piece in pieces])
    merged: dict[int, Merged] = {}
    before = 0
    for piece in pieces:
        merged.update((before + row, of) for row, of in piece.merged.items())
        before += len(piece)
    keep = np.ones(len(whole), np.bool_)
    for rows in _bursts(whole):
        yield
        _merge(whole, rows, marks, merged, keep)
    if not keep.all():
        kept = np.flatnonzero(keep)
        yield
        whole, marks = whole.chosen(kept), marks[kept]
        places = np.cumsum(keep) - 1
        merged = {int(places[row]): of for row, of in merged.items() if keep[row]}
    yield
    return Segment(key, whole, pieces[0].oldest, pieces[-1].newest, marks, merged)


def _bursts(lines: AccessColumns) -> Iterator[list[int]]:
    """Yield the rows, in their order, of each bucket that holds more than `SINGLES`."""
    minutes = lines.at.astype(U64) // np.uint64(MINUTE)
    where = (lines.point.astype(U64) << np.uint64(8)) | lines.outcome
    mixed = lines.prints[lines.starts()] + minutes * _ODD + where * _ODDER
    order = np.argsort(mixed)
    ends = np.append(np.flatnonzero(np.diff(mixed[order])) + 1, len(order))
    starts = np.append(0, ends[:-1])
    for place in np.flatnonzero(ends - starts > SINGLES).tolist():
        buckets: dict[UseBucket, list[int]] = {}
        for row in np.sort(order[starts[place] : ends[place]]).tolist():
            buckets.setdefault(bucket(lines, row), []).append(row)
        yield from (rows for rows in buckets.values() if len(rows) > SINGLES)


def _merge(
    lines: AccessColumns,
    rows: list[int],
    marks: Numbers,
    merged: dict[int, Merged],
    keep: Numbers,
) -> None:
    """Make one row of what is more than `SINGLES` uses of a bucket.

    A burst is judged by its last use. What was reported is not needed any more, where
    it is not to be asked about again, and what has other marks is not mixed.
    """
    texts: set[bytes] = set()
    singles: list[int] = []
    rest: dict[int, list[int]] = {}
    for row in rows:
        text = lines.text(row)
        again = lines.event[row] and text in texts
        texts.add(text)
        if not again and row not in merged and len(singles) < SINGLES - 1:
            singles.append(row)
            continue
        keep[row] = False
        if not again:
            rest.setdefault(int(marks[row]), []).append(row)
    for mark, alike in rest.items():
        if mark & REPORTED and mark & (HELD | ASKED) != HELD:
            continue
        last = max(alike, key=lines.at.__getitem__)
        of = [merged_at(row, lines, merged) for row in alike]
        first, times = min(each.first for each in of), sum(n for _, n in of)
        merged[last] = Merged(first, times)
        keep[last] = True
