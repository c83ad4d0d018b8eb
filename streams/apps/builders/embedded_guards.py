"""What feeds the guards of the embedded server, and proves what they enforce."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from attrs import frozen

from enforcement.clocks import boottime
from enforcement.turns import give_way_to
from streams.apps.builders.embedded_metrics import ProbeMetrics
from streams.apps.builders.sources import guard_names
from streams.engines.embedded.closures import Closures
from streams.engines.embedded.fact_log import StoredFactLog
from streams.engines.embedded.feed_log import StoredLog
from streams.engines.embedded.right_of_way import RightOfWay
from streams.http.closure_metrics import ClosureMetrics
from streams.http.feed import FeedServer
from streams.http.guards import Enforcement
from streams.http.prober import Prober
from streams.http.problems import not_found
from streams.http.receipts import ReceiptIntake
from streams.http.tables import SharedTables
from streams.process.server_clock import ServerClock

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from prometheus_client.registry import Collector

    from agents_registry.identifiers import Vocabulary
    from streams.apps.builders.embedded_context import EmbeddedContext
    from streams.engines.embedded.stages import Stages
    from streams.stages.closure.denials import DenialCounts
    from streams.stages.closure.guard_names import GuardKeys

    Loop = Callable[[], Coroutine[None, None, None]]


def own_enforcement(
    closures: Closures, feed: FeedServer, realm: str, denials: DenialCounts
) -> Callable[[str | None], Enforcement]:
    """Return what finds the guards that this server feeds; it serves one realm."""

    def enforcement(asked: str | None) -> Enforcement:
        if asked not in (None, realm):
            raise not_found("no such realm")
        return Enforcement(
            guards=closures.closure.guards,
            missed=closures.closure.missed,
            end=feed.end,
            deadline=closures.causes.deadline,
            credential=closures.roll.names.holder,
            result=closures.result,
            latest=closures.latest,
            arrivals=closures.closure.arrivals.of,
            whole=True,
            denials=denials,
            remove=closures.roll.remove,
            connected={each.guard for each in feed.connections},
            subscribers=sorted(
                {each.guard for each in feed.connections if each.session is None}
            ),
        )

    return enforcement


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
    way = RightOfWay()
    await about.analysis.call(give_way_to, way)
    log = StoredLog(store, settings.realm, lease_ms, way)
    tables = SharedTables(stages, log, aside, loading=stages.loaded.wait)
    feed = FeedServer(log, vocabulary, lease_ms, receipts, tables)
    feed.clock, feed.handed_on = clock, way.give
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
