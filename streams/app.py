"""The composition root: the embedded server, put together from its parts."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import sys
import time
import uuid
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final

import structlog
from attrs import evolve, frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from agents_registry.identifiers import Vocabulary, extend
from enforcement.clocks import boottime
from streams.engine.closures import Closures
from streams.engine.ingest import Ingest
from streams.engine.notifier import Notifier
from streams.engine.source_health import SourceHealth
from streams.engine.stages import Stages
from streams.engine.status_entries import StatusEntries
from streams.engine.store import Store
from streams.engine.tails import Followed, Tail
from streams.findings import Severity
from streams.http.auth import Tokens
from streams.http.closure_metrics import ClosureMetrics
from streams.http.events import Events, Source, Speakers
from streams.http.feed import Feed
from streams.http.guards import Guards
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
from streams.sources import SOURCES, source
from streams.sources.stream import open_stream
from streams.ssf.streams import Streams, Surroundings, verifier_of
from streams.stages.deliveries import Route
from streams.stages.sentinel import Tolerances
from streams.times import SECOND
from streams.vendors import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from streams.engine.ingest import Reader
    from streams.records import Record
    from streams.settings import Settings, SourceSettings, Watch, Webhook
    from streams.sinks.http_delivery import Endpoint
    from streams.ssf.receiver import Verifier
    from streams.stages.admission import Rights
    from streams.stages.deliveries import Delivery, Outcome
    from streams.stages.ingress import Origin

GENERIC: Final = "generic"
SIGNED: Final = "ssf"  # verified by `streams.http.push`, never read as plain events
ROUTE: Final = "webhook"

# Where it broke, and nothing of what the variables there held: tokens and bodies.
_TRACEBACKS: Final = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)

log = structlog.get_logger()


class ConfigurationError(ValueError):
    """The settings contradict themselves; the text says what to change."""


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


class _Continuing:
    """Reads one growing OpenBao audit file, whose calls span two reads."""

    def __init__(self) -> None:
        self._stream = open_stream(source("openbao"), patient=False)

    def records(self, data: bytes) -> Iterator[Record]:
        return self._stream.feed(data)


def configure_logging(level: int = logging.INFO) -> None:
    """Write one JSON object a line to standard error."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _TRACEBACKS,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


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
        lease_ms = int(settings.lease_seconds * 1000)
        closures = Closures(store, settings.closure.deadline, clock, boottime)
        await closures.load()
        receipts = Receipts(closures.roll, guard_keys, boottime)
        judged = tolerances(settings)
        stages = Stages(store, settings.realm, vocabulary, judged, clock)
        tables = Tables(stages, store)
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
        ingest = Ingest(store, fresh_id, feed.pace.room)
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
            Operators(tokens, speakers, ingest, vocabulary, fresh_id),
            Queries(tokens, StageTables(stages, store, settings.realm), clock),
            Lists(tokens, store),
            feed,
            Health(
                feed,
                stages,
                ClosureMetrics(closures, receipts, prober),
                closures.propagation,
                vendors.counts,
            ),
            Push(tokens, streams.receivers, speakers),
            Guards(tokens, closures, feed, boottime),
        )
        if published is not None:
            entries = StatusEntries(store, stages, clock, fresh_id, secrets.randbelow)
            handlers = evolve(
                handlers,
                status_lists=StatusLists(
                    tokens, speakers, vocabulary, entries, published
                ),
            )
        tails = [
            Tail(_followed(watch, sources, speakers), store, ingest)
            for watch in settings.watch
        ]
        notifier = _notifier(settings.webhook, endpoint, store, clock)
        app = application(handlers, settings.max_body_bytes)
        vendors.add_to(app)
        runner, url = await listen(app, settings.listen.host, settings.listen.port)
        cleanup.push_async_callback(runner.cleanup)
        cleanup.push_async_callback(feed.close)
        log.info("serving", url=url, genesis=genesis, realm=settings.realm)
        if settings.ready_file is not None:
            settings.ready_file.write_text(f"{url}\n", "utf-8")
        if started is not None:
            started(Served(url, genesis, stages, feed, prober))
        polls = [poller.run for poller in vendors.pollers]
        followed = [closures.run, prober.run, *polls, *streams.loops()]
        await _work(store, stages, followed, notifier, tails, stop)
        log.info("stopping")


@contextmanager
def heeding_signals(stop: asyncio.Event) -> Iterator[None]:
    """Let SIGTERM and SIGINT set an event meanwhile."""
    loop = asyncio.get_running_loop()
    heeded = []
    for number in (signal.SIGTERM, signal.SIGINT):
        # Only the main thread may; elsewhere there is the caller's `stop`.
        with suppress(ValueError, RuntimeError, NotImplementedError):
            loop.add_signal_handler(number, stop.set)
            heeded.append(number)
    try:
        yield
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)


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


def configured_sources(settings: Settings) -> tuple[Vocabulary, dict[str, Source]]:
    """Give the vocabulary with the settings' kinds, and the sources by name.

    Raises:
        ConfigurationError: a source has an unknown format, or no mapping file.
    """
    kinds: dict[str, str] = dict(settings.kinds)
    sources = {}
    for name, each in settings.sources.items():
        make, declared = _reader(name, each)
        kinds |= declared
        sources[name] = Source(name, make, each.point)
    return extend(kinds), sources


def _reader(
    name: str, each: SourceSettings
) -> tuple[Callable[[], Reader], dict[str, str]]:
    """Give the maker of a source's readers, and the kinds that its mapping declares."""
    if each.format != GENERIC:
        if each.format not in SOURCES:
            known = ", ".join(sorted([*SOURCES, GENERIC]))
            raise ConfigurationError(f"source {name}: format is one of {known}")
        if each.format == SIGNED:
            text = "signed tokens need a verified stream; set it up under ssf"
            raise ConfigurationError(f"source {name}: {text}")
        return lambda: source(each.format), {}
    if each.mapping is None:
        raise ConfigurationError(f"source {name}: generic needs a mapping file")
    from streams.sources.generic import Generic  # noqa: PLC0415 - lazily
    from streams.sources.mapping import load_mapping  # noqa: PLC0415 - lazily

    text = each.mapping.read_text("utf-8")
    mapping = load_mapping(text, str(each.mapping))
    return lambda: Generic(mapping), dict(mapping.kinds)


def configured_streams(settings: Settings) -> dict[str, Verifier]:
    """Give what verifies the signed tokens of each stream, by its name.

    Raises:
        ConfigurationError: the keys of a stream cannot be read from their file, or
            its settings do not fit together.
    """
    verifiers = {}
    for name, each in settings.ssf.items():
        try:
            verifiers[name] = verifier_of(name, each)
        except (OSError, ValueError) as error:
            where = f"{each.jwks}: " if each.jwks else ""
            raise ConfigurationError(f"ssf {name}: {where}{error}") from error
    return verifiers


def configured_guard_keys(settings: Settings) -> dict[str, Ed25519PublicKey]:
    """Give the keys with which guards sign, by the guard's name.

    Raises:
        ConfigurationError: a key cannot be read.
    """
    keys = {}
    for name, path in settings.guard_keys.items():
        try:
            key = load_pem_public_key(path.read_bytes())
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            raise ConfigurationError(f"guard {name}: {path}: {error}") from error
        if not isinstance(key, Ed25519PublicKey):
            raise ConfigurationError(f"guard {name}: {path} is no Ed25519 public key")
        keys[name] = key
    return keys


def check(settings: Settings, sources: dict[str, Source]) -> None:
    """Check that what the settings name is there.

    Raises:
        ConfigurationError: it is not.
    """
    for token in settings.tokens:
        if token.authority is not None and token.authority not in settings.authorities:
            message = f"token {token.name}: no authority {token.authority!r}"
            raise ConfigurationError(message)
    for raw in settings.raw_topics:
        if raw.source not in sources or raw.authority not in settings.authorities:
            message = f"raw topic {raw.topic}: no such source or authority"
            raise ConfigurationError(message)
    for name, stream in settings.ssf.items():
        if stream.authority and stream.authority not in settings.authorities:
            message = f"ssf {name}: no authority {stream.authority!r}"
            raise ConfigurationError(message)
    for watch in settings.watch:
        if watch.source not in sources:
            raise ConfigurationError(f"watch {watch.path}: no source {watch.source!r}")
        if watch.authority not in settings.authorities:
            message = f"watch {watch.path}: no authority {watch.authority!r}"
            raise ConfigurationError(message)


def tolerances(settings: Settings) -> Tolerances:
    """Give how the sentinel judges, as it is set."""
    sentinel = settings.sentinel
    return Tolerances(
        skew=int(sentinel.skew * SECOND),
        grace=int(sentinel.grace * SECOND),
        remember=int(sentinel.remember * SECOND),
        silence=int(sentinel.silence * SECOND),
        report_unknown=sentinel.report_unknown,
    )


def _followed(watch: Watch, sources: dict[str, Source], speakers: Speakers) -> Followed:
    configured = sources[watch.source]

    def speaker() -> tuple[Origin, Rights]:
        key = f"watch:{watch.path.name}"
        return speakers.origin(watch.authority, key), speakers.rights(watch.authority)

    each = speakers.settings.sources[watch.source]
    make = _Continuing if each.format == "openbao" else configured.make
    return Followed(
        path=watch.path,
        source=watch.source,
        make=make,
        speaker=speaker,
        point=configured.point,
        poll_seconds=watch.poll_seconds,
    )


def endpoint_of(webhook: Webhook | None) -> Endpoint | None:
    """Give the receiver of alerts.

    Raises:
        EndpointError: no attempt could use its URL or its secret.
    """
    if webhook is None:
        return None
    from streams.sinks.http_delivery import Endpoint  # noqa: PLC0415 - lazily

    return Endpoint(
        name=ROUTE,
        url=webhook.url,
        secrets=tuple(secret.get_secret_value() for secret in webhook.secrets),
        allow_private=webhook.allow_private,
    )


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
