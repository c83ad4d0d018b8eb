"""All by which the embedded server takes in what sources say."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen

from streams.apps.builders.access import AccessControl, access
from streams.apps.builders.followed_logs import following, listening
from streams.apps.builders.orders import Orders, orders
from streams.apps.builders.vaults import Vaults, configured_vaults
from streams.apps.builders.vendors import Embedded, Vendors, connect
from streams.engines.embedded.fact_log import StoredFactLog
from streams.engines.embedded.file_tailer import FileTailer
from streams.engines.embedded.socket_listener import SocketListener
from streams.http.auth import Tokens
from streams.http.events import Speakers
from streams.http.sources import Sources
from streams.services.health_records import HealthRecords
from streams.services.ingest import Intake
from streams.services.source_health import HealthBook
from streams.ssf.streams import Streams, Surroundings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from contextlib import AbstractAsyncContextManager

    from aiohttp import web

    from streams.apps.builders.description import Described
    from streams.apps.builders.embedded_context import EmbeddedContext
    from streams.engines.embedded.store import Store
    from streams.ports.keyed_store import KeyedStore

    Loop = Callable[[], Coroutine[None, None, None]]


@frozen
class Inputs:
    """What listens, asks and follows, and what it all writes through."""

    described: Described
    store: Store
    kept: KeyedStore
    ingest: Intake
    access: AccessControl
    tokens: Tokens
    speakers: Speakers
    book: HealthBook
    keeper: HealthRecords
    streams: Streams
    vaults: Vaults
    vendors: Vendors
    orders: Orders

    def add_to(self, app: web.Application) -> None:
        """Add the routes that have a module of their own."""
        self.access.guard(app)
        self.vendors.add_to(app)
        self.orders.add_to(app)
        Sources(self.tokens, self.book, self.streams.receivers).add_to(app)

    def loops(self) -> list[Loop]:
        """Coroutines of the sources, which run until cancelled."""
        return [
            *self.access.loops(),
            *self.vendors.loops(),
            self.orders.desk.run,
            self.orders.quota_watch.run,
            *self.streams.loops(),
            *self.vaults.asking(self.ingest, self.speakers),
            *self.vaults.looking(self.ingest, self.kept, self.speakers),
            partial(self.book.run, self.keeper, self.ingest, self.speakers.own),
            *(tail.run for tail in self._tails()),
        ]

    def _tails(self) -> Iterator[FileTailer]:
        for watch in self.described.settings.watch:
            followed = following(watch, self.described.sources, self.speakers)
            clock, count = self.speakers.clock, self.book.count
            yield FileTailer(followed, self.kept, self.ingest, clock, count)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen for lines on the sockets of the settings.

        Raises:
            OSError: an address cannot be bound.
        """
        async with AsyncExitStack() as servers:
            for lines in listening(self.described.sources, self.speakers):
                clock = self.speakers.clock
                server = SocketListener(lines, self.kept, self.ingest, clock)
                await servers.enter_async_context(server.serving())
            yield


async def inputs(
    given: Described,
    about: EmbeddedContext,
    room: Callable[[int], AbstractAsyncContextManager[None]],
) -> Inputs:
    """Make what takes in events.

    Args:
        given: what the settings say of sources.
        about: what all is made with.
        room: waits while guards are too far behind.

    Raises:
        VendorError: the settings of a vendor cannot be used.
        AccessError: those of a credential cannot.
    """
    settings, store, kept = given.settings, about.store, about.kept
    clock, fresh_id = about.clock, about.fresh_id
    entry = access(settings, clock)
    tokens = entry.tokens
    speakers = Speakers(settings, clock)
    book, keeper = HealthBook(clock, given.expected), HealthRecords(kept)
    await book.load(keeper)
    vaults = configured_vaults(settings, kept)
    log = StoredFactLog(store, room)
    ingest = Intake(log, fresh_id, book.took, vaults.complete)
    around = Surroundings(ingest, speakers.speaker, keeper, clock, fresh_id)
    vendors = connect(
        settings, tokens, speakers, Embedded(ingest, kept, fresh_id, book)
    )
    ordering = orders(
        tokens=tokens,
        speakers=speakers,
        log=ingest,
        kept=kept,
        vocabulary=given.vocabulary,
        vaults=vaults,
        fresh_id=fresh_id,
    )
    return Inputs(
        described=given,
        store=store,
        kept=kept,
        ingest=ingest,
        access=entry,
        tokens=tokens,
        speakers=speakers,
        book=book,
        keeper=keeper,
        streams=Streams(settings.ssf, given.verifiers, around),
        vaults=vaults,
        vendors=vendors,
        orders=ordering,
    )
