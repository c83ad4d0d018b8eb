"""Facts of the log in blocks: found by their keys, and packed from rows.

A fact has a print, which leads from its key to its place: the hour of its acceptance
and a hash. Facts of an hour lie side by side, so that the prints of earlier ones are
never touched again. Where the print of a fact is taken, it has the next free one.
"""

from __future__ import annotations

import bisect
import itertools
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
import structlog

from agents_registry.facts import Distrust, Withdraw
from streams.engines.embedded.fact_block import (
    MARK,
    PLACES,
    TAILS,
    PlacedFact,
    pack,
    tail_of,
    unpack,
)
from streams.engines.embedded.short_rows import HOURS, ID, KINDS, LEAST
from streams.observability.failpoints import failpoint

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence

LARGEST: Final = 256 << 10  # bytes of values: who reads one fact unpacks them all
ROWS: Final = 2 * PLACES  # looked at in a step: the writer has other work too
ENTRIES: Final = 5_000  # of the chain, likewise; few of them have rows still
_HASH_BITS: Final = 43
_HOUR_BITS: Final = 20
# They are few, and each guard that starts asks for all of them: they stay rows.
_STAY: Final = frozenset(KINDS.index(kind) for kind in (Withdraw.NAME, Distrust.NAME))
_NEXT: Final = (
    "SELECT c.sequence, c.genesis, c.hash, f.offset, f.key, f.value,"
    " f.received_at, h.head FROM audit_chain c"
    " CROSS JOIN recent_facts f ON f.offset = c.fact"
    " LEFT JOIN audit_heads h ON h.sequence = c.sequence"
    " WHERE c.sequence > ? AND c.sequence <= ?"
    " AND c.fact < (SELECT max(offset) FROM recent_facts)"
    " ORDER BY c.sequence LIMIT ?"
)
_BLOCK: Final = (
    "SELECT start, ids, body FROM fact_blocks WHERE start > ? AND start <= ?"
    " AND start + places > ? ORDER BY start DESC LIMIT 1"
)
_TAKEN: Final = (
    "SELECT print FROM fact_prints WHERE print IN (SELECT value FROM json_each(?))"
)

_PRINT: Final = "INSERT INTO fact_prints VALUES (?, ?) ON CONFLICT DO NOTHING"
_PRINTED: Final = "SELECT 1 FROM fact_prints WHERE print = ? AND offset = ?"
_FORGET_ROWS: Final = "DELETE FROM recent_facts WHERE offset BETWEEN ? AND ?"
_FORGET_ENTRIES: Final = "DELETE FROM audit_chain WHERE sequence BETWEEN ? AND ?"

log = structlog.get_logger()


class SealedRows(NamedTuple):
    """What a step did.

    Attributes:
        after: the next one looks behind this entry of the chain.
        facts: so many are in blocks now.
        more: the next one may find some, too.
    """

    after: int
    facts: int
    more: bool


class _Row(NamedTuple):
    sequence: int
    genesis: str
    hash: bytes | str
    offset: int
    key: bytes
    value: bytes
    received_at: int
    head: str | None


def print_of(key: bytes) -> int:
    """Print that a key has where it is free: the hour, then of the id, a hash."""
    hour = int.from_bytes(key[1 + ID : 1 + ID + HOURS], "big")
    told = int.from_bytes(key[1:9], "big")
    return (hour % 2**_HOUR_BITS) << _HASH_BITS | told >> (64 - _HASH_BITS)


class SealedFacts:
    """Blocks of a file, within one transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._read: dict[int, dict[int, PlacedFact]] = {}

    def held(self, keys: Iterable[bytes | str]) -> set[bytes]:
        """Return those of some keys whose facts are in blocks."""
        if not self._db.execute("SELECT 1 FROM fact_prints LIMIT 1").fetchone():
            return set()
        prints = [(print_of(key), key) for key in keys if isinstance(key, bytes)]
        wanted = orjson.dumps([each for each, _ in prints])
        taken = {each for (each,) in self._db.execute(_TAKEN, (wanted,))}
        if not taken:
            return set()
        return {key for each, key in prints if each in taken and self._holds(key, each)}

    def seal(
        self, after: int, upto: int, short: Callable[[str], bytes | str]
    ) -> SealedRows:
        """Pack the next rows into blocks, as many as are at hand for full ones.

        The last fact stays a row: by it a restart knows the next offset.

        Args:
            after: looks at facts behind this entry of the audit chain.
            upto: and at none behind this one.
            short: makes keys in bytes of those in text.
        """
        end = min(after + ENTRIES, upto)
        found = self._db.execute(_NEXT, (after, end, ROWS)).fetchall()
        cut = len(found) == ROWS
        end = found[-1][0] if cut else end
        more, sealed = cut or end < upto, 0
        *whole, last = _groups(_packable(found, short))
        for group in whole:
            sealed += self._pack(group)
        before = last[0].sequence - 1 if last else end
        if last and (len(last) == PLACES or (more and before == after)):
            sealed += self._pack(last)
            before = end
        return SealedRows(before, sealed, more)

    def forget(self, offsets: Iterable[int]) -> None:
        """Drop facts from their blocks; their places stay, and their prints."""
        for start, gone in itertools.groupby(sorted(offsets), self.start_of):
            if start is None:
                continue
            facts = self._read.pop(start)
            there = set(gone)
            left = {p: fact for p, fact in facts.items() if start + p not in there}
            (places,) = self._db.execute(
                "SELECT places FROM fact_blocks WHERE start = ?", (start,)
            ).fetchone()
            query = "UPDATE fact_blocks SET ids = ?, body = ? WHERE start = ?"
            self._db.execute(query, (*pack(left, places), start))

    def _holds(self, key: bytes, wanted: int) -> bool:
        query = "SELECT offset FROM fact_prints WHERE print = ?"
        while row := self._db.execute(query, (wanted,)).fetchone():
            start = self.start_of(row[0])
            fact = None if start is None else self._read[start].get(row[0] - start)
            if fact is not None and fact.key == key:
                return True
            wanted += 1
        return False

    def start_of(self, offset: int) -> int | None:
        """Where the block of an offset begins, which is unpacked then."""
        span = (offset - PLACES, offset, offset)
        row = self._db.execute(_BLOCK, span).fetchone()
        if row is None:
            return None
        start, ids, body = row
        if start not in self._read:
            self._read[start] = unpack(ids, body)
        return int(start)

    def _pack(self, rows: Sequence[_Row]) -> int:
        """Make blocks of rows; return how many are in blocks now."""
        size = sum(len(row.value) for row in rows)
        if len(rows) > 1 and (size > LARGEST or _tails(rows) > TAILS):
            half = len(rows) // 2
            return self._pack(rows[:half]) + self._pack(rows[half:])
        start, last = rows[0].offset, rows[-1].offset
        facts = {
            row.offset - start: PlacedFact(row.key, row.value, _mark(row.hash))
            for row in rows
        }
        ids, body = pack(facts, last - start + 1)
        over = self._db.execute(_BLOCK, (start - PLACES, last, start)).fetchone()
        if over is not None or unpack(ids, body) != facts:
            # Nothing is lost: rows are as good, and larger.
            log.error("facts_not_packed", start=start, end=last + 1)
            return 0
        times = [row.received_at for row in rows]
        block = (start, last - start + 1, min(times), max(times), ids, body)
        self._db.execute("INSERT INTO fact_blocks VALUES (?, ?, ?, ?, ?, ?)", block)
        failpoint("store.block_written")
        self._print(rows)
        for first, end in _runs(row.offset for row in rows):
            self._db.execute(_FORGET_ROWS, (first, end))
        for first, end in _runs(row.sequence for row in _between(rows)):
            self._db.execute(_FORGET_ENTRIES, (first, end))
        return len(rows)

    def _print(self, rows: Sequence[_Row]) -> None:
        wanted = sorted((print_of(row.key), row.offset) for row in rows)
        if self._db.executemany(_PRINT, wanted).rowcount == len(wanted):
            return
        for first, offset in wanted:
            if self._db.execute(_PRINTED, (first, offset)).fetchone():
                continue
            prints = itertools.count(first)
            while not self._db.execute(_PRINT, (next(prints), offset)).rowcount:
                pass


def _packable(
    found: Iterable[tuple[Any, ...]], short: Callable[[str], bytes | str]
) -> list[_Row]:
    """Rows that a block has a place for: those of a key in bytes."""
    rows = []
    for row in map(_Row._make, found):
        key: bytes | str = row.key
        if isinstance(key, str):
            key = short(key)
        if isinstance(key, bytes) and len(key) >= LEAST and key[0] not in _STAY:
            rows.append(row if key is row.key else row._replace(key=key))
    return rows


def _groups(rows: Sequence[_Row]) -> list[Sequence[_Row]]:
    """Rows of each block; the last one may get more, and is there in any case."""
    groups, start = [], 0
    offsets = [row.offset for row in rows]
    while start < len(rows):
        end = bisect.bisect_left(offsets, offsets[start] + PLACES, lo=start)
        groups.append(rows[start:end])
        start = end
    return groups or [[]]


def _tails(rows: Sequence[_Row]) -> int:
    return len({tail_of(row.key) for row in rows})


def _mark(told: bytes | str) -> bytes:
    return told[:MARK] if isinstance(told, bytes) else bytes.fromhex(told[: 2 * MARK])


def _between(rows: Sequence[_Row]) -> Iterator[_Row]:
    """Rows whose entries follow from the block and the next entry that stays."""
    for row, later in itertools.pairwise(rows):
        if (
            row.head is None
            and row.sequence + 1 == later.sequence
            and row.offset + 1 == later.offset
            and row.genesis == later.genesis
        ):
            yield row


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of each run of numbers without a gap."""
    runs: list[tuple[int, int]] = []
    for each in numbers:
        if runs and each == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], each)
        else:
            runs.append((each, each))
    return runs
