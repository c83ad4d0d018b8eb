"""What waits for a second person, in the store of the embedded server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streams.engines.embedded.store import Store


class StoredPendingStore:
    """The table ``pending``."""

    def __init__(self, store: Store) -> None:
        """Keep it in a store."""
        self._store = store

    async def all(self) -> list[bytes]:
        """All waiting acts."""
        rows = await self._store.read("SELECT body FROM pending")
        return [bytes(body) for (body,) in rows]

    async def put(self, identity: str, body: bytes) -> None:
        """Keep one."""
        await self._store.write(lambda tx: tx.put_pending(identity, body), urgent=True)

    async def forget(self, identity: str) -> None:
        """Keep it no longer."""
        await self._store.write(lambda tx: tx.forget_pending(identity), urgent=True)
