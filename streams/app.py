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
from streams.configured import (
    ROUTE,
    check,
    configured_guard_keys,
    configured_sources,
    configured_streams,
    endpoint_of,
    tolerances,
)
from streams.engine.closures import Closures
from streams.engine.ingest import Ingest
from streams.engine.line_server import LineServer
from streams.engine.notifier import Notifier
from streams.engine.source_health import SourceHealth
from streams.engine.stages import Stages
from streams.engine.status_entries import StatusEntries
from streams.engine.store import Store
from streams.engine.tails import Tail
from streams.findings import Severity
from streams.followed_logs import following, listening
from streams.http.auth import Tokens
from streams.http.closure_metrics import ClosureMetrics
from streams.http.events import Events, Speakers
from streams.http.feed import Feed
from streams.http.guards import Guards, ServedGuards
from streams.http.health import Health
from streams.http.operators import Operators
from streams.http.prober import Prober
from streams.http.publication import publication
from streams.http.push import Push
from streams.http.queries import Lists, Queries, StageTables
from streams.http.receipts import Receipts
from streams.http.server import Handlers, application, listen
from streams.http.status_lists import StatusLists
from streams.http.tables import Tables
from streams.running import heeding_signals
from streams.ssf.streams import Streams, Surroundings
from streams.stages.deliveries import Route
from streams.vaults import configured_vaults
from streams.vendors import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from prometheus_client.registry import Collector

    from agents_registry.identifiers import Vocabulary
    from streams.settings import Settings, Webhook
    from streams.sinks.http_delivery import Endpoint
    from streams.stages.deliveries import Delivery, Outcome

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
        EndpointError: no attempt could use the webhook's URL or its secret.
        ValueError: the key that signs status lists cannot be used.
        InUseError: another process serves from the data folder.
        LostLogError: the log that the data folder held is gone.
        OSError: the address cannot be bound.
    """
    stop = stop or asyncio.Event()
    vocabulary, sources = configured_sources(settings)
    check(settings, sources)
    endpoint = endpoint_of(settings.webhook)
    published = publication(settings)
    verifiers = configured_streams(settings)
    guard_keys = configured_guard_keys(settings)
    store = Store.open(settings.data_dir, realm=settings.realm, genesis=fresh_id())
    async with AsyncExitStack() as cleanup:
        cleanup.push_async_callback(store.close)
        cleanup.enter_context(heeding_signals(stop))
        judged = tolerances(settings)
        stages = Stages(store, settings.realm, vocabulary, judged, clock)
        guarding = await _guarding(
            settings, store, stages, vocabulary, guard_keys, clock
        )
        feed = guarding.feed
        vaults = configured_vaults(settings, clock, store)
        ingest = Ingest(store, fresh_id, feed.pace.room, vaults.complete)
        speakers = Speakers(settings, clock)
        tokens = Tokens(settings.tokens)
        keeper = SourceHealth(store)
        around = Surroundings(ingest, speakers.speaker, keeper, clock, fresh_id)
        streams = Streams(settings.ssf, verifiers, around)
        vendors = connect(settings, tokens, speakers, ingest, store, fresh_id)
        genesis = store.genesis
        handlers = Handlers(
            tokens,
            Events(tokens, sources, speakers, ingest),
            Operators(tokens, speakers, ingest, vocabulary, fresh_id, vaults.names),
            Queries(tokens, StageTables(stages, store, settings.realm), clock),
            Lists(tokens, store),
            feed,
            Health(feed, stages, *guarding.metrics, vendors.counts),
            Push(tokens, streams.receivers, speakers),
            Guards(
                tokens,
                ServedGuards(guarding.closures, feed, settings.realm),
                boottime,
            ),
        )
        tails = [
            Tail(following(watch, sources, speakers), store, ingest, clock)
            for watch in settings.watch
        ]
        notifier = _notifier(settings.webhook, endpoint, store, clock)
        app = application(handlers, settings.max_body_bytes)
        vendors.add_to(app)
        if published is not None:
            entries = StatusEntries(store, stages, clock, fresh_id, secrets.randbelow)
            lists = StatusLists(tokens, speakers, vocabulary, entries, published)
            lists.add_to(app)
        for lines in listening(sources, speakers):
            server = LineServer(lines, store, ingest, clock)
            await cleanup.enter_async_context(server.serving())
        runner, url = await listen(app, settings.listen.host, settings.listen.port)
        cleanup.push_async_callback(runner.cleanup)
        cleanup.push_async_callback(feed.close)
        log.info("serving", url=url, genesis=genesis, realm=settings.realm)
        if settings.ready_file is not None:
            settings.ready_file.write_text(f"{url}\n", "utf-8")
        if started is not None:
            started(Served(url, genesis, stages, feed, guarding.prober))
        polls = [poller.run for poller in vendors.pollers]
        polls += [*vaults.asking(ingest, speakers),
                  *vaults.looking(ingest, store, speakers)]  # fmt: skip
        followed = [*guarding.loops, *polls, *streams.loops()]
        await _work(store, stages, followed, notifier, tails, stop)
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
    loops: tuple[Callable[[], Coroutine[None, None, None]], ...]


async def _guarding(
    settings: Settings,
    store: Store,
    stages: Stages,
    vocabulary: Vocabulary,
    guard_keys: Mapping[str, Ed25519PublicKey],
    clock: Callable[[], int],
) -> _Guarding:
    """Make what feeds guards, and proves what they enforce."""
    closures = Closures(store, settings.closure.deadline, clock, boottime)
    await closures.load()
    receipts = Receipts(closures.roll, guard_keys, boottime)
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


async def _work(
    store: Store,
    stages: Stages,
    more: list[Callable[[], Coroutine[None, None, None]]],
    notifier: Notifier | None,
    tails: list[Tail],
    stop: asyncio.Event,
) -> None:
    """Run the loops; the first that breaks ends the server."""

    async def stages_loop() -> None:
        await stages.load()
        await stages.run()

    async def notifier_loop(each: Notifier) -> None:
        await each.load()
        await each.run()

    async def broken() -> None:
        await asyncio.shield(store.failure)

    async with asyncio.TaskGroup() as tasks:
        loops = [tasks.create_task(stages_loop()), tasks.create_task(broken())]
        loops += [tasks.create_task(each()) for each in more]
        loops += [tasks.create_task(tail.run()) for tail in tails]
        if notifier is not None:
            loops.append(tasks.create_task(notifier_loop(notifier)))
        await stop.wait()
        for task in loops:
            task.cancel()


def _notifier(
    webhook: Webhook | None,
    endpoint: Endpoint | None,
    store: Store,
    clock: Callable[[], int],
) -> Notifier | None:
    if webhook is None or endpoint is None:
        return None
    from streams.sinks import http_delivery  # noqa: PLC0415 - lazily

    async def post(delivery: Delivery) -> Outcome:
        return await http_delivery.post(endpoint, delivery, clock())

    route = Route(name=ROUTE, minimum=Severity(webhook.minimum_severity))
    return Notifier(store, [route], post, clock)
