"""Silences in the store; what ended is forgotten with the next order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from streams.stages.notify.silences import Silence, in_force

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.engines.embedded.store import Store
    from streams.engines.embedded.transaction import Transaction


class StoredSilences:
    """The silences of the realm.

    Attributes:
        changed: is told of each order.
    """

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        """Take up what the store holds.

        Args:
            store: of the realm.
            clock: gives the time (ns).
        """
        self._store = store
        self._clock = clock
        self.changed: Callable[[], None] = lambda: None
        rows = store.read_now("SELECT body FROM silences")
        found = (Silence.from_plain(orjson.loads(body)) for (body,) in rows)
        self._known = {each.id: each for each in found}

    def all(self) -> tuple[Silence, ...]:
        """Silences in force."""
        return in_force(self._known.values(), self._clock())

    async def put(self, silence: Silence) -> None:
        """Be silent from now on."""
        await self._write({each.id: each for each in (*self.all(), silence)})

    async def drop(self, name: str) -> None:
        """Be silent no longer."""
        await self._write({each.id: each for each in self.all() if each.id != name})

    async def _write(self, known: dict[str, Silence]) -> None:
        bodies = {name: orjson.dumps(each.to_plain()) for name, each in known.items()}

        def job(tx: Transaction) -> None:
            tx.set_silences(bodies)

        await self._store.write(job)
        self._known = known
        self.changed()
