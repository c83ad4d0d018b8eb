"""Keyed bodies in the table ``kept`` of the one SQLite file."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from typing import TYPE_CHECKING

from streams.engines.embedded.crossing import call_in
from streams.ports.fact_log import NotWrittenError
from streams.ports.keyed_store import KeyedStore, Put

if TYPE_CHECKING:
    from streams.engines.embedded.store import Commit, Store
    from streams.ports.keyed_store import Heard


class StoredBodies(KeyedStore):
    """The keyed bodies of a store; one object a store, since it hears all commits."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        for put in store.read_now("SELECT kind, name, body FROM kept"):
            self._hear(*put)
        store.listeners.append(self._committed)

    def follow(self, kind: str, heard: Heard) -> None:
        """Report in the event loop that runs now, whichever one writes."""
        loop = asyncio.get_running_loop()

        def there(name: str, body: bytes | None) -> None:
            call_in(loop, partial(heard, name, body))

        super().follow(kind, there)

    async def catch_up(self) -> None:
        """Wait for nothing: no other process writes to the file."""

    async def put(
        self, kind: str, name: str, body: bytes | None, *, patient: bool = False
    ) -> None:
        """Keep a body."""
        write = self._store.write_in_time if patient else self._store.write
        puts = [Put(kind, name, body)]
        try:
            await write(lambda tx: tx.keep(puts), urgent=True)
        except sqlite3.Error as error:
            raise NotWrittenError(str(error)) from error

    def _committed(self, commit: Commit) -> None:
        for put in commit.kept:
            self._hear(*put)
