"""All by which the embedded server takes in what sources say."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from streams.configured import check, configured_sources, configured_streams
from streams.engine.continuing import Continuing
from streams.engine.ingest import Ingest
from streams.engine.line_server import LineServer, Listening
from streams.engine.source_health import SourceHealth
from streams.engine.tails import Followed, Tail
from streams.expectations import expected_sources
from streams.health_book import HealthBook
from streams.http.auth import Tokens
from streams.http.events import Speakers
from streams.http.sources import Sources
from streams.settings import Listen, address
from streams.ssf.streams import Streams, Surroundings
from streams.vaults import Vaults, configured_vaults
from streams.vendors import Embedded, Vendors, connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from aiohttp import web

    from agents_registry.identifiers import Vocabulary
    from streams.engine.ingest import Reader
    from streams.engine.store import Store
    from streams.http.events import Source
    from streams.settings import Settings, Watch
    from streams.ssf.receiver import Verifier
    from streams.stages.source_health import Expected

    Loop = Callable[[], Coroutine[None, None, None]]


@frozen
class Described:
    """The sources that the settings describe, checked.

    Attributes:
        vocabulary: the class of each kind.
        sources: of events and logs, by name.
        verifiers: of signed tokens, by the name of their stream.
        expected: how long each source may be silent.
    """

    settings: Settings
    vocabulary: Vocabulary
    sources: Mapping[str, Source]
    verifiers: Mapping[str, Verifier]
    expected: Mapping[str, Expected]


def described(settings: Settings) -> Described:
    """Read what the settings say of sources.

    Raises:
        ConfigurationError: they contradict themselves.
    """
    vocabulary, sources = configured_sources(settings)
    check(settings, sources)
    verifiers, expected = configured_streams(settings), expected_sources(settings)
    return Described(settings, vocabulary, sources, verifiers, expected)


@frozen
class Inputs:
    """What listens, asks and follows, and what it all writes through."""

    described: Described
    store: Store
    ingest: Ingest
    tokens: Tokens
    speakers: Speakers
    book: HealthBook
    keeper: SourceHealth
    streams: Streams
    vaults: Vaults
    vendors: Vendors

    def add_to(self, app: web.Application) -> None:
        """Add the routes that have a module of their own."""
        self.vendors.add_to(app)
        Sources(self.tokens, self.book, self.streams.receivers).add_to(app)

    def loops(self) -> list[Loop]:
        """Give what runs for sources, until cancelled."""
        return [
            *self.vendors.loops(),
            *self.streams.loops(),
            *self.vaults.asking(self.ingest, self.speakers),
            *self.vaults.looking(self.ingest, self.store, self.speakers),
            partial(self.book.run, self.keeper, self.ingest, self.speakers.own),
            *(tail.run for tail in self._tails()),
        ]

    def _tails(self) -> Iterator[Tail]:
        for watch in self.described.settings.watch:
            followed = _followed(watch, self.described.sources, self.speakers)
            yield Tail(followed, self.store, self.ingest, self.speakers.clock)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen for lines on the sockets of the settings.

        Raises:
            OSError: an address cannot be bound.
        """
        async with AsyncExitStack() as servers:
            for lines in _listening(self.described.sources, self.speakers):
                clock = self.speakers.clock
                server = LineServer(lines, self.store, self.ingest, clock)
                await servers.enter_async_context(server.serving())
            yield


async def inputs(
    given: Described,
    store: Store,
    room: Callable[[int], AbstractAsyncContextManager[None]],
    clock: Callable[[], int],
    fresh_id: Callable[[], str],
) -> Inputs:
    """Make what takes in events.

    Args:
        given: what the settings say of sources.
        store: holds the log.
        room: waits while guards are too far behind.
        clock: gives the time (ns).
        fresh_id: gives unique ids.

    Raises:
        VendorError: the settings of a vendor cannot be used.
    """
    settings = given.settings
    tokens, speakers = Tokens(settings.tokens), Speakers(settings, clock)
    book, keeper = HealthBook(clock, given.expected), SourceHealth(store)
    await book.load(keeper)
    vaults = configured_vaults(settings, clock, store)
    ingest = Ingest(store, fresh_id, room, book.took, vaults.complete)
    around = Surroundings(ingest, speakers.speaker, keeper, clock, fresh_id)
    vendors = connect(
        settings, tokens, speakers, Embedded(ingest, store, fresh_id, book)
    )
    return Inputs(
        described=given,
        store=store,
        ingest=ingest,
        tokens=tokens,
        speakers=speakers,
        book=book,
        keeper=keeper,
        streams=Streams(settings.ssf, given.verifiers, around),
        vaults=vaults,
        vendors=vendors,
    )


def _followed(
    watch: Watch, sources: Mapping[str, Source], speakers: Speakers
) -> Followed:
    configured = sources[watch.source]
    key = f"watch:{watch.path.name}"
    return Followed(
        path=watch.path,
        source=watch.source,
        make=_maker(configured, speakers.settings),
        speaker=partial(speakers.speaker, watch.authority, key),
        point=configured.point,
        poll_seconds=watch.poll_seconds,
    )


def _listening(
    sources: Mapping[str, Source], speakers: Speakers
) -> Iterator[Listening]:
    for name, given in speakers.settings.sockets.items():
        configured = sources[given.source]
        path = given.listen.removeprefix("unix:")
        at = address(path) if path == given.listen else Listen(host="")
        yield Listening(
            name=name,
            source=given.source,
            make=_maker(configured, speakers.settings),
            speaker=partial(speakers.speaker, given.authority, f"socket:{name}"),
            point=configured.point,
            path=None if at.host else Path(path),
            mode=int(given.mode, 8),
            host=at.host,
            port=at.port,
            allowed=given.allow_from,
        )


def _maker(configured: Source, settings: Settings) -> Callable[[], Reader]:
    """Give the maker of readers that go on from piece to piece."""
    paired = settings.sources[configured.name].format == "openbao"
    return Continuing if paired else configured.make
