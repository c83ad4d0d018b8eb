"""The places in vendors' logs, each kept behind the page that it stands after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.ports.keyed_store import CURSOR, Put
from streams.services.ingest import until_written

if TYPE_CHECKING:
    from streams.ports.keyed_store import KeyedStore
    from streams.services.ingest import Intake
    from streams.services.intake import IntakeBatch


class KeptCursors:
    """Keeps one cursor a feed."""

    def __init__(self, kept: KeyedStore, ingest: Intake) -> None:
        """Keep them in a store, behind what is taken in."""
        self._kept = kept
        self._ingest = ingest

    async def load(self, name: str) -> bytes | None:
        """Cursor of a feed as its last reader left it; None: there is none."""
        await until_written(self._kept.catch_up)
        return self._kept.get(CURSOR, name)

    async def save(self, name: str, body: bytes) -> None:
        """Keep a first cursor; waits until it is durable."""
        await self._kept.put(CURSOR, name, body, patient=True)

    async def write(self, delivery: IntakeBatch, name: str, body: bytes) -> None:
        """Write what was read, then the cursor; waits until both are durable."""
        also = [Put(CURSOR, name, body)]
        await self._ingest.records(delivery, also, patient=True)
