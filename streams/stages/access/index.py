"""Remembered uses, in pieces: columns that are searched by prints, and dropped whole.

Each batch becomes a piece, saved as it is. Pieces of one size are joined as soon as
there are many, so that there are never many; while they are joined, what is more than
`SINGLES` uses of one credential at one point with one outcome in one minute, for the
same scopes, becomes one row with the first, the last and how many. A piece is
forgotten once all of it is older than a day by our clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

from agents_registry.steps import finish
from streams.stages.access.columns import U8, AccessColumns
from streams.stages.access.joining import joined_segments
from streams.stages.access.segment import HEAD, REPORTED, Merged, Segment
from streams.stages.access.uses import AccessEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.steps import Steps
    from streams.stages.access.columns import Numbers

FAN: Final = 16  # pieces of one size that are joined into one
LARGEST: Final = 1 << 14  # rows; such a piece is joined no more
LARGEST_TEXT: Final = 64 << 20
MOST: Final = 10_000_000  # rows; about 140 bytes each with an identifier and an id
PIECES: Final = 15  # a mask: pieces searched between two yields
SPANS: Final = 24  # pieces further apart than this part of a day are not joined
_MARKS: Final = "m"


class AccessIndex:
    """The remembered uses of a realm."""

    def __init__(self, remember: int, most: int = MOST) -> None:
        """Start with nothing.

        Args:
            remember: for how long, in ns of our clock.
            most: rows; the oldest are forgotten before their time.
        """
        self._remember = remember
        self._most = most
        self._pieces: list[Segment] = []
        self._next = 0
        self._unsaved: dict[str, bytes | None] = {}
        self._marked: dict[str, Segment] = {}

    def __len__(self) -> int:
        return sum(map(len, self._pieces))

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._pieces)

    def add(self, lines: AccessColumns, now: int) -> Segment:
        """Remember some uses."""
        marks = np.zeros(len(lines), U8)
        piece = Segment(self._key(), lines.unchecked(), now, now, marks)
        self._put(piece)
        return piece

    def restore(self, rows: Iterable[tuple[str, bytes]]) -> None:
        """Take back what was saved, also by earlier versions.

        Args:
            rows: name and body.

        Raises:
            ValueError: one cannot be read.
        """
        bodies = dict(sorted(rows))
        older = [key for key in bodies if "\0" in key]  # the key of a bucket
        for key, body in bodies.items():
            if body.startswith(HEAD):
                self._pieces.append(Segment.load(key, body, bodies.get(key + _MARKS)))
                self._next = int(key[1:]) + 1
        if older:
            plain = [orjson.loads(bodies[key]) for key in older]
            self._unsaved.update(dict.fromkeys(older))
            self._put(_of_buckets(self._key(), plain))

    def mark(self, piece: Segment, row: int, mark: int) -> None:
        """Add a mark to a row."""
        piece.marks[row] |= mark
        self._marked[piece.key] = piece

    def find(
        self, prints: Numbers, span: tuple[int, int] | None = None
    ) -> list[tuple[Segment, Numbers]]:
        """Pieces with their rows that present one of some identifiers.

        Args:
            prints: of the identifiers, sorted.
            span: first and last minute; pieces of others are left out.
        """
        return finish(self.finding(prints, span))

    def finding(
        self, prints: Numbers, span: tuple[int, int] | None = None
    ) -> Steps[list[tuple[Segment, Numbers]]]:
        """Find pieces with their rows in steps; see `find`."""
        found = []
        for count, piece in enumerate(self._pieces):
            if not count & PIECES:
                yield
            if span and (piece.span[1] < span[0] or piece.span[0] > span[1]):
                continue
            rows = piece.find(prints)
            if len(rows):
                found.append((piece, rows))
        return found

    def forget(self, seen_before: int) -> int:
        """Drop the pieces older than a time of our clock, and those that are too many.

        Give the number of rows that were dropped before their time.
        """
        early, count = 0, len(self)
        for piece in list(self._pieces):
            if piece.newest >= seen_before:
                if count <= self._most:
                    break
                early += len(piece)
            count -= len(piece)
            self._pieces.remove(piece)
            self._drop(piece)
        return early

    def changes(self) -> Steps[dict[str, bytes | None]]:
        """Bodies to save since the last call, by name; None drops one."""
        while (yield from self._join_last()):
            pass
        changes = self._unsaved
        for piece in self._marked.values():
            yield
            changes[piece.key + _MARKS] = piece.dump_marks()
        self._unsaved, self._marked = {}, {}
        return changes

    def _join_last(self) -> Steps[bool]:
        """Join the last pieces if they are many and of one size."""
        last = self._pieces[-FAN:]
        if (
            len(last) < FAN
            or any(p.size > last[-1].size or len(p) >= LARGEST for p in last)
            or last[-1].newest - last[0].oldest > self._remember // SPANS
            or sum(len(piece.lines.texts) for piece in last) > LARGEST_TEXT
        ):
            return False
        whole = yield from joined_segments(self._key(), last)
        yield
        del self._pieces[-FAN:]
        for piece in last:
            self._drop(piece)
        self._put(whole)
        return True

    def _put(self, piece: Segment) -> None:
        self._pieces.append(piece)
        self._unsaved[piece.key] = piece.dump()
        if piece.marks.any():
            self._marked[piece.key] = piece

    def _drop(self, piece: Segment) -> None:
        self._marked.pop(piece.key, None)
        if self._unsaved.pop(piece.key, None) is not None:
            return
        self._unsaved[piece.key] = None
        if piece.marks.any():
            self._unsaved[piece.key + _MARKS] = None

    def _key(self) -> str:
        key = f"p{self._next:012}"
        self._next += 1
        return key


def _of_buckets(key: str, buckets: list[list[Any]]) -> Segment:
    """Make a piece of what versions before pieces saved: a bucket of a minute each."""
    uses: list[AccessEvent] = []
    marks: list[int] = []
    merged: dict[int, Merged] = {}
    for names, point, outcome, _, _, owner, singles in buckets:
        for at, event_id, first, times, told, *_ in singles:
            if times > 1 or first != at:
                merged[len(uses)] = Merged(first, times)
            uses.append(
                AccessEvent.from_plain([names, point, outcome, at, event_id, owner])
            )
            marks.append(REPORTED if told else 0)
    seen_at = [bucket[4] for bucket in buckets]
    lines = AccessColumns.of(uses).unchecked()
    marked = np.array(marks, U8)
    return Segment(key, lines, min(seen_at), max(seen_at), marked, merged)
