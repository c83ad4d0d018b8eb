"""Facts in blocks, within a transaction: found by their keys, put there, and forgotten.

A fact has a print, which leads from its key to its offset: the hour of its acceptance
and a hash of the key under a secret of the file, so that nobody can choose facts whose
prints meet. Facts of an hour lie side by side: the prints of earlier hours are never
touched again. Where the print of a fact is taken, it has the next free one. A print
only says where to look: the key itself is compared, in a block that can be unpacked.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson
import structlog

from streams.engines.embedded.fact_block import (
    LARGE,
    PLACES,
    BlockError,
    FactBlock,
    PlacedFact,
    pack,
    unpack,
)
from streams.engines.embedded.fact_rows import COLUMNS, END
from streams.engines.embedded.short_rows import HOURS, ID
from streams.observability.failpoints import failpoint

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from streams.engines.embedded.fact_rows import Read

PRINT_KEY: Final = "print_key"
PROBES: Final = 64  # prints side by side; more are in no file that was not changed
_HASH_BITS: Final = 43
_HOUR_BITS: Final = 20
_KEYED: Final = (
    "SELECT (SELECT value FROM meta WHERE name = ?), EXISTS (SELECT 1 FROM fact_prints)"
)
_TAKEN: Final = (
    "SELECT print FROM fact_prints WHERE print IN (SELECT value FROM json_each(?))"
)
_OFFSET: Final = "SELECT CAST(offset AS INTEGER) FROM fact_prints WHERE print = ?"
_PRINT: Final = "INSERT INTO fact_prints VALUES (?, ?) ON CONFLICT DO NOTHING"
_START_AT: Final = "SELECT max(start) FROM fact_blocks WHERE start <= ?"
_BLOCK_AT: Final = (
    f"SELECT start, {COLUMNS} FROM fact_blocks"  # noqa: S608 - constant
    " WHERE start <= ? ORDER BY start DESC LIMIT 1"
)
_OVER: Final = f"SELECT 1 FROM fact_blocks WHERE start > ? AND start < ? AND {END} > ?"  # noqa: S608 - constant
_ROWS: Final = (
    "SELECT offset, key, value FROM recent_facts"
    " WHERE offset >= ? AND offset < ? AND length(value) <= ?"
)
_FORGET_ROWS: Final = "DELETE FROM recent_facts WHERE offset BETWEEN ? AND ?"
_LAST: Final = "SELECT max(offset) FROM recent_facts"

log = structlog.get_logger()


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


def print_of(key: bytes, secret: bytes) -> int:
    """Print that a key has where it is free: the hour, then a hash."""
    hour = int.from_bytes(key[1 + ID : 1 + ID + HOURS], "big")
    told = hashlib.blake2b(key, digest_size=8, key=secret).digest()
    hashed = int.from_bytes(told, "big") >> (64 - _HASH_BITS)
    return (hour % 2**_HOUR_BITS) << _HASH_BITS | hashed


def prints_of(
    read: Read, start: int, facts: Mapping[int, PlacedFact]
) -> list[tuple[int, int]]:
    """Return the prints of the facts of a block, under the secret of the file."""
    ((secret, _),) = read(_KEYED, (PRINT_KEY,))
    key = _secret(secret)
    return sorted((print_of(f.key, key), start + place) for place, f in facts.items())


class PackedFacts:
    """Blocks of a file, within one transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._keys: dict[int, Mapping[int, bytes]] = {}
        self._warned = False

    def held(self, keys: Iterable[bytes | str]) -> set[bytes]:
        """Return those of some keys whose facts are in blocks.

        A block that cannot be read holds none: to write a fact twice changes nothing,
        and to drop it for a block that nobody can read would lose it. So each block is
        unpacked, once in a transaction.
        """
        told, any_there = self._db.execute(_KEYED, (PRINT_KEY,)).fetchone()
        if not any_there:
            return set()
        secret = _secret(told)
        prints = [(print_of(k, secret), k) for k in keys if isinstance(k, bytes)]
        wanted = orjson.dumps([each for each, _ in prints])
        taken = {each for (each,) in self._db.execute(_TAKEN, (wanted,))}
        return {key for each, key in prints if each in taken and self._holds(key, each)}

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
        self._print(made.prints)
        failpoint("store.block_printed")
        offsets = [made.start + place for place in sorted(made.facts)]
        self._db.executemany(_FORGET_ROWS, _runs(offsets))
        failpoint("store.rows_packed")
        return True

    def forget(self, offsets: Iterable[int]) -> None:
        """Drop facts from their blocks; their places stay, and their prints.

        Raises:
            BlockError: a block cannot be read.
        """
        going = deque(sorted(offsets))
        while going:
            found = self._block_at(going[0])
            if found is None:
                going.popleft()
                continue
            (start, block), gone = found, set()
            while going and going[0] < start + block.places:
                gone.add(going.popleft() - start)
            facts = unpack(block)
            left = {place: facts[place] for place in facts if place not in gone}
            self._db.execute("DELETE FROM fact_blocks WHERE start = ?", (start,))
            self._keys.pop(start, None)
            if left:
                self._insert(start, pack(left, block.places))

    def _insert(self, start: int, block: FactBlock) -> None:
        query = "INSERT INTO fact_blocks VALUES (?, ?, ?, ?)"
        self._db.execute(query, (start, *block))

    def _holds(self, key: bytes, wanted: int) -> bool:
        for each in range(wanted, wanted + PROBES):
            row = self._db.execute(_OFFSET, (each,)).fetchone()
            if row is None:
                return False
            try:
                if self._key_at(row[0]) == key:
                    return True
            except BlockError as error:
                self._warn(row[0], error)
        return False

    def _warn(self, offset: int, error: BlockError) -> None:
        """Say it once in a transaction: others of its facts may be asked for too."""
        if not self._warned:
            log.warning("block_not_read", offset=offset, error=str(error))
        self._warned = True

    def _key_at(self, offset: int) -> bytes | None:
        (start,) = self._db.execute(_START_AT, (offset,)).fetchone()
        if start not in self._keys:
            found = self._block_at(offset)
            if found is None:
                return None
            start, block = found
            facts = unpack(block)
            self._keys[start] = {place: each.key for place, each in facts.items()}
        return self._keys[start].get(offset - start)

    def _block_at(self, offset: int) -> tuple[int, FactBlock] | None:
        """Block that has a place for an offset, and where it begins."""
        row = self._db.execute(_BLOCK_AT, (offset,)).fetchone()
        if row is None:
            return None
        start, block = row[0], FactBlock.of(*row[1:])
        return (start, block) if offset < start + block.places else None

    def _print(self, prints: Sequence[tuple[int, int]]) -> None:
        if self._db.executemany(_PRINT, prints).rowcount == len(prints):
            return
        for first, offset in prints:
            for each in range(first, first + PROBES):
                if self._db.execute(_PRINT, (each, offset)).rowcount:
                    break
                if self._db.execute(_OFFSET, (each,)).fetchone() == (offset,):
                    break


def _secret(told: object) -> bytes:
    return str(told).encode()[:64]


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
