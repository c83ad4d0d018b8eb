"""Some remembered uses: columns that are searched by prints, and their saved form."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import orjson
from attrs import define, field

from streams.stages.access.columns import I64, U8, AccessColumns

if TYPE_CHECKING:
    from streams.stages.access.columns import Numbers


MINUTE: Final = 60 * 1_000_000_000
# Marks of a row, added up.
IN_FLIGHT: Final = 1  # counted, and judged again: an earlier cause may come late
REPORTED: Final = 2  # as a use of something dead
HELD: Final = 4  # nobody declared what it presents: to be asked again
ASKED: Final = 8  # it was
BEYOND: Final = 16  # reported as beyond its scopes
UNDATED: Final = 32  # counted as one of principals alone, after a not_before on them
HEAD: Final = b"RU1\n"


class Merged(NamedTuple):
    """What a row stands for that is more than one use; ``first`` in ns."""

    first: int
    times: int


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
    lines: AccessColumns
    oldest: int
    newest: int
    marks: Numbers
    merged: dict[int, Merged] = field(factory=dict)
    _sorted: Numbers = field(init=False)
    _rows: Numbers = field(init=False)
    span: tuple[int, int] = field(init=False)

    def __attrs_post_init__(self) -> None:
        prints = self.lines.prints
        order = np.argsort(prints)
        self._sorted = prints[order]
        rows = self.lines.rows() if len(prints) > len(self.lines) else order
        self._rows = (rows if rows is order else rows[order]).astype(np.uint32)
        at = self.lines.at
        self.span = (int(at.min()) // MINUTE, int(at.max()) // MINUTE)

    def __len__(self) -> int:
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
        return merged_at(row, self.lines, self.merged)

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
        return b"".join([HEAD, orjson.dumps(head), b"\n", *columns.values()])

    @classmethod
    def load(cls, key: str, body: bytes, marks: bytes | None) -> Segment:
        """Read what `dump` and `dump_marks` gave.

        Raises:
            ValueError: it cannot be read.
        """
        end = body.index(b"\n", len(HEAD))
        head = orjson.loads(body[len(HEAD) : end])
        columns, start = {}, end + 1
        for name, length in head["columns"]:
            columns[name] = body[start : start + length]
            start += length
        lines = AccessColumns.read(tuple(head["points"]), columns)
        marked = np.zeros(len(lines), U8)
        if marks is not None:
            marked = np.frombuffer(zlib.decompress(marks), U8).copy()
        merged = {row: Merged(*of) for row, *of in head["merged"]}
        return cls(key, lines, head["oldest"], head["newest"], marked, merged)

    def dump_marks(self) -> bytes:
        """Return the marks as bytes."""
        return zlib.compress(self.marks.tobytes(), 1)


def merged_at(row: int, lines: AccessColumns, merged: dict[int, Merged]) -> Merged:
    """First and number of the uses that a row stands for."""
    return merged.get(row) or Merged(int(lines.at[row]), 1)
