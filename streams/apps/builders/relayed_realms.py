"""The realms that a relay serves, each from when a guard first asks for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

import structlog
from attrs import frozen
from prometheus_client.registry import Collector

from streams.http.auth import ANY_REALM
from streams.http.closure_metrics import refused_of
from streams.http.problems import unavailable
from streams.http.refused_feeds import RefusedFeeds
from streams.http.server import require_websocket
from streams.observability import metrics
from streams.observability.progress import STILL_SECONDS
from streams.stages.closure.guard_names import Bearer

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

    from aiohttp import web
    from prometheus_client.core import Metric

    from streams.http.auth import Tokens
    from streams.http.guard_connection import Connection
    from streams.settings.server import Settings

READY_SECONDS: Final = 0.5  # that a guard waits for a realm; then it comes again
MOST_REALMS: Final = 1000

log = structlog.get_logger()


class FollowedLog(Protocol):
    """A realm's log, wherever it is read."""

    @property
    def partition(self) -> int:
        """Number of the log, as consistency tokens name it."""

    @property
    def end(self) -> int:
        """Offset below which every fact can be had."""

    @property
    def serves(self) -> bool:
        """Whether it is read up to where it ended when the reading began."""

    @property
    def proven(self) -> bool:
        """Whether guards can get a lease."""

    async def ready(self, seconds: float) -> bool:
        """Wait until it serves; tell whether it does in time."""

    async def run(self) -> None:
        """Follow the log until cancelled."""


class ReceiptWriter(Protocol):
    """Writes what guards report.

    Attributes:
        failing_since: no receipt was acknowledged since then (s, of the loop).
    """

    failing_since: float | None

    async def run(self) -> None:
        """Write until cancelled."""

    async def flush(self) -> None:
        """Write what is due."""


class GuardFeed(Protocol):
    """Feeds the guards of a realm.

    Attributes:
        connections: the guards that are connected.
    """

    connections: set[Connection]

    async def serve(self, request: web.Request, bearer: Bearer) -> web.StreamResponse:
        """Hold one connection until it ends."""

    async def close(self) -> None:
        """Ask every guard to come back later."""


@frozen
class RelayedRealm:
    """One realm: its log, the connections of its guards, and their receipts.

    Attributes:
        roll: writes the receipts; None: they are passed on as they come.
    """

    log: FollowedLog
    feed: GuardFeed
    roll: ReceiptWriter | None = None


@frozen
class Relaying:
    """A relay that feeds guards at ``url``."""

    url: str
    realms: RelayedRealms


class RelayedRealms(Collector):
    """The realms of a relay; `run` follows them."""

    def __init__(
        self,
        make: Callable[[str], RelayedRealm],
        tokens: Tokens,
        first: set[str],
        refused: Counter[str] | None = None,
    ) -> None:
        """Set up.

        Args:
            make: gives a realm as it is relayed.
            tokens: let guards in.
            first: realms that are read before any guard asks.
            refused: receipts that could not be used, by reason.
        """
        self._make = make
        self._tokens = tokens
        self._first = sorted(first)
        self._refused_receipts = refused
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
            if each.roll is not None:
                await each.roll.flush()

    def stalled(self, now: float) -> list[str]:
        """Name what does not get on while Kafka answers: it needs a new process."""
        proven = [each.roll for each in self._realms.values() if each.log.proven]
        failing = [
            roll.failing_since
            for roll in proven
            if roll is not None and roll.failing_since is not None
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
        if self._refused_receipts is not None:
            yield refused_of(self._refused_receipts)
        yield from self._refused.counter.collect()

    def _realm(self, realm: str) -> RelayedRealm:
        """Realm as it is relayed; from now on, if it was not before."""
        found = self._realms.get(realm)
        if found is None:
            if len(self._realms) >= MOST_REALMS:
                raise unavailable("too many realms", "use another relay")
            found = self._realms[realm] = self._make(realm)
            self._tasks.create_task(found.log.run())
            if found.roll is not None:
                self._tasks.create_task(found.roll.run())
            log.info("realm_relayed", realm=realm, partition=found.log.partition)
        return found


def first_realms(settings: Settings) -> set[str]:
    """Realms of the guards that the settings name."""
    given = [each for each in settings.tokens if "guard" in each.roles]
    realms = {realm for each in given for realm in each.realms or {settings.realm}}
    return (realms - {ANY_REALM}) or {settings.realm}
