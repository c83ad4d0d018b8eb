"""Put together what speaks with vendors on the embedded engine: polls and SCIM too."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from attrs import frozen

from agents_registry.identifiers import REUSABLE_KINDS, extend
from streams.apps.builders.hooks import (
    Receivers,
    RequestCounts,
    VendorError,
    check_authorities,
    peppers_of,
    receivers,
    reveal,
)
from streams.apps.builders.queues import queue_readers
from streams.http.scim import ScimServer
from streams.http.scim_directory import Directory
from streams.http.sources import SourceMetrics
from streams.model.times import SECOND
from streams.outbound.client_credentials import ClientCredentials, FixedHeader
from streams.pollers.driver import Polled, Poller
from streams.services.cursors import KeptCursors
from streams.services.scim_resources import KeptResources
from streams.sources.catalogue import source
from streams.sources.descriptor import ReaderSettings
from streams.sources.polling.settings import ClientPoll

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from aiohttp import web
    from prometheus_client.registry import Collector

    from streams.http.auth import Tokens
    from streams.http.events import Speakers
    from streams.outbound.client import AuthorizationHeader
    from streams.pollers import driver
    from streams.pollers.sqs import QueueReader
    from streams.ports.keyed_store import KeyedStore
    from streams.services.ingest import Intake
    from streams.services.reading import RecordReader
    from streams.services.source_health import HealthBook
    from streams.settings.server import Settings
    from streams.sources.polling.feeds import VendorFeed
    from streams.sources.polling.settings import PollSettings


@frozen
class Vendors:
    """What the server runs for its vendors.

    Attributes:
        pollers, queues: to be run.
        collectors: for ``/metrics``.
    """

    receivers: Receivers
    scim: ScimServer | None
    pollers: tuple[Poller, ...]
    queues: tuple[QueueReader, ...]
    collectors: tuple[Collector, ...]

    def loops(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """Coroutines that run until cancelled."""
        reading = [each.run for each in self.pollers]
        reading += [each.run for each in self.queues]
        return [*reading, *self.receivers.loops()]

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        self.receivers.add_to(app)
        if self.scim is not None:
            self.scim.add_to(app)


class Embedded(NamedTuple):
    """What the embedded engine writes to, and who is told of it."""

    ingest: Intake
    kept: KeyedStore
    fresh_id: Callable[[], str]
    book: HealthBook


def connect(
    settings: Settings, tokens: Tokens, speakers: Speakers, engine: Embedded
) -> Vendors:
    """Make what the settings ask for.

    Raises:
        VendorError: they cannot be used.
    """
    ingest, kept, fresh_id, book = engine
    counts = RequestCounts(book)
    polls = pollers(settings, speakers, KeptCursors(kept, ingest), counts)
    resources = KeptResources(kept, ingest)
    scim = scim_server(settings, tokens, speakers, resources, fresh_id)
    receiving = receivers(settings, tokens, speakers, ingest, counts)
    write = partial(ingest.records, patient=True)
    queues = queue_readers(settings, speakers, write, counts.of("queue"))
    collectors = counts.collector, SourceMetrics(book)
    return Vendors(receiving, scim, polls, queues, collectors)


def pollers(
    settings: Settings,
    speakers: Speakers,
    cursors: driver.Cursors,
    counts: RequestCounts,
) -> tuple[Poller, ...]:
    """Make what reads the logs of vendors.

    Raises:
        VendorError: the settings cannot be used.
    """
    check_authorities(settings, "poll", settings.polls)
    return tuple(
        Poller(polled, cursors, speakers.clock, counts.of("poll"))
        for name, each in settings.polls.items()
        for polled in _polled(
            name, each, speakers, speakers.clock, peppers_of(settings)
        )
    )


def scim_server(
    settings: Settings,
    tokens: Tokens,
    speakers: Speakers,
    resources: KeptResources,
    fresh_id: Callable[[], str],
) -> ScimServer | None:
    """Make the SCIM service provider, where the settings ask for it.

    Raises:
        VendorError: they cannot be used.
    """
    if settings.scim is None:
        return None
    _check_scim(settings)
    directory = Directory(settings.scim, speakers, resources)
    agents = settings.scim.agents
    return ScimServer(tokens, directory, speakers.clock, fresh_id, agents=agents)


def _check_scim(settings: Settings) -> None:
    kind = None if settings.scim is None else settings.scim.external_kind
    if kind is None:
        return
    if kind not in extend(settings.kinds):
        raise VendorError(f"scim.external_kind: no kind is called {kind!r}")
    if kind in REUSABLE_KINDS:
        text = "a name that is given again must not stand for a user"
        raise VendorError(f"scim: external_kind {kind}: {text}")


def _polled(
    name: str,
    each: PollSettings,
    speakers: Speakers,
    clock: Callable[[], int],
    peppers: Sequence[bytes],
) -> Iterator[Polled]:
    """Return the feeds of one poll; those of a vendor share their bearer token."""
    authorization = _authorization(name, each, clock)
    speaker = partial(speakers.speaker, each.authority, f"poll:{name}")
    for feed in each.feeds(name):
        yield Polled(
            feed=feed,
            authorization=authorization,
            make=partial(_reader, each, feed, peppers),
            speaker=speaker,
            interval=each.interval,
            header=each.header,
            more=each.more,
        )


def _reader(
    each: PollSettings, feed: VendorFeed, peppers: Sequence[bytes]
) -> RecordReader:
    return each.reader() or source(feed.source, ReaderSettings(peppers))


def _authorization(
    name: str, each: PollSettings, clock: Callable[[], int]
) -> AuthorizationHeader:
    secret = reveal(f"poll {name}", each.secret)
    if not isinstance(each, ClientPoll):
        return FixedHeader(each.scheme + secret)
    return ClientCredentials(
        each.token_url, each.client_id, lambda: secret, lambda: clock() / SECOND,
        each.scope,
    )  # fmt: skip
