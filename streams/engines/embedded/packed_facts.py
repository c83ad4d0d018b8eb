"""Facts in blocks, within a transaction: put there, and forgotten."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from streams.engines.embedded.block_proof import proven_facts
from streams.engines.embedded.fact_block import (
    LARGE,
    PLACES,
    FactBlock,
    PlacedFact,
    pack,
)
from streams.engines.embedded.fact_rows import COLUMNS, END
from streams.engines.embedded.packed_copies import block_at
from streams.engines.embedded.packed_prints import put_prints
from streams.observability.failpoints import failpoint

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence

_OVER: Final = f"SELECT 1 FROM fact_blocks WHERE start > ? AND start < ? AND {END} > ?"  # noqa: S608 - constant
_ROWS: Final = (
    "SELECT offset, key, value FROM recent_facts"
    " WHERE offset >= ? AND offset < ? AND length(value) <= ?"
)
_BETWEEN: Final = (
    f"SELECT start, {COLUMNS} FROM fact_blocks WHERE start BETWEEN ? AND ?"  # noqa: S608 - constant
    " ORDER BY start"
)
_FORGET_ROWS: Final = "DELETE FROM recent_facts WHERE offset BETWEEN ? AND ?"
_LAST: Final = "SELECT max(offset) FROM recent_facts"


class PreparedBlock(NamedTuple):
    """A block that is made, and not in the file yet.

    Attributes:
        start: the first offset of it.
        block: what the file gets.
        facts: that are in it, by their places.
        prints: of them, each with its offset, in their order.
    """

    start: int
    block: FactBlock
    facts: Mapping[int, PlacedFact]
    prints: Sequence[tuple[int, int]]

    @property
    def end(self) -> int:
        """Offset behind it."""
        return self.start + self.block.places


class MergedBlock(NamedTuple):
    """A block of the facts of neighbours, not in the file yet.

    Attributes:
        start: the first offset of it.
        block: what the file gets.
        parts: blocks that it is made of, as they were read, with their starts.
    """

    start: int
    block: FactBlock
    parts: Sequence[tuple[int, FactBlock]]


class PackedFacts:
    """Blocks of a file, within one transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def put(self, made: PreparedBlock, short: Callable[[str], bytes | str]) -> bool:
        """Have a block in the place of the rows that it was made of.

        Nothing is changed where they are not the same rows any more, where another
        block has one of its places, or where the last fact of all is among them: by
        that a restart knows the next offset.

        Args:
            made: the block.
            short: makes keys in bytes of those in text.
        """
        rows = self._db.execute(_ROWS, (made.start, made.end, LARGE))
        there = {
            offset - made.start: (_bytes(key, short), value)
            for offset, key, value in rows
        }
        same = all(there.get(place) == fact for place, fact in made.facts.items())
        span = (made.start - PLACES, made.end, made.start)
        over = self._db.execute(_OVER, span).fetchone()
        (last,) = self._db.execute(_LAST).fetchone()
        if not same or over is not None or last < made.end:
            return False
        self._insert(made.start, made.block)
        failpoint("store.block_written")
        put_prints(self._db, made.prints)
        failpoint("store.block_printed")
        offsets = [made.start + place for place in sorted(made.facts)]
        self._db.executemany(_FORGET_ROWS, _runs(offsets))
        failpoint("store.rows_packed")
        return True

    def merge(self, made: MergedBlock) -> bool:
        """Have a block in the place of those that it was made of.

        Nothing is changed where they are not the same any more.
        """
        span = made.parts[0][0], made.parts[-1][0]
        there = self._read(_BETWEEN, span)
        if there != [(start, *block) for start, block in made.parts]:
            return False
        self._db.execute("DELETE FROM fact_blocks WHERE start BETWEEN ? AND ?", span)
        failpoint("store.blocks_merging")
        self._insert(made.start, made.block)
        failpoint("store.blocks_merged")
        return True

    def forget(self, offsets: Iterable[int]) -> None:
        """Drop facts from their blocks; their places stay, and their prints.

        Raises:
            BlockError: a block cannot be read.
        """
        going = deque(sorted(offsets))
        while going:
            found = block_at(self._read, going[0])
            if found is None:
                going.popleft()
                continue
            (start, block), gone = found, set()
            while going and going[0] < start + block.places:
                gone.add(going.popleft() - start)
            facts = proven_facts(block)
            left = {place: facts[place] for place in facts if place not in gone}
            self._db.execute("DELETE FROM fact_blocks WHERE start = ?", (start,))
            if left:
                self._insert(start, pack(left, block.places))

    def _read(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return self._db.execute(query, values).fetchall()

    def _insert(self, start: int, block: FactBlock) -> None:
        query = "INSERT INTO fact_blocks VALUES (?, ?, ?, ?)"
        self._db.execute(query, (start, *block))


def _bytes(key: bytes | str, short: Callable[[str], bytes | str]) -> bytes | str:
    return short(key) if isinstance(key, str) else key


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each run of numbers without a gap."""
    runs: list[tuple[int, int]] = []
    for each in numbers:
        if runs and each == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], each)
        else:
            runs.append((each, each))
    return runs
