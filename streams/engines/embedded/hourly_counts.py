"""What was revoked and found, by hour, out of the file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import orjson

from streams.model.times import SECOND
from streams.ports.table_reader import UnknownRealmError
from streams.services.hourly_counts import (
    HOUR,
    CountedFinding,
    CountedRevocation,
    FindingState,
    summary,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.engines.embedded.store import Store
    from streams.services.hourly_counts import Row

    _Rows = dict[tuple[Any, ...], Row]

PAGE: Final = 2000
# A row is written a moment after the time in it, and clocks are set now and then.
SLACK: Final = 3600 * SECOND
_CAUSES: Final = (
    "SELECT offset, body FROM closures WHERE offset < ? ORDER BY offset DESC LIMIT ?"
)
_FINDINGS: Final = (
    "SELECT changed, body FROM findings WHERE changed < ? ORDER BY changed DESC LIMIT ?"
)
_END: Final = 2**63 - 1


class StoredCounts:
    """Counts of the one realm of a store; the last rows are read first."""

    def __init__(self, store: Store, realm: str) -> None:
        self._store = store
        self._realm = realm

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
        causes = await self._read(_CAUSES, since * SECOND, self._causes)
        findings = await self._read(_FINDINGS, since * SECOND, self._findings)
        return await asyncio.to_thread(
            summary, realm, causes.values(), findings.values(), since, step
        )

    async def _read(self, query: str, since: int, rows_of: Any) -> Any:
        """Rows by their keys, as far back as one changed since a time."""
        found: _Rows = {}
        last = _END
        while rows := await self._store.read(query, last, PAGE):
            # Guards must get their pongs while many rows are decoded.
            some, newest = await asyncio.to_thread(rows_of, [body for _, body in rows])
            found |= some
            if newest < since - SLACK:
                break
            last = rows[-1][0]
        return found

    def _causes(self, bodies: Iterable[bytes]) -> tuple[_Rows, int]:
        found: _Rows = {}
        newest = 0
        for cause in (orjson.loads(body)["cause"] for body in bodies):
            key = CountedRevocation(
                self._realm, cause["authority"] or "", cause["effect"], cause["id"]
            )
            found[key] = (key, _window(cause["at"])), 1
            newest = max(newest, cause["accepted_at"])
        return found, newest

    def _findings(self, bodies: Iterable[bytes]) -> tuple[_Rows, int]:
        found: _Rows = {}
        newest = 0
        for episode in map(orjson.loads, bodies):
            it, touched = episode["finding"], episode["touched"]
            key = CountedFinding(
                self._realm, it["authority"] or "", it["kind"], it["id"]
            )
            seconds = max(0.0, (touched - it["first_seen"]) / SECOND)
            state = FindingState(
                episode["revision"], None if episode["open"] else round(seconds, 3)
            )
            found[key] = (key, _window(it["first_seen"])), state
            newest = max(newest, touched)
        return found, newest


def _window(at: int) -> tuple[float, float]:
    begin = at // SECOND // HOUR * HOUR
    return float(begin), begin + HOUR - 0.1
