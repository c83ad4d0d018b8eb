"""What a job may write, all of it in the one transaction that it runs in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from streams.engines.embedded import dead_letters
from streams.engines.embedded.stage_rows import StageRows
from streams.observability.failpoints import failpoint
from streams.stages.audit.chain import pruning

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from agents_registry.facts import Fact
    from streams.engines.embedded.chain import Chain
    from streams.model.records import DeadLetter
    from streams.ports.fact_log import Encoded
    from streams.ports.keyed_store import Put


class Written(NamedTuple):
    """A fact that a commit added to the log."""

    offset: int
    fact: Fact


class Mark(NamedTuple):
    """A place in a transaction to go back to."""

    end: int
    access_end: int
    signals_end: int
    written: int
    kept: int
    dead_letters: int


class Transaction(StageRows):
    """One open transaction; offsets have no gaps, also when a job fails."""

    def __init__(
        self,
        db: sqlite3.Connection,
        chain: Chain,
        ends: tuple[int, int, int],
    ) -> None:
        """Continue the logs at their next offsets, see `ends`, and the audit chain."""
        super().__init__(db)
        self._chain = chain
        end, access_end, signals_end = ends
        self.start = end
        self.end = end
        self.access_end = access_end
        self.signals_end = signals_end
        self.written: list[Written] = []
        self.kept: list[Put] = []
        self.dead_letters = 0

    def ends(self) -> tuple[int, int, int]:
        """Next offsets of facts, access and signals."""
        return self.end, self.access_end, self.signals_end

    def mark(self) -> Mark:
        """Set a savepoint."""
        self._db.execute("SAVEPOINT job")
        return Mark(*self.ends(), len(self.written), len(self.kept), self.dead_letters)

    def back_to(self, mark: Mark) -> None:
        """Undo everything since the savepoint."""
        self._db.execute("ROLLBACK TO job")
        self.release()
        self.end, self.access_end, self.signals_end = mark[:3]
        del self.written[mark.written :]
        del self.kept[mark.kept :]
        self.dead_letters = mark.dead_letters

    def release(self) -> None:
        """Drop the savepoint; what was written stays in the transaction."""
        self._db.execute("RELEASE job")

    def add_facts(self, facts: Iterable[Encoded]) -> int:
        """Append facts; a copy whose key the log holds is not written twice.

        Returns:
            How many were new.
        """
        before, chained = self.end, []
        for key, value, fact in facts:
            cursor = self._db.execute(
                "INSERT INTO facts VALUES (?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
                (self.end, key, value, fact.received_at),
            )
            if cursor.rowcount:
                self.written.append(Written(self.end, fact))
                chained.append((self.end, key, value, fact))
                self.end += 1
                failpoint("store.fact_written")
        if chained:
            self._chain.add_facts(chained)
        return self.end - before

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

    def add_dead_letters(
        self,
        letters: Sequence[DeadLetter],
        *,
        authority: str,
        at: int,
        single: bool = False,
    ) -> None:
        """Keep why bytes could not be used; see `dead_letters.add`."""
        self.dead_letters += dead_letters.add(
            self._db, letters, authority, at, single=single
        )

    def forget_dead_letters(self, before: int, most: int) -> int:
        """Delete old ones and what is above ``most``; see `dead_letters.forget`."""
        return dead_letters.forget(self._db, before, most)

    def add_invalidations(self, rows: Iterable[tuple[str, str]], as_of: int) -> None:
        """Append (identifier, cause) pairs; a repeated pair is written once."""
        self._db.executemany(
            "INSERT INTO invalidations (identifier, cause, as_of) VALUES (?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            [(identifier, cause, as_of) for identifier, cause in rows],
        )

    def add_audit(self, *, at: int, actor: str, action: str, detail: Any) -> None:
        """Append a line on what an operator did, and chain it."""
        body = orjson.dumps(detail)
        query = (
            "INSERT INTO audit (at, actor, action, detail) VALUES (?, ?, ?, ?)"
            " RETURNING offset"
        )
        values = (at, actor, action, body)
        (offset,) = self._db.execute(query, values).fetchone()
        self._chain.add_act(offset, at=at, actor=actor, action=action, detail=body)

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
            act: who wants it, as `add_audit` takes it.
        """
        sequence, last = self._chain.last()
        head = sign(sequence, last)
        sequences, ids = self._chain.prune(offsets)
        if sequences:
            self.put_audit_head(sequence, head)
            self.add_audit(**act, detail=pruning(sequences, ids, head))

    def put_audit_head(self, sequence: int, head: str) -> None:
        """Keep the signed head of an entry of the audit chain."""
        query = "INSERT OR IGNORE INTO audit_heads VALUES (?, ?)"
        self._db.execute(query, (sequence, head))

    def keep(self, puts: Iterable[Put]) -> None:
        """Keep bodies under their kinds and names; None forgets one."""
        for put in puts:
            if put.body is None:
                query = "DELETE FROM kept WHERE kind = ? AND name = ?"
                self._db.execute(query, put[:2])
            else:
                self._db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", put)
            self.kept.append(put)

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
