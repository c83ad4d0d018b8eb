"""The health records of sources, in the store, over restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streams.engines.embedded.store import Store
    from streams.engines.embedded.transaction import Transaction


class SourceHealth:
    """Keeps one small record a source."""

    def __init__(self, store: Store) -> None:
        """Keep them in a store."""
        self._store = store

    async def load(self, name: str) -> bytes | None:
        """Record of a source, None where there is none."""
        query = "SELECT body FROM source_health WHERE name = ?"
        rows = await self._store.read(query, name)
        return bytes(rows[0][0]) if rows else None

    async def save(self, name: str, body: bytes) -> None:
        """Keep the record of a source; waits while there is no room for it."""

        def job(tx: Transaction) -> None:
            tx.put_source_health(name, body)

        await self._store.write_in_time(job)

    def of_others(self, name: str) -> list[bytes]:
        """Empty: there is no other process."""
        del name
        return []

    async def asked(self, name: str, state: str) -> None:
        """Do nothing: there is no other process to tell."""

    async def asked_elsewhere(self, name: str, state: str) -> bool:
        """Return False: there is no other process that asks."""
        del name, state
        return False
