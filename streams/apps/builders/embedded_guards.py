"""What feeds the guards of the embedded server, and proves what they enforce."""

from __future__ import annotations

import http
import secrets
from typing import TYPE_CHECKING, Self

from attrs import frozen

from enforcement.clocks import boottime
from streams.apps.builders.embedded_metrics import ProbeMetrics
from streams.apps.builders.sources import guard_names
from streams.engines.embedded.closures import Closures
from streams.engines.embedded.fact_log import StoredFactLog
from streams.engines.embedded.feed_log import StoredLog
from streams.http.closure_metrics import ClosureMetrics
from streams.http.feed import FeedServer
from streams.http.prober import Prober
from streams.http.problems import ProblemError
from streams.http.receipts import ReceiptIntake
from streams.http.tables import SharedTables
from streams.process.server_clock import ServerClock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from prometheus_client.registry import Collector

    from agents_registry.identifiers import Vocabulary
    from streams.apps.builders.embedded_context import EmbeddedContext
    from streams.engines.embedded.stages import Stages
    from streams.stages.closure.closure import RegisteredGuard
    from streams.stages.closure.guard_names import GuardKeys
    from streams.stages.closure.results import Result

    Loop = Callable[[], Coroutine[None, None, None]]


class ServedGuards:
    """The guards that this server feeds; it serves one realm."""

    def __init__(self, closures: Closures, feed: FeedServer, realm: str) -> None:
        self._closures = closures
        self._feed = feed
        self._realm = realm

    def enforcement(self, realm: str | None) -> Self:
        """Return this object: there is one realm."""
        if realm not in (None, self._realm):
            raise ProblemError(http.HTTPStatus.NOT_FOUND, "no such realm")
        return self

    def credential(self, guard: str) -> str | None:
        """Name the credential that registered first under a name."""
        return self._closures.roll.names.holder(guard)

    @property
    def guards(self) -> Mapping[str, RegisteredGuard]:
        """Registered guards."""
        return self._closures.closure.guards

    @property
    def end(self) -> int:
        """End of the log."""
        return self._feed.end

    @property
    def deadline(self) -> float:
        """Seconds until a finding."""
        return self._closures.causes.deadline

    @property
    def connected(self) -> Collection[str]:
        """Name those that are fed."""
        return {each.guard for each in self._feed.connections}

    @property
    def subscribers(self) -> list[str]:
        """Name those that are fed and send no receipts."""
        return sorted(
            {each.guard for each in self._feed.connections if each.session is None}
        )

    async def result(self, identity: str) -> Result | None:
        """Revocation by its id."""
        return await self._closures.result(identity)

    async def remove(self, guard: str, actor: str) -> bool:
        """Let a guard go, and say in the audit record who wanted it."""
        return await self._closures.roll.remove(guard, actor)


@frozen
class GuardParts:
    """What follows the guards.

    Attributes:
        metrics: what is told of them at ``/metrics``.
        loops: to be run.
    """

    closures: Closures
    feed: FeedServer
    prober: Prober
    metrics: tuple[Collector, ...]
    loops: tuple[Loop, ...]


async def guard_parts(
    about: EmbeddedContext,
    stages: Stages,
    vocabulary: Vocabulary,
    guard_keys: GuardKeys[Ed25519PublicKey],
) -> GuardParts:
    """Make what feeds guards, and proves what they enforce."""
    settings, store, clock = about.settings, about.store, about.clock
    aside = about.analysis.run
    points = stages.sentinel.points
    closures = Closures(
        store,
        settings.closure.deadline,
        clock,
        boottime,
        points,
        guard_names(settings),
    )
    await closures.load()
    tally = closures.tally
    receipts = ReceiptIntake(
        closures.roll, guard_keys, boottime, closures.refuse, tally.refused
    )
    lease_ms = int(settings.lease_seconds * 1000)
    log = StoredLog(store, settings.realm, lease_ms)
    tables = SharedTables(stages, log, aside)
    feed = FeedServer(log, vocabulary, lease_ms, receipts, tables)
    feed.clock = clock
    judging: tuple[Loop, ...] = ()
    if isinstance(clock, ServerClock):
        feed.votes, judging = clock, (clock.run,)
    prober = Prober(
        feed,
        closures,
        stages,
        StoredFactLog(store, feed.pace.room),
        settings.realm,
        store.genesis,
        clock,
        secrets.SystemRandom().sample,
        settings.closure.probe_seconds,
        aside,
    )
    followed = ClosureMetrics(lambda: [closures.closure], tally, boottime)
    loops = (closures.run, prober.run, *judging)
    return GuardParts(closures, feed, prober, (followed, ProbeMetrics(prober)), loops)
