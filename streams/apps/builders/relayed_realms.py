"""The realms that a relay serves, each from when a guard first asks for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog
from attrs import frozen
from prometheus_client.registry import Collector

from streams.engines.kafka.relay.fed_log import RelayedLog
from streams.engines.kafka.relay.relayed_roll import RelayedRoll
from streams.engines.kafka.relay.relayed_table import RelayedTable
from streams.http.closure_metrics import refused_of
from streams.http.feed import FeedServer
from streams.http.problems import unavailable
from streams.http.receipts import ReceiptIntake
from streams.http.refused_feeds import RefusedFeeds
from streams.http.server import require_websocket
from streams.http.tables import SharedTables
from streams.observability import metrics
from streams.observability.progress import STILL_SECONDS
from streams.process.aside import here
from streams.stages.closure.guard_names import Bearer

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

    from aiohttp import web
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from prometheus_client.core import Metric

    from agents_registry.identifiers import Vocabulary
    from streams.engines.kafka.client.publisher import Publisher
    from streams.engines.kafka.relay.log_pieces import LogPieces
    from streams.engines.kafka.relay.peer_table import RelayPeers
    from streams.engines.kafka.relay.relayed_roll import Signing
    from streams.http.auth import Tokens
    from streams.settings.kafka import KafkaSettings
    from streams.stages.closure.guard_names import GuardKeys, GuardNames

READY_SECONDS: Final = 0.5  # that a guard waits for a realm; then it comes again
MOST_REALMS: Final = 1000

log = structlog.get_logger()


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


@frozen
class RelayedRealm:
    """One realm: its log, its guards, and their connections."""

    log: RelayedLog
    roll: RelayedRoll
    feed: FeedServer


class RelayedRealms(Collector):
    """The realms of a relay; `run` follows them."""

    def __init__(self, about: RelayContext, tokens: Tokens, first: set[str]) -> None:
        """Set up.

        Args:
            about: what each realm is relayed with.
            tokens: let guards in.
            first: realms that are read before any guard asks.
        """
        self._about = about
        self._tokens = tokens
        self._first = sorted(first)
        self._realms: dict[str, RelayedRealm] = {}
        self._refused = RefusedFeeds()
        self._tasks = asyncio.TaskGroup()
        self._running = asyncio.Event()

    def add_to(self, app: web.Application) -> None:
        """Put the feed behind its route."""
        app.router.add_get("/v1/feed", self.guard)

    async def guard(self, request: web.Request) -> web.StreamResponse:
        """Let a guard in and feed it with the facts of its realm."""
        with self._refused.counting(request):
            token, realm = self._tokens.guard(request)
            require_websocket(request)
        await self._running.wait()
        relayed = self._realm(realm)
        if not await relayed.log.ready(READY_SECONDS):
            raise unavailable("loading", "the log is being read; try again")
        return await relayed.feed.serve(request, Bearer(token.name, token.guards))

    async def run(self) -> None:
        """Follow the realms until cancelled."""
        async with self._tasks:
            for realm in self._first:
                self._realm(realm)
            self._running.set()
            await asyncio.Event().wait()

    async def close(self) -> None:
        """Ask every guard to come back later, and write what they reported."""
        async with asyncio.TaskGroup() as tasks:
            for each in self._realms.values():
                tasks.create_task(each.feed.close())
        for each in self._realms.values():
            await each.roll.flush()

    def stalled(self, now: float) -> list[str]:
        """Name what does not get on while Kafka answers: it needs a new process."""
        failing = [
            each.roll.failing_since
            for each in self._realms.values()
            if each.log.proven and each.roll.failing_since is not None
        ]
        return ["receipts"] if failing and now - min(failing) > STILL_SECONDS else []

    def waiting(self, _: float) -> list[str]:
        """Name what keeps guards from getting a lease."""
        proven = [each.log.proven for each in self._realms.values()]
        return [] if any(proven) or not self._first else ["facts"]

    def collect(self) -> Iterator[Metric]:
        """Guards that are connected, realms, and refused receipts."""
        realms = self._realms.values()
        yield metrics.GUARDS.of(sum(len(each.feed.connections) for each in realms))
        proven = sum(each.log.proven for each in realms)
        lapsed = len(realms) - proven
        yield metrics.RELAY_REALMS.each({("held",): proven, ("lapsed",): lapsed})
        yield refused_of(self._about.refused)
        yield from self._refused.counter.collect()

    def _realm(self, realm: str) -> RelayedRealm:
        """Realm as it is relayed; from now on, if it was not before."""
        found = self._realms.get(realm)
        if found is None:
            if len(self._realms) >= MOST_REALMS:
                raise unavailable("too many realms", "use another relay")
            found = self._realms[realm] = _relayed(self._about, realm)
            self._tasks.create_task(found.log.run())
            self._tasks.create_task(found.roll.run())
            log.info("realm_relayed", realm=realm, partition=found.log.partition)
        return found


def _logged(guard: str, credential: str, why: str) -> None:
    """Do no more than the feed, which logs it: only closure makes findings."""


def _relayed(about: RelayContext, realm: str) -> RelayedRealm:
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
    return RelayedRealm(followed, roll, feed)
