"""The composition root: the embedded server, put together from its parts."""

from __future__ import annotations

import asyncio
import functools
import secrets
import uuid
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import structlog
from attrs import frozen

from enforcement.clocks import boottime
from schemas.codec import in_force
from streams.apps.bootstrap import audit_key
from streams.apps.builders.alerting import alerting
from streams.apps.builders.description import described
from streams.apps.builders.embedded_analysis import AnalysisParts, analysis_parts
from streams.apps.builders.embedded_context import EmbeddedContext
from streams.apps.builders.embedded_guards import GuardParts, ServedGuards, guard_parts
from streams.apps.builders.embedded_inputs import embedded_inputs
from streams.apps.builders.embedded_metrics import ServerState, StoreMetrics
from streams.apps.builders.http_listener import accepting
from streams.apps.builders.sources import check_embedded, configured_guard_keys
from streams.engines.embedded.analysis import Analysis
from streams.engines.embedded.current import CurrentTable, StageLimit
from streams.engines.embedded.dead_letters import DeadLetterRetention
from streams.engines.embedded.fact_lookup import LoggedFacts
from streams.engines.embedded.findings_log import StoredDeadLetters, StoredFindings
from streams.engines.embedded.reader_process import ReaderProcess
from streams.engines.embedded.store import Store
from streams.engines.embedded.tables import StageTables
from streams.http.alert_metrics import AlertMetrics
from streams.http.events import Events
from streams.http.guards import Guards
from streams.http.lists import Lists
from streams.http.metrics import Metrics
from streams.http.names import Names
from streams.http.probes import Probes
from streams.http.publication import publication
from streams.http.queries import Queries
from streams.http.server import Handlers, application
from streams.http.status_lists import StatusLists
from streams.model.times import DAY
from streams.observability import metrics
from streams.process.lifecycle import heeding_signals, say_ready
from streams.process.loop_hold import ANALYSIS
from streams.process.server_clock import server_clock
from streams.services.status_entries import StatusEntries

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from aiohttp import web

    from streams.apps.builders.inputs import Inputs
    from streams.engines.embedded.stages import Stages
    from streams.http.feed import FeedServer
    from streams.http.prober import Prober
    from streams.http.publication import Publication
    from streams.settings.server import Settings

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
        about = EmbeddedContext(settings, store, clock, fresh_id, analysis, reading)
        analysed = await analysis_parts(about, given.vocabulary, receivers, signing)
        guarding = await guard_parts(
            about, analysed.stages, given.vocabulary, guard_keys
        )
        taking = await embedded_inputs(given, about, guarding.feed.pace.room)
        _limit(taking, about, analysed.stages)
        app = _application(about, taking, guarding, analysed)
        if published is not None:
            _status_lists(about, taking, analysed.stages, published).add_to(app)
        await cleanup.enter_async_context(taking.listening())
        serving = accepting(app, settings, taking.access, guarding.feed)
        url = await cleanup.enter_async_context(serving)
        log.info("serving", url=url, genesis=store.genesis, realm=settings.realm)
        say_ready(settings.ready_file, url)
        if started is not None:
            stages, feed = analysed.stages, guarding.feed
            started(Served(url, store.genesis, stages, feed, guarding.prober))
        await _work(store, [*_loops(about, taking, guarding, analysed)], stop)
        log.info("stopping")


def _limit(taking: Inputs, about: EmbeddedContext, stages: Stages) -> None:
    """Hold orders to the blast limits of the settings, where there are any."""
    orders = taking.orders
    if orders.limited:
        table = CurrentTable(stages, about.store)
        orders.limit_by(StageLimit(orders.limits, table, orders.desk, about.analysis))


def _application(
    about: EmbeddedContext,
    taking: Inputs,
    guarding: GuardParts,
    analysed: AnalysisParts,
) -> web.Application:
    """Make what answers requests, status lists apart."""
    handlers = _handlers(about, taking, guarding, analysed)
    app = application(handlers, about.settings.max_body_bytes)
    analysed.add_to(app, about, taking)
    taking.add_to(app)
    return app


def _status_lists(
    about: EmbeddedContext, taking: Inputs, stages: Stages, published: Publication
) -> StatusLists:
    """Make what publishes the state of tokens."""
    entries = StatusEntries(
        about.kept,
        CurrentTable(stages, about.store),
        about.clock,
        about.fresh_id,
        secrets.randbelow,
        about.analysis.run,
    )
    return StatusLists(
        taking.tokens,
        taking.speakers,
        taking.described.vocabulary,
        entries,
        published,
        taking.ports.intake.stated.secrets,
    )


def _loops(
    about: EmbeddedContext,
    taking: Inputs,
    guarding: GuardParts,
    analysed: AnalysisParts,
) -> Iterator[Loop]:
    """Coroutines that run until the server stops."""
    letters, aside = about.settings.dead_letters, about.analysis.run
    kept = int(letters.keep_days * DAY)
    yield from (*guarding.loops, *taking.loops(), analysed.watch.run)
    yield from taking.alone().values()
    yield DeadLetterRetention(about.store, kept, letters.most, about.clock).run
    yield from (functools.partial(aside, each) for each in analysed.loops())
    yield about.held.watch
    yield functools.partial(aside, about.held.watch, ANALYSIS)


def _handlers(
    about: EmbeddedContext,
    taking: Inputs,
    guarding: GuardParts,
    analysed: AnalysisParts,
) -> Handlers:
    """Make what answers requests."""
    tokens, speakers, ingest = taking.tokens, taking.speakers, taking.ports.intake
    settings, aside = taking.described.settings, about.analysis.run
    taking.receivers.hooks.read = about.reading.read
    feed, stages = guarding.feed, analysed.stages
    collectors = (
        ServerState(feed, stages),
        *guarding.metrics,
        *taking.collectors,
        AlertMetrics(analysed.notifier, analysed.attempts, about.clock),
        StoreMetrics(about.store, analysed.audit),
        about.held,
    )
    served = ServedGuards(guarding.closures, feed, settings.realm)
    tables = StageTables(stages, about.store, settings.realm)
    secrets, in_logs = ingest.stated.secrets, taking.ports.vaults.names
    operators = taking.orders.operators
    operators.apart, operators.known = about.reading.apart, tables.knows
    operators.logged = LoggedFacts(about.store, settings.realm)
    return Handlers(
        tokens,
        Events(tokens, taking.described.sources, speakers, ingest, about.reading.read),
        Queries(tokens, tables, speakers.clock, secrets, aside, in_logs),
        Names(tokens, secrets, in_logs, tables.table),
        Lists(
            tokens,
            StoredFindings(about.store),
            StoredDeadLetters(about.store),
            analysed.silences.all,
            aside,
        ),
        feed,
        _probes(guarding, analysed),
        Metrics(metrics.SERVER, *collectors),
        Guards(tokens, served, boottime),
    )


def _probes(guarding: GuardParts, analysed: AnalysisParts) -> Probes:
    """Live while every loop gets on, ready once the table is complete."""
    votes, loaded = guarding.feed.votes, analysed.stages.loaded

    def waiting(_: float) -> list[str]:
        return [] if loaded.is_set() else ["table"]

    def wrong() -> list[str]:
        return [] if votes is None or votes.fault is None else [votes.fault]

    return Probes(analysed.watch.stalled, waiting, wrong)


async def _work(store: Store, more: list[Loop], stop: asyncio.Event) -> None:
    """Run the loops; the first that breaks ends the server."""

    async def broken() -> None:
        await asyncio.shield(store.failure)

    async with asyncio.TaskGroup() as tasks:
        loops = [tasks.create_task(each()) for each in (broken, *more)]
        await stop.wait()
        for task in loops:
            task.cancel()
