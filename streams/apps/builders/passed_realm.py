"""A realm that a relay reads from the feed of a server or another relay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from streams.apps.builders.relayed_realms import RelayedRealm
from streams.engines.upstream.passed_log import PassedLog, PassedTable
from streams.http.passed_feed import PassedFeed, UpstreamFeed
from streams.http.tables import SharedTables

if TYPE_CHECKING:
    from agents_registry.identifiers import Vocabulary


@frozen
class PassedContext:
    """What each realm is passed on with, from the feed of another server.

    Attributes:
        lease: seconds for which a proof may be used at most.
        credential: with which facts are read, of a guard.
    """

    upstream: UpstreamFeed
    credential: str
    vocabulary: Vocabulary
    lease: float


def passed(about: PassedContext, realm: str) -> RelayedRealm:
    """Make a realm whose log another server or relay hands on."""
    above = about.upstream
    followed = PassedLog(above.url, about.credential, realm, about.lease, above.tls)
    lease_ms = int(about.lease * 1000)
    tables = SharedTables(PassedTable(followed), followed, from_facts=0)
    feed = PassedFeed(followed, about.vocabulary, lease_ms, tables, above)
    return RelayedRealm(followed, feed)
