"""Poll one feed: ask, write what came with the place after it, wait.

At least once: the cursor lies in the transaction that writes the records, so a crash
repeats a request and loses nothing. What a vendor does not keep any more is reported.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import aiohttp
import orjson
import structlog
from attrs import field, frozen

from streams.engine.ingest import THREAD_FROM, read
from streams.findings import FindingKind
from streams.intake import Delivery
from streams.pollers.feeds import UnreadablePageError
from streams.pollers.transport import FailedError, fetch, waiting
from streams.records import DeadLetter
from streams.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from streams.engine.ingest import Ingest, Reader
    from streams.engine.store import Store
    from streams.engine.transaction import Transaction
    from streams.pollers.access_tokens import Authorization
    from streams.pollers.feeds import Answer, Cursor, Feed, Page, Start
    from streams.records import Record
    from streams.stages.admission import Rights
    from streams.stages.ingress import Origin

LONGEST: Final = 300.0  # seconds between two attempts, where the vendor says nothing
LOST: Final = (
    "events_lost: {} keeps no events from {} to {} any more; compare what exists there "
    "with `rescind inventory`, and revoke by hand what is gone"
)
_GONE: Final = frozenset({400, 404, 410})
_UNAUTHORISED: Final = 401

log = structlog.get_logger()


@frozen(kw_only=True)
class Polled:
    """A feed, and what it takes to read it.

    Attributes:
        make: makes a reader of the source.
        speaker: gives origin and rights, of now.
        interval: seconds between two rounds, and the first wait after a failure.
        header: that carries the authorization.
        more: further headers, such as the version of an API.
    """

    feed: Feed
    authorization: Authorization
    make: Callable[[], Reader]
    speaker: Callable[[], tuple[Origin, Rights]]
    interval: float
    header: str = "authorization"
    more: Mapping[str, str] = field(factory=dict)


class Poller:
    """Reads one feed until it is cancelled."""

    def __init__(
        self,
        polled: Polled,
        store: Store,
        ingest: Ingest,
        clock: Callable[[], int],
        count: Callable[[str, str], None],
    ) -> None:
        """Set up; ``count`` is told the feed's name and how each request ended."""
        self._polled = polled
        self._feed = polled.feed
        self._store = store
        self._ingest = ingest
        self._clock = clock
        self._count = count
        self._cursor: Cursor | None = None
        self._failures = 0

    async def run(self) -> None:
        """Poll."""
        self._cursor = await self._begun()
        async with aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        ) as session:
            while True:
                wait = await self._once(session)
                await asyncio.sleep(wait)

    async def _begun(self) -> Cursor:
        """Give the saved place; a first one is saved before anything is asked.

        Else what happens while a vendor is not reached at first would be left out.
        """
        query = "SELECT body FROM cursors WHERE name = ?"
        rows = await self._store.read(query, self._feed.name)
        if rows:
            saved: Cursor = orjson.loads(rows[0][0])
            return saved
        cursor = self._feed.start(None, self._clock()).cursor
        body = orjson.dumps(cursor)
        await self._store.write_in_time(
            lambda tx: tx.set_cursor(self._feed.name, body), urgent=True
        )
        return cursor

    async def _once(self, session: aiohttp.ClientSession) -> float:
        """Make one request; give the seconds until the next one."""
        now = self._clock()
        start = self._feed.start(self._cursor, now)
        try:
            answer = await self._ask(session, start.cursor, now)
            page = await self._read(start.cursor, answer, now)
        except FailedError as failed:
            return self._failed(start, failed)
        except UnreadablePageError as error:
            return self._failed(start, FailedError(f"unreadable: {error}"))
        await self._write(start, page.data, page.cursor)
        self._cursor, self._failures = page.cursor, 0
        self._count(self._feed.name, "taken")
        rest = waiting(answer.headers, now) or 0.0
        return rest if page.more else max(rest, self._polled.interval)

    async def _read(self, cursor: Cursor, answer: Answer, now: int) -> Page:
        """Read a page; guards must get their pongs while a large one is read."""
        if len(answer.body) < THREAD_FROM:
            return self._feed.take(cursor, answer, now)
        return await asyncio.to_thread(self._feed.take, cursor, answer, now)

    async def _ask(
        self, session: aiohttp.ClientSession, cursor: Cursor, now: int
    ) -> Answer:
        value = await self._polled.authorization.header(session)
        headers = {
            self._polled.header: value, "accept": "application/json",
            "user-agent": "Rescind", **self._polled.more,
        }  # fmt: skip
        method, url = cursor.get("method", "GET"), self._feed.url(cursor)
        return await fetch(session, method, url, now, headers=headers)

    def _failed(self, start: Start, failed: FailedError) -> float:
        if failed.status == _UNAUTHORISED:
            self._polled.authorization.refused()
        if failed.status in _GONE and (again := self._feed.again(start.cursor)):
            self._cursor = again  # saved with the next page
        wait = min(self._polled.interval * 2.0**self._failures, LONGEST)
        self._failures = min(self._failures + 1, 20)
        if failed.wait is not None:
            wait = max(wait, failed.wait)
        self._count(self._feed.name, "failed")
        log.warning(
            "poll_failed", feed=self._feed.name, reason=failed.reason, wait=wait
        )
        return wait

    async def _write(self, start: Start, data: bytes, cursor: Cursor) -> None:
        source = self._feed.source
        records: list[Record] = []
        if data:
            records = await read(self._polled.make(), data, source)
        origin, rights = self._polled.speaker()
        signals: list[dict[str, Any]] = []
        if start.lost is not None:
            reason = LOST.format(self._feed.name, *map(rfc3339, start.lost))
            records.append(DeadLetter(source, 0, 0, reason))
            signals.append(lost_signal(self._feed.name, origin.received_at, reason))
        body = orjson.dumps(cursor)

        def place(tx: Transaction) -> None:
            tx.set_cursor(self._feed.name, body)
            tx.add_signals(signals)

        delivery = Delivery(records, origin, rights)
        await self._ingest.records(delivery, place, patient=True)


def lost_signal(name: str, at: int, reason: str) -> dict[str, Any]:
    """Give what the sentinel makes a finding of: revocations may be missing."""
    return {
        "kind": FindingKind.REVOCATION_NOT_APPLIED.value,
        "presented": ["source", name],
        "point": name,
        "at": at,
        "detail": reason,
    }
