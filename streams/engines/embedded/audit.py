"""The audit chain of the file: signed heads each minute, and pages for who verifies."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import orjson

from schemas.codec import decode_fact
from schemas.errors import SchemaError
from streams.engines.embedded.chain import LAST, entry_of_act
from streams.engines.embedded.short_rows import GENESIS, HASH, key_text
from streams.model.times import SECOND
from streams.services.audit_sinks import Sinks
from streams.stages.audit.chain import (
    START,
    Head,
    RecordPlace,
    act_line,
    fact_entry,
    fact_line,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterator

    from streams.engines.embedded.store import Store
    from streams.engines.embedded.transaction import Transaction
    from streams.services.audit_heads import HeadKey
    from streams.stages.audit.chain import Line

HEAD_SECONDS: Final = 60.0
_PAGE: Final = (
    f"SELECT c.sequence, {GENESIS}, {HASH.format('c.hash')}, c.fact, f.key, f.value,"  # noqa: S608 - constant
    " a.offset, a.at, a.actor, a.action, a.detail, p.entry, h.head,"
    f" (SELECT {HASH.format('hash')} FROM audit_chain WHERE sequence = c.sequence - 1)"
    " FROM audit_chain c LEFT JOIN facts f ON f.offset = c.fact"
    " LEFT JOIN audit a ON a.offset = c.act"
    " LEFT JOIN audit_pruned p ON p.sequence = c.sequence"
    " LEFT JOIN audit_heads h ON h.sequence = c.sequence"
    " WHERE c.sequence > ? ORDER BY c.sequence LIMIT ?"
)


class AuditSigner:
    """Signs heads, and reads the chain for those who verify it.

    Attributes:
        public_key: of what signs here (PEM).
        signed_at: when the end of the chain had a signed head, as far as is known (ns);
            before the first one, when this was made.
    """

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
        self.public_key = key.public_pem()
        self._clock = clock
        self._sinks = sinks or Sinks()
        self.signed_at = clock()

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
        now = self._clock()
        sequence, last = await self._last()
        query = "SELECT 1 FROM audit_heads WHERE sequence = ?"
        if not sequence or await self._store.read(query, sequence):
            self.signed_at = now
            return
        head = self._signed(sequence, last)

        def job(tx: Transaction) -> None:
            tx.audit.put_head(sequence, head)

        await self._store.write_in_time(job)
        self._sinks.take(self.realm, sequence, head)
        self.signed_at = now

    async def prune(self, offsets: Collection[int], *, actor: str, action: str) -> None:
        """Delete facts; the chain goes on, with an act that says which, and why.

        Which facts may be forgotten is for the caller to know. The last one of the
        log stays in any case.

        Args:
            offsets: of the facts.
            actor: who wants it.
            action: what it is called, and why.
        """

        def job(tx: Transaction) -> None:
            at = self._clock()
            tx.audit.prune_facts(
                offsets, self._signed, at=at, actor=actor, action=action
            )

        await self._store.write_in_time(job)

    async def page(
        self, after: int, limit: int, realm: str | None = None
    ) -> tuple[list[Line], int | None]:
        """Lines of an export, and the entry after which the next page begins.

        The last page ends with a signed head, and has no next one.
        """
        if realm not in {None, self.realm}:
            return [], None
        rows = await self._store.read(_PAGE, after, limit + 1)
        # Guards must get their pongs while many facts are read.
        lines = await asyncio.to_thread(self._lines, rows[:limit])
        lines += await self._unchained(after, rows[:limit])
        if len(rows) > limit:
            return lines, rows[limit - 1][0]
        if not lines or "head" not in lines[-1]:
            if rows:
                last = (rows[-1][0], rows[-1][2])
            else:
                last = await self._last()
            lines.append({"head": self._signed(*last)})
        return lines, None

    async def last_head(self, realm: str | None = None) -> str | None:
        """Head of the last entry, signed now; None where there is no entry."""
        if realm not in {None, self.realm}:
            return None
        sequence, last = await self._last()
        return self._signed(sequence, last) if sequence else None

    async def _last(self) -> tuple[int, str]:
        rows = await self._store.read(LAST)
        return (rows[0][0], rows[0][1]) if rows else (0, START)

    def _signed(self, sequence: int, last: str) -> str:
        at = self._clock() // SECOND
        head = Head(self.realm, self._store.genesis, sequence, last, at)
        return self._key.sign(head)

    async def _unchained(self, after: int, rows: list[tuple[Any, ...]]) -> list[Line]:
        """Name the facts between those of a page that have no entry."""
        chained = [row[3] for row in rows if row[3] is not None]
        if not chained:
            return []
        query = (
            "SELECT coalesce(max(fact), -1) FROM (SELECT fact FROM audit_chain"
            " WHERE sequence <= ? AND fact NOT NULL ORDER BY sequence DESC LIMIT 1)"
        )
        ((before,),) = await self._store.read(query, after)
        query = "SELECT offset, key FROM facts WHERE offset > ? AND offset < ?"
        found = await self._store.read(query, before, chained[-1])
        known = set(chained)
        return [
            {"unchained": {"offset": offset, "key": key_text(self.realm, key)}}
            for offset, key in found
            if offset not in known
        ]

    def _lines(self, rows: list[tuple[Any, ...]]) -> list[Line]:
        return [line for row in rows for line in _told(self.realm, row)]


def lines_of(db: sqlite3.Connection, realm: str) -> Iterator[Line]:
    """All lines of the chain of a file that no server has open."""
    for row in db.execute(_PAGE, (0, -1)):
        yield from _told(realm, row)


def _told(realm: str, row: tuple[Any, ...]) -> Iterator[Line]:
    """Line of an entry, and that of the head which signs it."""
    sequence, genesis, hash_, offset, key, value, *act, bare, head, previous = row
    previous = previous or START
    if key is not None:
        place = RecordPlace(genesis, realm, offset)
        try:
            fact = decode_fact(value)
        except SchemaError:
            yield act_line(sequence, None, hash_)
        else:
            told = key_text(realm, key)
            entry = fact_entry(previous, place, told, value, fact)
            yield fact_line(sequence, entry, hash_, value, fact)
    elif act[0] is not None:
        entry = entry_of_act(previous, RecordPlace(genesis, realm, act[0]), *act[1:])
        yield act_line(sequence, entry, hash_)
    else:
        # Pruned, or gone without a word.
        kept = None if bare is None else orjson.loads(bare)
        yield act_line(sequence, kept, hash_)
    if head is not None:
        yield {"head": head}
