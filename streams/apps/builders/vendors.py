"""Put together what speaks with vendors on the embedded engine: polls and SCIM too."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from attrs import frozen

from agents_registry.identifiers import REUSABLE_KINDS, extend
from streams.apps.builders import platform_polls
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
from streams.engines.embedded.cursors import StoredCursors
from streams.engines.embedded.resources import StoredResources
from streams.http.scim import ScimServer
from streams.http.scim_directory import Directory
from streams.http.sources import SourceMetrics
from streams.model.times import SECOND
from streams.outbound.client_credentials import ClientCredentials, FixedHeader
from streams.pollers.driver import Polled, Poller
from streams.pollers.feeds import seconds
from streams.pollers.graph import GraphLog
from streams.pollers.keycloak import LOGS, KeycloakLog
from streams.pollers.okta import OktaLog
from streams.services.keyed_sources import keyed_source
from streams.settings.polls import AnthropicPoll, KeyPoll, M365Poll
from streams.settings.vendors import EntraPoll, KeycloakPoll, OktaPoll
from streams.sources.keycloak.keycloak import Keycloak

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from aiohttp import web
    from prometheus_client.registry import Collector

    from streams.engines.embedded.ingest import Ingest
    from streams.engines.embedded.store import Store
    from streams.http.auth import Tokens
    from streams.http.events import Speakers
    from streams.http.scim_directory import Resources
    from streams.outbound.client_credentials import AuthorizationHeader
    from streams.pollers import driver
    from streams.pollers.feeds import VendorFeed
    from streams.pollers.sqs import QueueReader
    from streams.services.reading import RecordReader
    from streams.services.source_health import HealthBook
    from streams.settings.polls import AnyPoll
    from streams.settings.server import Settings

DAY = 86_400


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

    ingest: Ingest
    store: Store
    fresh_id: Callable[[], str]
    book: HealthBook


def connect(
    settings: Settings, tokens: Tokens, speakers: Speakers, engine: Embedded
) -> Vendors:
    """Make what the settings ask for.

    Raises:
        VendorError: they cannot be used.
    """
    ingest, store, fresh_id, book = engine
    counts = RequestCounts(book)
    polls = pollers(settings, speakers, StoredCursors(store, ingest), counts)
    resources = StoredResources(store, ingest)
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
    resources: Resources,
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
    each: AnyPoll,
    speakers: Speakers,
    clock: Callable[[], int],
    peppers: Sequence[bytes],
) -> Iterator[Polled]:
    """Return the feeds of one poll; those of a vendor share their bearer token."""
    authorization = _authorization(name, each, clock)
    speaker = partial(speakers.speaker, each.authority, f"poll:{name}")
    own = isinstance(each, AnthropicPoll)
    for feed in feeds_of(name, each):
        yield Polled(
            feed=feed,
            authorization=authorization,
            make=_maker(each, feed, peppers),
            speaker=speaker,
            interval=each.interval,
            header=platform_polls.KEY if own else "authorization",
            more=platform_polls.MORE.get(type(each), {}),
        )


def _maker(
    each: AnyPoll, feed: VendorFeed, peppers: Sequence[bytes]
) -> Callable[[], RecordReader]:
    if isinstance(each, KeycloakPoll):
        return lambda: Keycloak(each.issuer, seconds(each.exchange_lookback))
    return lambda: keyed_source(feed.source, peppers)


def _authorization(
    name: str, each: AnyPoll, clock: Callable[[], int]
) -> AuthorizationHeader:
    if isinstance(each, KeyPoll | M365Poll):
        key = each.key if isinstance(each, KeyPoll) else each.client_secret
        secret = reveal(f"poll {name}", key)
        return platform_polls.authorization(each, secret, clock)
    if isinstance(each, OktaPoll):
        return FixedHeader(f"SSWS {reveal(f'poll {name}', each.token)}")
    secret = reveal(f"poll {name}", each.client_secret)
    base, scope = each.url.rstrip("/"), ""
    if isinstance(each, EntraPoll):
        scope = f"{base}/.default"
        url = f"{each.login.rstrip('/')}/{each.tenant}/oauth2/v2.0/token"
    else:
        realm = quote(each.realm, safe="")
        url = f"{base}/realms/{realm}/protocol/openid-connect/token"
    return ClientCredentials(
        url, each.client_id, lambda: secret, lambda: clock() / SECOND, scope
    )


def feeds_of(name: str, each: AnyPoll) -> Iterator[VendorFeed]:
    """Return the feeds that one poll reads."""
    if isinstance(each, KeyPoll | M365Poll):
        yield from platform_polls.feeds(name, each)
        return
    base, first = each.url.rstrip("/"), seconds(each.first)
    overlap = seconds(each.overlap)
    kept = None if each.retention is None else seconds(each.retention * DAY)
    match each:
        case OktaPoll():
            yield OktaLog(
                name=f"{name}/logs", base=base, first=first, overlap=overlap,
                retention=kept or 0,
            )  # fmt: skip
        case EntraPoll():
            for log in each.logs:
                yield GraphLog(
                    log, name=f"{name}/{log}", base=base, first=first,
                    overlap=overlap, retention=kept,
                )  # fmt: skip
        case KeycloakPoll():
            for events in LOGS:
                yield KeycloakLog(
                    events, each.realm, name=f"{name}/{events}", base=base, first=first,
                    overlap=overlap, retention=kept,
                )  # fmt: skip
