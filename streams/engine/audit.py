"""The audit chain in the file: entries beside what they speak of, heads each minute."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import orjson

from schemas.codec import decode_fact
from schemas.errors import SchemaError
from streams.audit_sinks import Sinks
from streams.stages.audit_chain import (
    START,
    Head,
    Place,
    act_entry,
    act_line,
    fact_entry,
    fact_line,
    hash_of,
)
from streams.times import SECOND

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator

    from agents_registry.facts import Fact
    from streams.audit_heads import HeadKey
    from streams.engine.store import Store
    from streams.engine.transaction import Transaction
    from streams.stages.audit_chain import Line

HEAD_SECONDS: Final = 60.0
_LAST: Final = "SELECT sequence, hash FROM audit_chain ORDER BY sequence DESC LIMIT 1"
_INSERT: Final = "INSERT INTO audit_chain VALUES (?, ?, ?, ?, ?)"
_PAGE: Final = (
    "SELECT c.sequence, c.genesis, c.hash, c.fact, f.key, f.value,"
    " a.offset, a.at, a.actor, a.action, a.detail, h.head,"
    " (SELECT hash FROM audit_chain WHERE sequence = c.sequence - 1)"
    " FROM audit_chain c LEFT JOIN facts f ON f.offset = c.fact"
    " LEFT JOIN audit a ON a.offset = c.act"
    " LEFT JOIN audit_heads h ON h.sequence = c.sequence"
    " WHERE c.sequence > ? ORDER BY c.sequence LIMIT ?"
)


class Chain:
    """Adds entries, in the transaction that is open on a connection."""

    def __init__(self, db: sqlite3.Connection, realm: str, genesis: str) -> None:
        """Write for a log."""
        self._db = db
        self._realm = realm
        self._genesis = genesis

    def add_facts(self, rows: Iterable[tuple[int, str, bytes, Fact]]) -> None:
        """Add entries of facts: offset, key, value and what that says."""
        sequence, previous = self._last()
        entries = []
        for offset, key, value, fact in rows:
            place = Place(self._genesis, self._realm, offset)
            previous = hash_of(fact_entry(previous, place, key, value, fact))
            sequence += 1
            entries.append((sequence, self._genesis, offset, None, previous))
        self._db.executemany(_INSERT, entries)

    def add_act(
        self, offset: int, *, at: int, actor: str, action: str, detail: bytes
    ) -> None:
        """Add the entry of an operator's act."""
        sequence, previous = self._last()
        place = Place(self._genesis, self._realm, offset)
        entry = act_entry(
            previous,
            place,
            at=at,
            actor=actor,
            action=action,
            detail=orjson.loads(detail),
        )
        row = (sequence + 1, self._genesis, None, offset, hash_of(entry))
        self._db.execute(_INSERT, row)

    def catch_up(self) -> None:
        """Add what a version without a chain wrote: facts, then acts."""
        query = (
            "SELECT offset, key, value FROM facts WHERE offset >"
            " (SELECT coalesce(max(fact), -1) FROM audit_chain) ORDER BY offset"
        )
        rows = self._db.execute(query).fetchall()
        self.add_facts((*row, decode_fact(row[2])) for row in rows)
        query = (
            "SELECT offset, at, actor, action, detail FROM audit WHERE offset >"
            " (SELECT coalesce(max(act), 0) FROM audit_chain) ORDER BY offset"
        )
        acts = self._db.execute(query).fetchall()
        for offset, at, actor, action, detail in acts:
            self.add_act(offset, at=at, actor=actor, action=action, detail=detail)

    def _last(self) -> tuple[int, str]:
        return self._db.execute(_LAST).fetchone() or (0, START)


class Audit:
    """Signs heads, and reads the chain for those who verify it."""

    def __init__(
        self,
        store: Store,
        realm: str,
        key: HeadKey,
        clock: Callable[[], int],
        sinks: Sinks | None = None,
    ) -> None:
        """Read a store; ``clock`` gives the time (ns), sinks keep heads outside."""
        self._store = store
        self.realm = realm
        self._key = key
        self._clock = clock
        self._sinks = sinks or Sinks()

    async def run(self) -> None:
        """Sign the head each minute when it moved.

        It goes outside too: kept elsewhere, it is what the owner of this machine
        cannot take back.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sinks.run())
            while True:
                await self.sign()
                await asyncio.sleep(HEAD_SECONDS)

    async def sign(self) -> None:
        """Sign the head, where none is signed yet, and keep it."""
        sequence, last = await self._last()
        query = "SELECT 1 FROM audit_heads WHERE sequence = ?"
        if not sequence or await self._store.read(query, sequence):
            return
        head = self._signed(sequence, last)

        def job(tx: Transaction) -> None:
            tx.put_audit_head(sequence, head)

        await self._store.write_in_time(job)
        self._sinks.take(self.realm, sequence, head)

    async def page(self, after: int, limit: int) -> tuple[list[Line], int | None]:
        """Give lines of an export, and after which entry the next page begins.

        The last page ends with a signed head, and has no next one.
        """
        rows = await self._store.read(_PAGE, after, limit + 1)
        # Guards must get their pongs while many facts are read.
        lines = await asyncio.to_thread(self._lines, rows[:limit])
        if len(rows) > limit:
            return lines, rows[limit - 1][0]
        if not lines or "head" not in lines[-1]:
            if rows:
                last = (rows[-1][0], rows[-1][2])
            else:
                last = await self._last()
            lines.append({"head": self._signed(*last)})
        return lines, None

    async def _last(self) -> tuple[int, str]:
        rows = await self._store.read(_LAST)
        return (rows[0][0], rows[0][1]) if rows else (0, START)

    def _signed(self, sequence: int, last: str) -> str:
        at = self._clock() // SECOND
        head = Head(self.realm, self._store.genesis, sequence, last, at)
        return self._key.sign(head)

    def _lines(self, rows: list[tuple[Any, ...]]) -> list[Line]:
        return [line for row in rows for line in self._told(row)]

    def _told(self, row: tuple[Any, ...]) -> Iterator[Line]:
        sequence, genesis, hash_, offset, key, value, *act, head, previous = row
        previous = previous or START
        if key is not None:
            place = Place(genesis, self.realm, offset)
            try:
                fact = decode_fact(value)
            except SchemaError:
                yield act_line(sequence, None, hash_)
            else:
                entry = fact_entry(previous, place, key, value, fact)
                yield fact_line(sequence, entry, hash_, value, fact)
        elif act[0] is not None:
            at, actor, action, detail = act[1:]
            place = Place(genesis, self.realm, act[0])
            entry = act_entry(
                previous,
                place,
                at=at,
                actor=actor,
                action=action,
                detail=orjson.loads(detail),
            )
            yield act_line(sequence, entry, hash_)
        else:
            yield act_line(sequence, None, hash_)
        if head is not None:
            yield {"head": head}
