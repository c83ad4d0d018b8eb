"""Remembered uses, in pieces: columns that are searched by prints, and dropped whole.

Each batch becomes a piece, saved as it is. Pieces of one size are joined as soon as
there are many, so that there are never many; while they are joined, what is more than
`SINGLES` uses of one credential at one point with one outcome in one minute, for the
same scopes, becomes one row with the first, the last and how many. A piece is
forgotten once all of it is older than a day by our clock.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import orjson
from attrs import define, field

from streams.stages.access.columns import I64, U8, U64, Lines, joined
from streams.stages.access.uses import AccessEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.steps import Steps
    from streams.stages.access.columns import Numbers

MINUTE: Final = 60 * 1_000_000_000
SINGLES: Final = 32
# Marks of a row, added up.
IN_FLIGHT: Final = 1  # counted, and judged again: an earlier cause may come late
REPORTED: Final = 2  # as a use of something dead
HELD: Final = 4  # nobody declared what it presents: to be asked again
ASKED: Final = 8  # it was
BEYOND: Final = 16  # reported as beyond its scopes
UNDATED: Final = 32  # counted as one of principals alone, after a not_before on them
FAN: Final = 16  # pieces of one size that are joined into one
LARGEST: Final = 1 << 14  # rows; such a piece is joined no more
LARGEST_TEXT: Final = 64 << 20
MOST: Final = 10_000_000  # rows; about 140 bytes each with an identifier and an id
SPANS: Final = 24  # pieces further apart than this part of a day are not joined
_HEAD: Final = b"RU1\n"
_MARKS: Final = "m"
# Odd numbers that spread what they are multiplied with over 64 bits.
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_ODDER: Final = np.uint64(0xC2B2AE3D27D4EB4F)


class Merged(NamedTuple):
    """What a row stands for that is more than one use; ``first`` in ns."""

    first: int
    times: int


class UseBucket(NamedTuple):
    """What uses have in common that are counted together."""

    whom: bytes
    point: str
    outcome: int
    minute: int
    scopes: str


@define(eq=False)
class Segment:
    """Some remembered uses.

    Attributes:
        key: the name under which it is saved; its marks have another.
        lines: the uses, without checks.
        oldest: when the first of them came in (ns, our clock); newest: the last.
        marks: of each row.
        merged: rows that stand for several uses.
    """

    key: str
    lines: Lines
    oldest: int
    newest: int
    marks: Numbers
    merged: dict[int, Merged] = field(factory=dict)
    _sorted: Numbers = field(init=False)
    _rows: Numbers = field(init=False)
    span: tuple[int, int] = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Sort the prints."""
        prints = self.lines.prints
        order = np.argsort(prints)
        self._sorted = prints[order]
        rows = self.lines.rows() if len(prints) > len(self.lines) else order
        self._rows = (rows if rows is order else rows[order]).astype(np.uint32)
        at = self.lines.at
        self.span = (int(at.min()) // MINUTE, int(at.max()) // MINUTE)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.lines)

    @property
    def held(self) -> Numbers:
        """Rows for which the question is open whether somebody declared them."""
        return np.flatnonzero(self.marks & (HELD | ASKED) == HELD)

    def firsts(self, rows: Numbers) -> Numbers:
        """Print of the first identifier of some rows."""
        return self.lines.prints[self.lines.starts()[rows]]

    @property
    def size(self) -> int:
        """Number of times that `FAN` goes into the number of rows."""
        return (len(self).bit_length() - 1) // 4

    def find(self, prints: Numbers) -> Numbers:
        """Rows that present one of some identifiers, in their order.

        Args:
            prints: of the identifiers, sorted.
        """
        left = self._sorted.searchsorted(prints)
        there = self._sorted.take(left, mode="clip") == prints
        if not there.any():
            return np.empty(0, I64)
        left = left[there]
        counts = self._sorted.searchsorted(prints[there], "right") - left
        first = np.cumsum(counts) - counts
        places = np.repeat(left - first, counts) + np.arange(counts.sum())
        return np.unique(self._rows[places]).astype(I64)

    def merged_of(self, row: int) -> Merged:
        """First use, and number of uses, that a row stands for."""
        return _merged_at(row, self.lines, self.merged)

    def dump(self) -> bytes:
        """Bytes to keep: a line of JSON, then the columns."""
        columns = self.lines.columns()
        head = {
            "oldest": self.oldest,
            "newest": self.newest,
            "points": self.lines.points,
            "merged": [[row, *of] for row, of in self.merged.items()],
            "columns": [[name, len(of)] for name, of in columns.items()],
        }
        return b"".join([_HEAD, orjson.dumps(head), b"\n", *columns.values()])

    @classmethod
    def load(cls, key: str, body: bytes, marks: bytes | None) -> Segment:
        """Read what `dump` and `dump_marks` gave.

        Raises:
            ValueError: it cannot be read.
        """
        end = body.index(b"\n", len(_HEAD))
        head = orjson.loads(body[len(_HEAD) : end])
        columns, start = {}, end + 1
        for name, length in head["columns"]:
            columns[name] = body[start : start + length]
            start += length
        lines = Lines.read(tuple(head["points"]), columns)
        marked = np.zeros(len(lines), U8)
        if marks is not None:
            marked = np.frombuffer(zlib.decompress(marks), U8).copy()
        merged = {row: Merged(*of) for row, *of in head["merged"]}
        return cls(key, lines, head["oldest"], head["newest"], marked, merged)

    def dump_marks(self) -> bytes:
        """Return the marks as bytes."""
        return zlib.compress(self.marks.tobytes(), 1)


class Remembered:
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
        """Return the number of rows."""
        return sum(map(len, self._pieces))

    def __iter__(self) -> Iterator[Segment]:
        """Yield the pieces, the oldest first."""
        return iter(self._pieces)

    def add(self, lines: Lines, now: int) -> Segment:
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
            if body.startswith(_HEAD):
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
        found = []
        for piece in self._pieces:
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
        whole = yield from _joined(self._key(), last)
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


def bucket(lines: Lines, row: int) -> UseBucket:
    """Key by which uses are counted together."""
    point = lines.points[lines.point[row]]
    minute = int(lines.at[row]) // MINUTE
    return UseBucket(
        lines.whom(row), point, int(lines.outcome[row]), minute, lines.scopes(row)
    )


def _joined(key: str, pieces: list[Segment]) -> Steps[Segment]:
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


def _bursts(lines: Lines) -> Iterator[list[int]]:
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
    lines: Lines,
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
        of = [_merged_at(row, lines, merged) for row in alike]
        first, times = min(each.first for each in of), sum(n for _, n in of)
        merged[last] = Merged(first, times)
        keep[last] = True


def _merged_at(row: int, lines: Lines, merged: dict[int, Merged]) -> Merged:
    return merged.get(row) or Merged(int(lines.at[row]), 1)


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
    lines = Lines.of(uses).unchecked()
    marked = np.array(marks, U8)
    return Segment(key, lines, min(seen_at), max(seen_at), marked, merged)
