"""Status lists of the embedded server, in its file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from streams.engines.embedded.status_rows import NewList
from streams.ports.fact_log import token_of
from streams.services.status_entries import Known, StatusPlace, judged
from streams.stages.status.status_list import StatusEntry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from streams.engines.embedded.analysis import Analysis
    from streams.engines.embedded.stages import Stages
    from streams.engines.embedded.store import Store
    from streams.engines.embedded.transaction import Transaction
    from streams.stages.status.status_list import StatusList

PAGE: Final = 500  # entries read at once
MOST_LISTS: Final = 100_000
_KNOWN: Final = "number, name, bits, size, created_at"  # fields of `Known`


class StoredStatusEntries:
    """The lists of one store."""

    def __init__(
        self,
        store: Store,
        stages: Stages,
        clock: Callable[[], int],
        fresh_id: Callable[[], str],
        draw: Callable[[int], int],
        analysis: Analysis,
    ) -> None:
        """Keep lists in a store.

        Args:
            store: where entries lie.
            stages: whose table judges them.
            clock: gives the time (ns).
            fresh_id: gives unique names.
            draw: gives an unpredictable number below another one.
            analysis: the event loop of the stages.
        """
        self._analysis = analysis
        self._store = store
        self._stages = stages
        self._clock = clock
        self._fresh_id = fresh_id
        self._draw = draw

    async def give(self, entry: StatusEntry, bits: int, size: int) -> StatusPlace:
        """Assign an index to an entry; the same is never assigned again.

        Args:
            entry: the credential.
            bits: of a status, where a new list is begun.
            size: how many indices a new list has.

        Raises:
            StoreBusyError: too much waits to be written.
            sqlite3.Error: the file could not be written.
        """
        body = orjson.dumps(entry.to_plain())
        new = NewList(
            name=self._fresh_id(),
            genesis=self._store.genesis,
            bits=bits,
            size=size,
            at=self._clock(),
            draw=self._draw,
        )

        def job(tx: Transaction) -> StatusPlace:
            return StatusPlace(*tx.add_status_entry(body, new))

        return await self._store.write(job, urgent=True)

    async def lists(self) -> list[Known]:
        """Every list, the oldest first."""
        query = f"SELECT {_KNOWN} FROM status_lists ORDER BY number LIMIT ?"  # noqa: S608
        rows = await self._store.read(query, MOST_LISTS)
        return [Known(*row) for row in rows]

    async def find(self, name: str) -> Known | None:
        """List by its name, if there is one."""
        query = f"SELECT {_KNOWN} FROM status_lists WHERE name = ? LIMIT 1"  # noqa: S608
        rows = await self._store.read(query, name)
        return Known(*rows[0]) if rows else None

    async def catch_up(self) -> str:
        """Wait until the table holds all that was accepted by now; give its token."""
        end = self._store.end
        await self._stages.loaded.wait()
        await self._stages.wait_applied(end)
        return token_of(self._store.genesis, end)

    async def statuses(self, known: Known, at: int | None) -> StatusList:
        """Judge every entry of a list; see `StatusEntries.statuses`.

        In the event loop of the stages: a fact that is half applied could hide a cause.
        """
        return await self._analysis.run(self._judged, known, at)

    async def _judged(self, known: Known, at: int | None) -> StatusList:
        entries = self._entries(known)
        return await judged(
            known, entries, lambda: self._stages.registry, self._clock(), at
        )

    async def _entries(self, known: Known) -> AsyncIterator[tuple[int, StatusEntry]]:
        query = (
            "SELECT idx, body FROM status_entries WHERE list = ? AND idx > ?"
            " ORDER BY idx LIMIT ?"
        )
        last = -1
        while rows := await self._store.read(query, known.number, last, PAGE):
            for index, body in rows:
                yield index, StatusEntry.from_plain(orjson.loads(body))
            last = rows[-1][0]
