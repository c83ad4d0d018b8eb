"""The composition root: the embedded server, put together from its parts."""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import structlog
from attrs import frozen

from enforcement.clocks import boottime
from streams.alerting import alerting
from streams.audit_sinks import Sinks
from streams.configured import (
    configured_guard_keys,
    guard_names,
    tolerances,
)
from streams.described import described
from streams.engine.audit import Audit
from streams.engine.closures import Closures
from streams.engine.current import CurrentTable
from streams.engine.notifier import Notifier
from streams.engine.silences import StoredSilences
from streams.engine.stages import Stages
from streams.engine.status_entries import StatusEntries
from streams.engine.store import Store
from streams.engine.watch import Watch
from streams.first_start import audit_key
from streams.http.alert_metrics import AlertMetrics, Attempts
from streams.http.alerts import Alerts
from streams.http.audit import AuditPages
from streams.http.closure_metrics import ClosureMetrics
from streams.http.events import Events
from streams.http.feed import Feed
from streams.http.guards import Guards, ServedGuards
from streams.http.health import Health, StoreMetrics
from streams.http.prober import Prober
from streams.http.publication import publication
from streams.http.push import Push
from streams.http.queries import Lists, Queries, StageTables
from streams.http.receipts import Receipts
from streams.http.server import Handlers, application, listen
from streams.http.silences import SilencePages, act_of
from streams.http.status_lists import StatusLists
from streams.http.tables import Tables
from streams.inputs import Inputs, inputs
from streams.running import heeding_signals, say_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from prometheus_client.registry import Collector

    from agents_registry.identifiers import Vocabulary
    from streams.settings import Settings
    from streams.stages.guard_names import GuardKeys
    from streams.stages.silences import Silence

    Loop = Callable[[], Coroutine[None, None, None]]

log = structlog.get_logger()


@frozen
class Served:
    """A server that accepts requests.

    Attributes:
        url: where; the port is the one that was bound.
        genesis: id of the log.
    """

    url: str
    genesis: str
    stages: Stages
    feed: Feed
    prober: Prober


async def serve(
    settings: Settings,
    *,
    stop: asyncio.Event | None = None,
    started: Callable[[Served], None] | None = None,
    clock: Callable[[], int] = time.time_ns,  # noqa: TID251 - the composition root
    fresh_id: Callable[[], str] = lambda: uuid.uuid4().hex,  # noqa: TID251 - as above
) -> None:
    """Run the embedded server until ``stop`` is set, or SIGTERM or SIGINT comes.

    Args:
        settings: of the server.
        stop: ends it.
        started: called once it accepts requests.
        clock: gives the time (ns).
        fresh_id: gives unique ids.

    Raises:
        ConfigurationError: the settings contradict themselves.
        EndpointError: no attempt could use what is set for a receiver of alerts.
        ValueError: the key that signs status lists or the audit chain cannot be used.
        InUseError: another process serves from the data folder.
        LostLogError: the log that the data folder held is gone.
        OSError: the address cannot be bound.
    """
    stop = stop or asyncio.Event()
    given = described(settings)
    receivers = alerting(settings)
    published = publication(settings)
    guard_keys = configured_guard_keys(settings)
    signing = audit_key(settings.data_dir, settings.audit_key)
    store = Store.open(settings.data_dir, realm=settings.realm, genesis=fresh_id())
    async with AsyncExitStack() as cleanup:
        cleanup.push_async_callback(store.close)
        cleanup.enter_context(heeding_signals(stop))
        judged = tolerances(settings)
        stages = Stages(store, settings.realm, given.vocabulary, judged, clock)
        guarding = await _guarding(
            settings, store, stages, given.vocabulary, guard_keys, clock
        )
        feed = guarding.feed
        taking = await inputs(given, store, feed.pace.room, clock, fresh_id)
        if taking.orders.limited:
            taking.orders.hold_to(CurrentTable(stages, store))
        attempts = Attempts()
        post = attempts.counting(receivers.poster(clock))
        notifier = Notifier(store, receivers.routes, post, clock)
        silences = StoredSilences(store, clock)
        notifier.silences, silences.changed = silences.all, notifier.heed
        sinks = Sinks(settings.audit_sinks)
        audit = Audit(store, settings.realm, signing, clock, sinks)
        told = (
            AlertMetrics(notifier, attempts, clock),
            StoreMetrics(store, audit),
            taking.orders.collector,
        )
        watch = Watch(store, stages, notifier)
        handlers = _handlers(taking, stages, guarding, watch, told, silences.all)
        app = application(handlers, settings.max_body_bytes)
        Alerts(
            taking.tokens, notifier, settings.realm, clock, taking.ingest.record_act
        ).add_to(app)
        SilencePages(
            taking.tokens,
            silences,
            notifier,
            clock,
            realm=settings.realm,
            fresh_id=fresh_id,
            record_act=act_of(settings.realm, clock, taking.ingest.record_act),
        ).add_to(app)
        AuditPages(taking.tokens, audit).add_to(app)
        taking.add_to(app)
        if published is not None:
            entries = StatusEntries(store, stages, clock, fresh_id, secrets.randbelow)
            StatusLists(
                taking.tokens, taking.speakers, given.vocabulary, entries, published
            ).add_to(app)
        await cleanup.enter_async_context(taking.listening())
        where, tls = settings.listen, taking.access.context
        runner, url = await listen(app, where.host, where.port, tls=tls)
        cleanup.push_async_callback(runner.cleanup)
        cleanup.push_async_callback(feed.close)
        log.info("serving", url=url, genesis=store.genesis, realm=settings.realm)
        say_ready(settings.ready_file, url)
        if started is not None:
            started(Served(url, store.genesis, stages, feed, guarding.prober))
        loops = [*guarding.loops, *taking.loops(), audit.run, watch.run]
        await _work(store, stages, loops, notifier, stop)
        log.info("stopping")


@frozen
class _Guarding:
    """What follows the guards.

    Attributes:
        metrics: what is told of them at ``/metrics``.
        loops: to be run.
    """

    closures: Closures
    feed: Feed
    prober: Prober
    metrics: tuple[Collector, ...]
    loops: tuple[Loop, ...]


async def _guarding(
    settings: Settings,
    store: Store,
    stages: Stages,
    vocabulary: Vocabulary,
    guard_keys: GuardKeys[Ed25519PublicKey],
    clock: Callable[[], int],
) -> _Guarding:
    """Make what feeds guards, and proves what they enforce."""
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
    receipts = Receipts(closures.roll, guard_keys, boottime, closures.refuse)
    tables = Tables(stages, store)
    lease_ms = int(settings.lease_seconds * 1000)
    feed = Feed(store, settings.realm, vocabulary, lease_ms, receipts, tables)
    prober = Prober(
        feed,
        closures,
        stages,
        store,
        clock,
        secrets.SystemRandom().sample,
        settings.closure.probe_seconds,
    )
    metrics = ClosureMetrics(closures, receipts, prober), closures.propagation
    return _Guarding(closures, feed, prober, metrics, (closures.run, prober.run))


def _handlers(
    taking: Inputs,
    stages: Stages,
    guarding: _Guarding,
    watch: Watch,
    more: tuple[Collector, ...],
    silences: Callable[[], tuple[Silence, ...]],
) -> Handlers:
    """Make what answers requests."""
    tokens, speakers, ingest = taking.tokens, taking.speakers, taking.ingest
    settings, collectors = taking.described.settings, taking.vendors.collectors
    feed, metrics = guarding.feed, (*guarding.metrics, *collectors, *more)
    served = ServedGuards(guarding.closures, feed, settings.realm)
    tables = StageTables(stages, taking.store, settings.realm)
    return Handlers(
        tokens,
        Events(tokens, taking.described.sources, speakers, ingest),
        Queries(tokens, tables, speakers.clock),
        Lists(tokens, taking.store, silences),
        feed,
        Health(feed, stages, watch, *metrics),
        Push(tokens, taking.streams.receivers, speakers),
        Guards(tokens, served, boottime),
    )


async def _work(
    store: Store,
    stages: Stages,
    more: list[Loop],
    notifier: Notifier,
    stop: asyncio.Event,
) -> None:
    """Run the loops; the first that breaks ends the server."""

    async def stages_loop() -> None:
        await stages.load()
        await stages.run()

    async def notifier_loop() -> None:
        await notifier.load()
        await notifier.run()

    async def broken() -> None:
        await asyncio.shield(store.failure)

    async with asyncio.TaskGroup() as tasks:
        loops = [tasks.create_task(stages_loop()), tasks.create_task(broken())]
        loops += [tasks.create_task(each()) for each in more]
        if notifier.routes:
            loops.append(tasks.create_task(notifier_loop()))
        await stop.wait()
        for task in loops:
            task.cancel()
