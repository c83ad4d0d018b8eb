"""SCIM resources in the store: each in the transaction of the facts that changed it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streams.engines.embedded.ingest import Ingest
    from streams.engines.embedded.store import Store
    from streams.engines.embedded.transaction import Transaction
    from streams.services.intake import IntakeBatch


class StoredResources:
    """The table ``scim`` of the store."""

    def __init__(self, store: Store, ingest: Ingest) -> None:
        """Keep them in a store."""
        self._store = store
        self._ingest = ingest

    async def read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the table."""
        return await self._store.read(query, *values)

    async def write(
        self, delivery: IntakeBatch, row: tuple[Any, ...], *, gone: bool
    ) -> None:
        """Write the facts of a request with the resource that it changed."""

        def place(tx: Transaction) -> None:
            tx.set_scim(row, gone=gone)

        await self._ingest.records(delivery, place)
