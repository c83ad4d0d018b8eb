"""Records of facts, accesses and signals, as rows of one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from streams.engines.embedded.packed_copies import NOTHING, LookTime, PackedCopies
from streams.engines.embedded.packed_facts import PackedFacts
from streams.engines.embedded.short_rows import DONE, ShortenedRows
from streams.observability.failpoints import failpoint

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from agents_registry.facts import Fact
    from streams.engines.embedded.chain import Chain
    from streams.engines.embedded.packed_copies import KnownCopies
    from streams.engines.embedded.packed_facts import MergedBlock, PreparedBlock
    from streams.ports.fact_log import Encoded


_HAS: Final = "SELECT 1 FROM recent_facts WHERE key = ?"
_ADD: Final = (
    "INSERT INTO recent_facts VALUES (?, ?, ?, ?) ON CONFLICT (key) DO NOTHING"
)
_TEXT: Final = (
    "SELECT offset, key FROM recent_facts WHERE offset >= ? AND offset < ?"
    " AND typeof(key) = 'text'"
)


class Written(NamedTuple):
    """A fact that a commit added to the log."""

    offset: int
    fact: Fact


class LogRows:
    """Adds to the logs; offsets have no gaps, also when a job fails.

    Attributes:
        start: offset of the next fact when the transaction began.
        end: offset of the next fact.
        access_end: of the next block of accesses.
        signals_end: of the next signal.
        written: facts that were added.
    """

    def __init__(
        self, db: sqlite3.Connection, chain: Chain, ends: tuple[int, int, int]
    ) -> None:
        """Continue the logs at their next offsets, see `ends`, and the audit chain."""
        self._db = db
        self._chain = chain
        self.end, self.access_end, self.signals_end = ends
        self.start = self.end
        self.written: list[Written] = []
        self._looking = LookTime()

    def ends(self) -> tuple[int, int, int]:
        """Next offsets of facts, access and signals."""
        return self.end, self.access_end, self.signals_end

    def back_to(self, ends: tuple[int, int, int]) -> None:
        """Forget what was added since the logs ended there."""
        del self.written[ends[0] - self.start :]
        self.end, self.access_end, self.signals_end = ends

    def add_facts(self, facts: Iterable[Encoded], known: KnownCopies = NOTHING) -> int:
        """Append facts; a copy whose key the log holds is not written twice.

        Args:
            facts: with their keys and values.
            known: which of them were looked for among packed facts.

        Returns:
            How many were new.

        Raises:
            CopiesAsideError: they are to be looked for elsewhere first.
        """
        before, chained = self.end, []
        mixed, some = self._chain.mixed, list(facts)
        short = [self._chain.short(key) for key, *_ in some]
        packed = PackedCopies(self._read).held(short, known, self._looking)
        for stored, (key, value, fact) in zip(short, some, strict=True):
            if stored in packed:
                continue
            if mixed and self._db.execute(_HAS, (key,)).fetchone():
                continue
            cursor = self._db.execute(_ADD, (self.end, stored, value, fact.received_at))
            if cursor.rowcount:
                self.written.append(Written(self.end, fact))
                chained.append((self.end, key, value, fact))
                self.end += 1
                failpoint("store.fact_written")
        if chained:
            self._chain.add_facts(chained)
        return self.end - before

    def _read(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return self._db.execute(query, values).fetchall()

    def put_block(self, made: PreparedBlock) -> bool:
        """Have a block in the place of rows; see `PackedFacts.put`."""
        return PackedFacts(self._db).put(made, self._chain.short)

    def put_merged(self, made: MergedBlock) -> bool:
        """Have a block in the place of its neighbours; see `PackedFacts.merge`."""
        return PackedFacts(self._db).merge(made)

    def shorten(self, start: int, count: int) -> ShortenedRows:
        """Write keys in bytes that are text, of some offsets from one on."""
        end = start + count
        rows = self._db.execute(_TEXT, (start, end)).fetchall()
        short = [(self._chain.short(key), offset) for offset, key in rows]
        query = "UPDATE recent_facts SET key = ? WHERE offset = ?"
        self._db.executemany(query, short)
        return ShortenedRows(end if end < self.end else None, len(short))

    def note_short(self) -> None:
        """Note that all keys are as they are written today."""
        self._db.execute("INSERT OR IGNORE INTO meta VALUES (?, '')", (DONE,))
        self._chain.mixed = False

    def add_access(self, block: bytes, received_at: int) -> None:
        """Append one block of access lines."""
        row = (self.access_end, received_at, block)
        self._db.execute("INSERT INTO access VALUES (?, ?, ?)", row)
        self.access_end += 1

    def add_signals(self, signals: Iterable[Mapping[str, Any]]) -> None:
        """Append what ingress saw and a later stage makes findings of."""
        for signal in signals:
            row = (self.signals_end, orjson.dumps(signal))
            self._db.execute("INSERT INTO signals VALUES (?, ?)", row)
            self.signals_end += 1

    def forget_signals(self, below: int) -> None:
        """Drop signals that became findings; the last one keeps the next offset."""
        query = "DELETE FROM signals WHERE offset < ?"
        self._db.execute(query, (min(below, self.signals_end - 1),))

    def forget_access(self, below: int, received_before: int) -> None:
        """Drop access blocks that are judged and old; the last one stays."""
        self._db.execute(
            "DELETE FROM access WHERE offset < ? AND received_at < ?",
            (min(below, self.access_end - 1), received_before),
        )
