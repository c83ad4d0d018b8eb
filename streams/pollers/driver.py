"""Poll one feed: ask, write what came with the place after it, wait.

At least once: the cursor is never kept before the records that it stands behind, so a
crash repeats a request and loses nothing. What a vendor does not keep any more is
reported.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import orjson
import structlog
from attrs import frozen

from streams.outbound.answers import RequestError, UnreadableAnswerError
from streams.outbound.client import HttpClient
from streams.outbound.client_credentials import NoTokenError
from streams.outbound.waits import Backoff, waiting
from streams.services.intake import IntakeBatch
from streams.services.reading import THREAD_FROM, Records, read
from streams.sources.polling.feeds import Start

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.outbound.answers import HttpAnswer
    from streams.outbound.client import AuthorizationHeader
    from streams.services.cursors import KeptCursors
    from streams.services.reading import RecordReader
    from streams.sources.polling.feeds import Cursor, Page, VendorFeed
    from streams.sources.polling.settings import PollSettings
    from streams.stages.ingest.admission import Entitlements
    from streams.stages.ingest.ingress import Origin

LONGEST: Final = 300.0  # seconds between two attempts, where the vendor says nothing
_GONE: Final = frozenset({400, 404, 410, 422})

log = structlog.get_logger()


@frozen(kw_only=True)
class Polled:
    """A feed, and what it takes to read it.

    Attributes:
        settings: of its poll.
        make: makes a reader of the source.
        speaker: gives origin and rights, of now.
    """

    feed: VendorFeed
    settings: PollSettings
    authorization: AuthorizationHeader
    make: Callable[[], RecordReader]
    speaker: Callable[[], tuple[Origin, Entitlements]]


class Poller:
    """Reads one feed until it is cancelled."""

    def __init__(
        self,
        polled: Polled,
        cursors: KeptCursors,
        clock: Callable[[], int],
        count: Callable[[str, str, str], None],
    ) -> None:
        """Set up.

        ``count`` is told the feed's name, and how each request ended and why.
        """
        self._polled = polled
        self._feed = polled.feed
        self._cursors = cursors
        self._clock = clock
        self._count = count
        self._cursor: Cursor | None = None
        self._backoff = Backoff(polled.settings.interval, LONGEST)

    @property
    def name(self) -> str:
        """Name of the feed."""
        return self._feed.name

    async def run(self) -> None:
        """Poll."""
        self._cursor = await self._begun()
        by = self._polled
        async with HttpClient(
            authorization=by.authorization, header=by.settings.header
        ) as client:
            while True:
                wait = await self._once(client)
                await asyncio.sleep(wait)

    async def _begun(self) -> Cursor:
        """Return the saved place; a first one is saved before anything is asked.

        Else what happens while a vendor is not reached at first would be left out.
        """
        body = await self._cursors.load(self._feed.name)
        if body is not None:
            saved: Cursor = orjson.loads(body)
            return saved
        cursor = self._feed.start(None, self._clock()).cursor
        await self._cursors.save(self._feed.name, orjson.dumps(cursor))
        return cursor

    async def _once(self, client: HttpClient) -> float:
        """Make one request; give the seconds until the next one."""
        now = self._clock()
        start = Start(self._cursor or {})
        try:
            start = self._feed.start(self._cursor, now)
            asked = self._feed.url(start.cursor)
            answer = await self._ask(client, asked, start.cursor)
            page = await self._read(start.cursor, answer, now)
            # A link that leads to itself must not be followed without a pause.
            after = self._feed.start(page.cursor, now).cursor
            moves = page.more and self._feed.url(after) != asked
        except RequestError as failed:
            return self._failed(start, failed, now)
        except UnreadableAnswerError as error:
            return self._failed(start, RequestError(f"unreadable: {error}"), now)
        except Exception as error:  # boundary: one odd answer must not end the server
            log.exception("page_not_read", feed=self._feed.name)
            fault = RequestError(f"fault: {type(error).__name__}")
            return self._failed(start, fault, now)
        await self._write(start, page.data, page.cursor)
        self._cursor, self._backoff.failures = page.cursor, 0
        self._count(self._feed.name, "taken", "")
        rest = waiting(answer.headers, now) or 0.0
        return rest if moves else max(rest, self._polled.settings.interval)

    async def _read(self, cursor: Cursor, answer: HttpAnswer, now: int) -> Page:
        """Read a page; guards must get their pongs while a large one is read."""
        if len(answer.body) < THREAD_FROM:
            return self._feed.take(cursor, answer, now)
        return await asyncio.to_thread(self._feed.take, cursor, answer, now)

    async def _ask(self, client: HttpClient, url: str, cursor: Cursor) -> HttpAnswer:
        headers = {"accept": "application/json", **self._polled.settings.more}
        method = cursor.get("method", "GET")
        return (await client.request(method, url, headers=headers)).ok()

    def _failed(self, start: Start, failed: RequestError, now: int) -> float:
        gone = failed.status in _GONE and not isinstance(failed, NoTokenError)
        if gone and (again := self._feed.again(start.cursor)):
            self._cursor = again  # saved with the next page
        wait = self._backoff.failed(failed, now)
        self._count(self._feed.name, "failed", str(failed))
        log.warning("poll_failed", feed=self._feed.name, reason=str(failed), wait=wait)
        return wait

    async def _write(self, start: Start, data: bytes, cursor: Cursor) -> None:
        source = self._feed.source
        records = Records()
        if data:
            records = await read(self._polled.make(), data, source)
        origin, rights = self._polled.speaker()
        via = f"poll:{self._feed.name}"
        delivery = IntakeBatch(records, origin, rights, via=via, gap=start.lost)
        await self._cursors.write(delivery, self._feed.name, orjson.dumps(cursor))
