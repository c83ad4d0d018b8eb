"""The audit in the file: acts, signed heads, and entries beside what they speak of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from agents_registry.facts import fact_id
from schemas.codec import decode_fact
from streams.engines.embedded.fact_rows import facts_between
from streams.engines.embedded.packed_facts import PackedFacts
from streams.engines.embedded.short_rows import (
    GENESIS,
    HASH,
    ShortenedRows,
    is_short,
    key_text,
    number_of,
    short_key,
)
from streams.stages.audit.chain import (
    START,
    RecordPlace,
    act_entry,
    fact_entry,
    hash_of,
    pruning,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

    from agents_registry.facts import Fact

LAST: Final = (
    f"SELECT sequence, {HASH.format('hash')} FROM audit_chain"  # noqa: S608 - constant
    " ORDER BY sequence DESC LIMIT 1"
)
_INSERT: Final = "INSERT INTO audit_chain VALUES (?, ?, ?, ?, ?)"
# The last fact stays: by it a restart knows the next offset.
_GOING: Final = (
    f"SELECT c.sequence, {GENESIS}, c.fact, f.key, f.value,"  # noqa: S608 - constant
    f" (SELECT {HASH.format('hash')} FROM audit_chain WHERE sequence = c.sequence - 1)"
    " FROM audit_chain c LEFT JOIN recent_facts f ON f.offset = c.fact"
    " WHERE c.fact IN (SELECT value FROM json_each(?))"
    " AND c.fact < (SELECT max(offset) FROM recent_facts) ORDER BY c.sequence"
)

_TEXT: Final = (
    "SELECT sequence, genesis, hash FROM audit_chain"
    " WHERE sequence >= ? AND sequence < ?"
    " AND (typeof(hash) = 'text' OR length(genesis) > 9)"
)


class Chain:
    """Adds entries, in the transaction that is open on a connection.

    Attributes:
        mixed: keys may be text that are bytes today.
    """

    def __init__(self, db: sqlite3.Connection, realm: str, genesis: str) -> None:
        self._db = db
        self._realm = realm
        self._genesis = genesis
        self._number = number_of(db, genesis)
        self.mixed = not is_short(db)

    def short(self, key: str) -> bytes | str:
        """Key of a fact as its row has it."""
        return short_key(self._realm, key)

    def shorten(self, start: int, count: int) -> ShortenedRows:
        """Write entries shorter that are long, of some numbers from one on."""
        end = start + count
        rows = self._db.execute(_TEXT, (start, end)).fetchall()
        numbers = {genesis: number_of(self._db, genesis) for _, genesis, _ in rows}
        short = [
            (numbers[genesis], _bytes(told), sequence)
            for sequence, genesis, told in rows
        ]
        query = "UPDATE audit_chain SET genesis = ?, hash = ? WHERE sequence = ?"
        self._db.executemany(query, short)
        return ShortenedRows(end if end <= self.last()[0] else None, len(short))

    def add_facts(self, rows: Iterable[tuple[int, str, bytes, Fact]]) -> None:
        """Add entries of facts: offset, key, value and what that says."""
        sequence, previous = self.last()
        entries = []
        for offset, key, value, fact in rows:
            place = RecordPlace(self._genesis, self._realm, offset)
            previous = hash_of(fact_entry(previous, place, key, value, fact))
            sequence += 1
            entries.append((sequence, self._number, offset, None, _bytes(previous)))
        self._db.executemany(_INSERT, entries)

    def add_act(self, *, at: int, actor: str, action: str, detail: Any) -> None:
        """Append a line on what an operator did, and chain it."""
        values = (at, actor, action, orjson.dumps(detail))
        query = (
            "INSERT INTO audit (at, actor, action, detail) VALUES (?, ?, ?, ?)"
            " RETURNING offset"
        )
        (offset,) = self._db.execute(query, values).fetchone()
        self._chain_act(offset, *values)

    def put_head(self, sequence: int, head: str) -> None:
        """Keep the signed head of an entry."""
        query = "INSERT OR IGNORE INTO audit_heads VALUES (?, ?)"
        self._db.execute(query, (sequence, head))

    def _chain_act(
        self, offset: int, at: int, actor: str, action: str, detail: bytes
    ) -> None:
        sequence, previous = self.last()
        place = RecordPlace(self._genesis, self._realm, offset)
        entry = entry_of_act(previous, place, at, actor, action, detail)
        row = (sequence + 1, self._number, None, offset, _bytes(hash_of(entry)))
        self._db.execute(_INSERT, row)

    def catch_up(self) -> None:
        """Add what a version without a chain wrote: facts, then acts."""
        query = (
            "SELECT offset, key, value FROM recent_facts"
            " WHERE offset > coalesce((SELECT fact"
            " FROM audit_chain WHERE fact NOT NULL ORDER BY sequence DESC LIMIT 1), -1)"
            " ORDER BY offset"
        )
        rows = self._db.execute(query).fetchall()
        self.add_facts(
            (offset, key_text(self._realm, key), value, decode_fact(value))
            for offset, key, value in rows
        )
        query = (
            "SELECT offset, at, actor, action, detail FROM audit WHERE offset >"
            " (SELECT coalesce(max(act), 0) FROM audit_chain WHERE act NOT NULL)"
            " ORDER BY offset"
        )
        for act in self._db.execute(query).fetchall():
            self._chain_act(*act)

    def prune_facts(
        self,
        offsets: Iterable[int],
        sign: Callable[[int, str], str],
        **act: Any,
    ) -> None:
        """Delete facts, and say so in the chain with the head just before.

        Args:
            offsets: of the facts.
            sign: gives the signed head of an entry, by its number and hash.
            act: who wants it, as `add_act` takes it.
        """
        sequence, last = self.last()
        head = sign(sequence, last)
        sequences, ids = self._prune(offsets)
        if sequences:
            self.put_head(sequence, head)
            self.add_act(**act, detail=pruning(sequences, ids, head))

    def _prune(self, offsets: Iterable[int]) -> tuple[list[int], list[str]]:
        """Delete facts and keep their entries; give the entries' numbers and the ids.

        An act says so, else the chain does not hold any more.
        """
        kept, gone, ids = [], [], []
        rows = self._db.execute(_GOING, (orjson.dumps(list(offsets)),)).fetchall()
        for sequence, genesis, offset, *stored, previous in rows:
            found = stored if stored[0] is not None else self._packed(offset)
            if found is None:
                continue  # it is gone already
            key, value = found
            fact = decode_fact(value)
            place = RecordPlace(genesis, self._realm, offset)
            told = key_text(self._realm, key)
            entry = fact_entry(previous or START, place, told, value, fact)
            kept.append((sequence, orjson.dumps(entry)))
            gone.append(offset)
            ids.append(fact_id(fact).hex())
        self._db.executemany("INSERT INTO audit_pruned VALUES (?, ?)", kept)
        query = "DELETE FROM recent_facts WHERE offset = ?"
        self._db.executemany(query, [(offset,) for offset in gone])
        PackedFacts(self._db).forget(gone)
        return [sequence for sequence, _ in kept], ids

    def _packed(self, offset: int) -> tuple[bytes | str, bytes] | None:
        found = facts_between(self._read, offset, offset + 1, 1, keys=True)
        return found[0][1:] if found else None

    def _read(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return self._db.execute(query, values).fetchall()

    def last(self) -> tuple[int, str]:
        """Return the number and hash of the last entry."""
        return self._db.execute(LAST).fetchone() or (0, START)


def entry_of_act(
    previous: str, place: RecordPlace, at: int, actor: str, action: str, detail: bytes
) -> dict[str, Any]:
    """Entry of an act as its row has it; see `act_entry`."""
    said = orjson.loads(detail)
    return act_entry(previous, place, at=at, actor=actor, action=action, detail=said)


def _bytes(told: str | bytes) -> bytes:
    return bytes.fromhex(told) if isinstance(told, str) else told
