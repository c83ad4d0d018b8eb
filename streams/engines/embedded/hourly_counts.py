"""What was revoked, denied and found, by hour, out of the file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson

from streams.engines.embedded import hour_rows
from streams.model.times import SECOND
from streams.ports.table_reader import UnknownRealmError
from streams.services.hourly_counts import HourlyTotals
from streams.stages.closure.denials import CountedDenials, DenialTimes

if TYPE_CHECKING:
    from streams.engines.embedded.closures import Closures
    from streams.engines.embedded.hour_rows import CountedRows
    from streams.engines.embedded.store import Store
    from streams.process.aside import Aside


class StoredCounts:
    """Counts of the one realm of a store.

    They are read where neither guards nor events wait: all of a file takes long.
    """

    def __init__(self, store: Store, realm: str, aside: Aside) -> None:
        self._store = store
        self._realm = realm
        self._aside = aside

    def waiting(self, _: float) -> list[str]:
        """Nothing: the file is there."""
        return []

    async def answer(self, realm: str, since: int, step: int) -> dict[str, Any]:
        """Count for a realm since a time (s since 1970).

        Raises:
            UnknownRealmError: it is another one.
        """
        if realm != self._realm:
            raise UnknownRealmError

        async def counted() -> dict[str, Any]:
            causes = await self._store.read(hour_rows.CAUSES, since)
            findings = await self._store.read(hour_rows.FINDINGS, since)
            total = HourlyTotals(since, step)
            return await asyncio.to_thread(summed, total, causes, findings)

        return await self._aside(counted)


class StoredDenials:
    """How soon guards denied what a store has causes of."""

    def __init__(self, store: Store, closures: Closures, aside: Aside) -> None:
        self._store = store
        self._closures = closures
        self._aside = aside

    async def __call__(self, since: int, step: int) -> CountedDenials:
        """Count all that is known by now; the file has every cause."""
        await self._closures.save()

        async def counted() -> CountedDenials:
            rows = await self._store.read(hour_rows.DENIALS, since // SECOND)
            times = DenialTimes(since, step)
            return CountedDenials(await asyncio.to_thread(timed, times, rows))

        return await self._aside(counted)


def summed(
    total: HourlyTotals, causes: CountedRows, findings: CountedRows
) -> dict[str, Any]:
    """Answer that rows of `hour_rows` add up to."""
    for row in causes:
        total.add_causes(*row)
    for hour, authority, kind, opened, closed in findings:
        total.add_findings(hour, authority, kind, opened, orjson.loads(closed))
    return total.answer()


def timed(times: DenialTimes, rows: CountedRows) -> list[dict[str, Any]]:
    """Rows of an answer that those of `hour_rows.DENIALS` add up to."""
    for hour, authority, effect, state, seconds in rows:
        times.add(hour * SECOND, authority, effect, state, orjson.loads(seconds))
    return times.rows()
