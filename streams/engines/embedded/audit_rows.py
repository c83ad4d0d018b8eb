"""Acts of operators and signed heads, as rows of one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from streams.stages.audit.chain import pruning

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

    from streams.engines.embedded.chain import Chain


class AuditRows:
    """Adds to the audit; facts are chained as they are added to the log."""

    def __init__(self, db: sqlite3.Connection, chain: Chain) -> None:
        """Continue the audit chain in an open transaction."""
        self._db = db
        self._chain = chain

    def add_act(self, *, at: int, actor: str, action: str, detail: Any) -> None:
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
            act: who wants it, as `add_act` takes it.
        """
        sequence, last = self._chain.last()
        head = sign(sequence, last)
        sequences, ids = self._chain.prune(offsets)
        if sequences:
            self.put_head(sequence, head)
            self.add_act(**act, detail=pruning(sequences, ids, head))

    def put_head(self, sequence: int, head: str) -> None:
        """Keep the signed head of an entry of the audit chain."""
        query = "INSERT OR IGNORE INTO audit_heads VALUES (?, ?)"
        self._db.execute(query, (sequence, head))
