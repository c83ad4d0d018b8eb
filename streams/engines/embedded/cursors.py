"""The places in vendors' logs, in the store: each in the transaction of its page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streams.engines.embedded.ingest import Ingest
    from streams.engines.embedded.store import Store
    from streams.engines.embedded.transaction import Transaction
    from streams.services.intake import IntakeBatch


class StoredCursors:
    """Keeps one cursor a feed."""

    def __init__(self, store: Store, ingest: Ingest) -> None:
        """Keep them in a store."""
        self._store = store
        self._ingest = ingest

    async def load(self, name: str) -> bytes | None:
        """Cursor of a feed, None where there is none."""
        query = "SELECT body FROM cursors WHERE name = ?"
        rows = await self._store.read(query, name)
        return bytes(rows[0][0]) if rows else None

    async def save(self, name: str, body: bytes) -> None:
        """Keep a first cursor; waits while there is no room for it."""
        await self._store.write_in_time(
            lambda tx: tx.set_cursor(name, body), urgent=True
        )

    async def write(self, delivery: IntakeBatch, name: str, body: bytes) -> None:
        """Write what was read, with the cursor after it."""

        def place(tx: Transaction) -> None:
            tx.set_cursor(name, body)

        await self._ingest.records(delivery, place, patient=True)
