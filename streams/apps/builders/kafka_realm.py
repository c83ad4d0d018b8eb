"""A realm that a relay reads from Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from streams.apps.builders.relayed_realms import RelayedRealm
from streams.engines.kafka.relay.fed_log import RelayedLog
from streams.engines.kafka.relay.relayed_roll import RelayedRoll
from streams.engines.kafka.relay.relayed_table import RelayedTable
from streams.http.feed import FeedServer
from streams.http.receipts import ReceiptIntake
from streams.http.tables import SharedTables
from streams.process.aside import here

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from agents_registry.identifiers import Vocabulary
    from streams.engines.kafka.client.publisher import Publisher
    from streams.engines.kafka.relay.log_pieces import LogPieces
    from streams.engines.kafka.relay.peer_table import RelayPeers
    from streams.engines.kafka.relay.relayed_roll import Signing
    from streams.settings.kafka import KafkaSettings
    from streams.stages.closure.guard_names import GuardKeys, GuardNames


@frozen
class RelayContext:
    """What each realm is relayed with.

    Attributes:
        lease: seconds for which one proof of the log may be used.
        names: makes what knows which credential has which name.
        keys: with which guards sign.
        clocks: give the time, and that of a clock that nobody sets (ns).
        refused: receipts that could not be used, by reason.
        peers: may have tables to begin with.
    """

    kafka: KafkaSettings
    publisher: Publisher
    pieces: LogPieces
    vocabulary: Vocabulary
    lease: float
    names: Callable[[], GuardNames]
    keys: GuardKeys[Ed25519PublicKey]
    signing: Signing | None
    clocks: tuple[Callable[[], int], Callable[[], int]]
    refused: Counter[str]
    peers: RelayPeers | None = None


def _logged(guard: str, credential: str, why: str) -> None:
    """Do no more than the feed, which logs it: only closure makes findings."""


def relayed(about: RelayContext, realm: str) -> RelayedRealm:
    """Make a realm whose log is on Kafka."""
    clock, boottime = about.clocks
    followed = RelayedLog(
        about.kafka,
        realm,
        about.lease,
        about.pieces,
        boottime,
        about.vocabulary,
    )
    followed.peers = about.peers
    roll = RelayedRoll(
        about.kafka,
        about.publisher,
        followed,
        about.names(),
        about.clocks,
        about.signing,
    )
    receipts = ReceiptIntake(roll, about.keys, boottime, _logged, about.refused)
    lease_ms = int(about.lease * 1000)
    table = RelayedTable(followed)
    tables = SharedTables(table, followed, here, table.resting)
    feed = FeedServer(followed, about.vocabulary, lease_ms, receipts, tables)
    feed.clock = clock
    return RelayedRealm(followed, feed, roll)
