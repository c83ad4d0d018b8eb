"""Put together what asks vendors, and what directories provision into."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from agents_registry.identifiers import REUSABLE_KINDS, extend
from streams.apps.builders.access import ConfigurationError
from streams.apps.builders.hooks import (
    RequestCounts,
    check_authorities,
    peppers_of,
    reveal,
)
from streams.http.scim import ScimServer
from streams.http.scim_directory import Directory
from streams.model.times import SECOND
from streams.outbound.client_credentials import ClientCredentials, StoredHeader
from streams.pollers.driver import Polled, Poller
from streams.services.scim_resources import KeptResources
from streams.sources.catalogue import source
from streams.sources.descriptor import ReaderSettings
from streams.sources.polling.settings import ClientPoll

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from streams.http.auth import Tokens
    from streams.http.events import Speakers
    from streams.outbound.client import AuthorizationHeader
    from streams.services.cursors import KeptCursors
    from streams.services.reading import RecordReader
    from streams.settings.server import Settings
    from streams.sources.polling.feeds import VendorFeed
    from streams.sources.polling.settings import PollSettings


def pollers(
    settings: Settings,
    speakers: Speakers,
    cursors: KeptCursors,
    counts: RequestCounts,
) -> tuple[Poller, ...]:
    """Make what reads the logs of vendors.

    Raises:
        ConfigurationError: the settings cannot be used.
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
        ConfigurationError: they cannot be used.
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
        raise ConfigurationError(f"scim.external_kind: no kind is called {kind!r}")
    if kind in REUSABLE_KINDS:
        text = "a name that is given again must not stand for a user"
        raise ConfigurationError(f"scim: external_kind {kind}: {text}")


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
            settings=each,
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
        return StoredHeader(lambda: each.scheme + secret)
    return ClientCredentials(
        each.token_url, each.client_id, lambda: secret, lambda: clock() / SECOND,
        each.scope,
    )  # fmt: skip
