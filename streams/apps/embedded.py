"""The composition root: the embedded server, put together from its parts."""

from __future__ import annotations

import asyncio
import functools
import secrets
import uuid
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import structlog
from attrs import Factory, frozen

from enforcement.clocks import boottime
from schemas.codec import in_force
from streams.apps.bootstrap import audit_key
from streams.apps.builders.alerting import alerting
from streams.apps.builders.description import described
from streams.apps.builders.inputs import Inputs, inputs
from streams.apps.builders.sources import (
    check_embedded,
    configured_guard_keys,
    guard_names,
    tolerances,
)
from streams.engines.embedded.analysis import Analysis
from streams.engines.embedded.audit import AuditSigner
from streams.engines.embedded.closures import Closures
from streams.engines.embedded.current import CurrentTable, StageLimit
from streams.engines.embedded.dead_letters import DeadLetterRetention
from streams.engines.embedded.liveness import LoopWatch
from streams.engines.embedded.notifier import Notifier
from streams.engines.embedded.reader_process import ReaderProcess
from streams.engines.embedded.silences import StoredSilences
from streams.engines.embedded.stages import Stages
from streams.engines.embedded.status_entries import StatusEntries
from streams.engines.embedded.store import Store
from streams.http.alert_metrics import AlertMetrics, Attempts
from streams.http.alerts import Alerts
from streams.http.audit import AuditPages
from streams.http.closure_metrics import ClosureMetrics
from streams.http.events import Events
from streams.http.feed import FeedServer
from streams.http.guards import Guards, ServedGuards
from streams.http.health import Health, StoreMetrics
from streams.http.prober import Prober
from streams.http.publication import publication
from streams.http.push import Push
from streams.http.queries import Lists, Queries, StageTables
from streams.http.receipts import ReceiptIntake
from streams.http.server import Handlers, application, listen
from streams.http.silences import SilencePages, act_of
from streams.http.status_lists import StatusLists
from streams.http.tables import SharedTables
from streams.model.times import DAY
from streams.process.lifecycle import heeding_signals, say_ready
from streams.process.loop_hold import ANALYSIS, LoopHold
from streams.process.server_clock import ServerClock, server_clock
from streams.services.audit_sinks import Sinks

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from aiohttp import web
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from prometheus_client.registry import Collector

    from agents_registry.identifiers import Vocabulary
    from streams.apps.builders.alerting import Alerting
    from streams.services.audit_heads import HeadKey
    from streams.settings.server import Settings
    from streams.stages.closure.guard_names import GuardKeys

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
    feed: FeedServer
    prober: Prober


async def serve(
    settings: Settings,
    *,
    stop: asyncio.Event | None = None,
    started: Callable[[Served], None] | None = None,
    clock: Callable[[], int] | None = None,
    fresh_id: Callable[[], str] = lambda: uuid.uuid4().hex,  # noqa: TID251 - as above
) -> None:
    """Run the embedded server until ``stop`` is set, or SIGTERM or SIGINT comes.

    Args:
        settings: of the server.
        stop: ends it.
        started: called once it accepts requests.
        clock: gives the time (ns); by default the machine's, held to the guards'.
        fresh_id: gives unique ids.

    Raises:
        ConfigurationError: the settings contradict themselves.
        EndpointError: no attempt could use what is set for a receiver of alerts.
        ValueError: the key that signs status lists or the audit chain cannot be used.
        InUseError: another process serves from the data folder.
        LostLogError: the log that the data folder held is gone.
        OSError: the address cannot be bound.
    """
    stop, clock = stop or asyncio.Event(), clock or server_clock()
    in_force()  # schemas are read and compiled now, and not while somebody waits
    check_embedded(settings)
    given = described(settings)
    receivers = alerting(settings)
    published = publication(settings)
    guard_keys = configured_guard_keys(settings)
    signing = audit_key(settings.data_dir, settings.audit_key)
    store = Store.open(settings.data_dir, realm=settings.realm, genesis=fresh_id())
    async with AsyncExitStack() as cleanup:
        cleanup.push_async_callback(store.close)
        cleanup.enter_context(heeding_signals(stop))
        reading, analysis = ReaderProcess(), Analysis()
        cleanup.push_async_callback(reading.close)
        await cleanup.enter_async_context(analysis.running())
        about = _Surroundings(settings, store, clock, fresh_id, analysis, reading)
        analysed = await _analysed(about, given.vocabulary, receivers, signing)
        stages = analysed.stages
        guarding = await _guarding(about, stages, given.vocabulary, guard_keys)
        feed = guarding.feed
        taking = await inputs(given, store, feed.pace.room, clock, fresh_id)
        taking.orders.operators.apart = reading.apart
        if taking.orders.limited:
            limits, table = taking.orders.limits, CurrentTable(stages, store)
            desk = taking.orders.desk
            taking.orders.limit_by(StageLimit(limits, table, desk, analysis))
        handlers = _handlers(about, taking, guarding, analysed)
        app = application(handlers, settings.max_body_bytes)
        analysed.add_to(app, about, taking)
        taking.add_to(app)
        if published is not None:
            entries = StatusEntries(
                store, stages, clock, fresh_id, secrets.randbelow, analysis
            )
            StatusLists(
                taking.tokens,
                taking.speakers,
                given.vocabulary,
                entries,
                published,
                taking.ingest.stated.secrets,
            ).add_to(app)
        await cleanup.enter_async_context(taking.listening())
        where, tls = settings.listen, taking.access.context
        runner, url = await listen(
            app, where.host, where.port, tls=tls, bounds=settings.connections
        )
        cleanup.push_async_callback(runner.cleanup)
        cleanup.push_async_callback(feed.close)
        log.info("serving", url=url, genesis=store.genesis, realm=settings.realm)
        say_ready(settings.ready_file, url)
        if started is not None:
            started(Served(url, store.genesis, stages, feed, guarding.prober))
        kept, most = settings.dead_letters.keep_days * DAY, settings.dead_letters.most
        retention = DeadLetterRetention(store, int(kept), most, clock)
        loops = [*guarding.loops, *taking.loops(), analysed.watch.run, retention.run]
        loops += [functools.partial(analysis.run, each) for each in analysed.loops()]
        loops += [
            about.held.watch,
            functools.partial(analysis.run, about.held.watch, ANALYSIS),
        ]
        await _work(store, loops, stop)
        log.info("stopping")


@frozen
class _Surroundings:
    """What every part is made with.

    Attributes:
        clock: gives the time (ns).
        fresh_id: gives unique ids.
        held: how long the two event loops are.
    """

    settings: Settings
    store: Store
    clock: Callable[[], int]
    fresh_id: Callable[[], str]
    analysis: Analysis
    reading: ReaderProcess
    held: LoopHold = Factory(lambda: LoopHold(ANALYSIS))


@frozen
class _Analysed:
    """What runs in the event loop of the analysis, and what is told of it."""

    stages: Stages
    notifier: Notifier
    attempts: Attempts
    silences: StoredSilences
    audit: AuditSigner
    watch: LoopWatch

    def loops(self) -> Iterator[Loop]:
        """Give what runs there until cancelled."""
        yield _loaded(self.stages)
        yield self.audit.run
        if self.notifier.routes:
            yield _loaded(self.notifier)

    def add_to(
        self, app: web.Application, about: _Surroundings, taking: Inputs
    ) -> None:
        """Add the routes."""
        realm, clock, aside = about.settings.realm, about.clock, about.analysis.run
        record = taking.ingest.record_act
        Alerts(taking.tokens, self.notifier, realm, clock, record, aside).add_to(app)
        silencing = SilencePages(
            taking.tokens,
            self.silences,
            self.notifier,
            clock,
            realm=realm,
            fresh_id=about.fresh_id,
            record_act=act_of(realm, clock, record),
            aside=aside,
        )
        silencing.hashed_kinds = taking.ingest.stated.secrets.kinds
        silencing.add_to(app)
        AuditPages(taking.tokens, self.audit, aside).add_to(app)


async def _analysed(
    about: _Surroundings, vocabulary: Vocabulary, receivers: Alerting, signing: HeadKey
) -> _Analysed:
    """Make it where it is to run."""
    settings, store, clock = about.settings, about.store, about.clock
    attempts = Attempts()
    post = attempts.counting(receivers.poster(clock))
    sinks = Sinks(settings.audit_sinks)
    judged = tolerances(settings)

    def made() -> _Analysed:
        stages = Stages(store, settings.realm, vocabulary, judged, clock)
        notifier = Notifier(store, receivers.routes, post, clock)
        silences = StoredSilences(store, clock)
        notifier.silences, silences.changed = silences.all, notifier.heed
        audit = AuditSigner(store, settings.realm, signing, clock, sinks)
        watch = LoopWatch(store, stages, notifier)
        return _Analysed(stages, notifier, attempts, silences, audit, watch)

    return await about.analysis.call(made)


@frozen
class _Guarding:
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


async def _guarding(
    about: _Surroundings,
    stages: Stages,
    vocabulary: Vocabulary,
    guard_keys: GuardKeys[Ed25519PublicKey],
) -> _Guarding:
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
    receipts = ReceiptIntake(closures.roll, guard_keys, boottime, closures.refuse)
    tables = SharedTables(stages, store, aside)
    lease_ms = int(settings.lease_seconds * 1000)
    feed = FeedServer(store, settings.realm, vocabulary, lease_ms, receipts, tables)
    feed.clock = clock
    judging: tuple[Loop, ...] = ()
    if isinstance(clock, ServerClock):
        feed.votes, judging = clock, (clock.run,)
    prober = Prober(
        feed,
        closures,
        stages,
        store,
        clock,
        secrets.SystemRandom().sample,
        settings.closure.probe_seconds,
        aside,
    )
    metrics = ClosureMetrics(closures, receipts, prober), closures.propagation
    loops = (closures.run, prober.run, *judging)
    return _Guarding(closures, feed, prober, metrics, loops)


def _handlers(
    about: _Surroundings, taking: Inputs, guarding: _Guarding, analysed: _Analysed
) -> Handlers:
    """Make what answers requests."""
    tokens, speakers, ingest = taking.tokens, taking.speakers, taking.ingest
    settings, aside = taking.described.settings, about.analysis.run
    taking.vendors.receivers.hooks.read = about.reading.read
    feed, stages = guarding.feed, analysed.stages
    metrics = (
        *guarding.metrics,
        *taking.vendors.collectors,
        AlertMetrics(analysed.notifier, analysed.attempts, about.clock),
        StoreMetrics(about.store, analysed.audit),
        about.held,
        taking.orders.collector,
    )
    served = ServedGuards(guarding.closures, feed, settings.realm)
    tables = StageTables(stages, taking.store, settings.realm)
    taking.orders.operators.known = tables.knows
    return Handlers(
        tokens,
        Events(tokens, taking.described.sources, speakers, ingest, about.reading.read),
        Queries(
            tokens,
            tables,
            speakers.clock,
            ingest.stated.secrets,
            aside,
            taking.vaults.names,
        ),
        Lists(tokens, taking.store, analysed.silences.all, aside),
        feed,
        Health(feed, stages, analysed.watch, *metrics),
        Push(tokens, taking.streams.receivers, speakers),
        Guards(tokens, served, boottime),
    )


def _loaded(stage: Stages | Notifier) -> Loop:
    """Give a loop that begins with what was saved of it."""

    async def run() -> None:
        await stage.load()
        await stage.run()

    return run


async def _work(store: Store, more: list[Loop], stop: asyncio.Event) -> None:
    """Run the loops; the first that breaks ends the server."""

    async def broken() -> None:
        await asyncio.shield(store.failure)

    async with asyncio.TaskGroup() as tasks:
        loops = [tasks.create_task(each()) for each in (broken, *more)]
        await stop.wait()
        for task in loops:
            task.cancel()
