"""The composition root of a worker on Kafka: its stages, and HTTP to look at them."""

from __future__ import annotations

import asyncio
import gc
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web
from attrs import frozen
from prometheus_client.registry import Collector

from agents_registry.registry import Registry
from enforcement.clocks import boottime
from streams.apps.bootstrap import audit_key
from streams.apps.builders.access import access
from streams.apps.builders.hooks import secret_names
from streams.apps.builders.http_listener import accepting
from streams.apps.builders.kafka_enforcement import OwnClosures, OwnPlaces, elsewhere
from streams.apps.builders.sources import (
    check_kafka,
    configured_guard_keys,
    configured_sources,
    lease_ceiling,
    tolerances,
)
from streams.engines.kafka.audit.audit import AuditStage
from streams.engines.kafka.audit.records import AUDIT
from streams.engines.kafka.clock.cluster_clock import (
    faults,
    machine_clock,
    offset_seconds,
)
from streams.engines.kafka.closure.closure_partition import Rules
from streams.engines.kafka.process import Process, worker_process
from streams.engines.kafka.records.codec import partition_of
from streams.http.closure_metrics import findings_of
from streams.http.guards import Guards
from streams.http.metrics import (
    ClockOffset,
    DeadLetterCollector,
    Metrics,
    StageProgress,
)
from streams.http.probes import Probes
from streams.http.problems import problems
from streams.http.queries import Queries, Table
from streams.model.times import SECOND
from streams.observability import metrics
from streams.process.lifecycle import say_ready, until_stopped
from streams.process.loop_hold import LoopHold
from streams.services.audit_sinks import Sinks
from streams.services.intake import token_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from prometheus_client.core import Metric

    from agents_registry.identifiers import Vocabulary
    from streams.http.auth import Tokens
    from streams.settings.kafka import KafkaSettings
    from streams.settings.server import Settings
    from streams.settings.worker import WorkerSettings
    from streams.stages.closure.guard_names import GuardKeys
    from streams.stages.sentinel.tolerances import Tolerances
    from streams.stages.sentinel.unknown_agents import Shown

YOUNG_OBJECTS: Final = (50_000, 20, 100)  # three generations; the default is 700

NAMES_OPEN: Final = (
    "whoever may write the topic receipts can report as any guard that has no key in "
    "guard_keys: give all guards keys, and leave closure.signed_receipts unset or true"
)

log = structlog.get_logger()


@frozen
class Working:
    """A worker whose HTTP side accepts requests at ``url``."""

    url: str
    process: Process


class _State(Collector):
    """Reads what the stages count at every scrape."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def collect(self) -> Iterator[Metric]:
        process, waiting = self._process, metrics.WAITING.family()
        for stage, progress in process.progress.items():
            waiting.add_metric([stage], progress.waiting)
        yield waiting
        yield findings_of(process.opened)
        if process.sentinel is not None:
            yield metrics.IN_FLIGHT.of(process.sentinel.tally.in_flight)
            yield metrics.UNDATED.of(process.sentinel.tally.undated)
        if process.audit is not None:
            yield metrics.AUDIT_HEAD.of(process.audit.signed_at / SECOND)


class OwnTables:
    """The tables of the realms whose partitions this worker has."""

    def __init__(
        self, process: Process, realm: str, vocabulary: Vocabulary, partitions: int
    ) -> None:
        """Serve the realms of a process; ``realm`` is meant where none is named."""
        self._process = process
        self._vocabulary = vocabulary
        self._realm = realm
        self._partitions = partitions

    def table(self, realm: str | None) -> Table:
        """Table of a realm, or say who has it."""
        realm = realm or self._realm
        number = partition_of(realm, self._partitions)
        stage = self._process.registry
        partition = stage.serving(number) if stage is not None else None
        if partition is None:
            raise elsewhere(self._process, number, "registry")
        known = partition.realms.get(realm)
        # Who asks for any name must not make us keep a table of it.
        registry = known.cascade.registry if known else Registry(self._vocabulary)
        as_of = token_of(partition.genesis, partition.position, number)
        return Table(registry, as_of)

    def undeclared(self, realm: str | None) -> Iterable[Shown] | None:
        """Undeclared agents and credentials, where the realm's own findings are made.

        Credentials are those of the points whose lines are read here.
        """
        stage = self._process.sentinel
        return None if stage is None else stage.undeclared(realm or self._realm)


def collect_rarely() -> None:
    """Have the garbage collector look seldom, and never at what is there now.

    Records and facts come by thousands, hold no cycles and go by themselves; a tenth
    of the time of a cold start went into looking for cycles among them. It is a
    setting of the whole process, so the program makes it and `work` does not.
    """
    gc.freeze()
    gc.set_threshold(*YOUNG_OBJECTS)


async def work(
    settings: Settings,
    kafka: KafkaSettings,
    worker: WorkerSettings,
    *,
    stop: asyncio.Event | None = None,
    started: Callable[[Working], None] | None = None,
    clock: Callable[[], int] | None = None,
) -> None:
    """Run a worker until ``stop`` is set, or SIGTERM or SIGINT comes.

    Args:
        settings: tokens, kinds, tolerances and where HTTP listens.
        kafka: the cluster and the layout.
        worker: of this worker.
        stop: ends it.
        started: called once its HTTP side accepts requests.
        clock: gives the time (ns); by default the machine's, held to the brokers'.

    Raises:
        LayoutError: the topics are not as they must be.
        InUseError: another worker has the same data folder.
        KafkaError: the cluster cannot be reached or refuses.
        OSError: the address cannot be bound.
    """
    stop = stop or asyncio.Event()
    clock = clock or machine_clock(kafka)
    check_kafka(settings)
    # Kinds of mapping files count too, so that all processes see the same classes.
    vocabulary, _ = configured_sources(settings)
    judged = tolerances(settings)
    rules = _rules(settings, worker, judged)
    sinks, held = Sinks(settings.audit_sinks), LoopHold()
    entry = access(settings, clock)
    async with worker_process(
        kafka, worker, vocabulary, judged, clock, rules
    ) as process:
        if "audit" in worker.stages:
            key = audit_key(worker.data_dir / AUDIT, settings.audit_key)
            process.audit = AuditStage(
                kafka, worker, process.publisher, clock, key, sinks
            )
        app = _application(process, settings, kafka, entry.tokens, clock, held)
        tables = OwnTables(process, settings.realm, vocabulary, kafka.partitions)
        Queries(entry.tokens, tables, clock, secret_names(settings)).add_to(app)
        entry.guard(app)
        async with accepting(app, settings, entry) as url:
            log.info("working", url=url, name=worker.name)
            say_ready(settings.ready_file, url)
            if started is not None:
                started(Working(url, process))
            loops = [held.watch, sinks.run, *entry.loops()]
            await until_stopped(stop, process.run(), *(run() for run in loops))


def _rules(settings: Settings, worker: WorkerSettings, judged: Tolerances) -> Rules:
    """Rules of closure."""
    return Rules(
        settings.closure.deadline,
        judged.silence,
        keys_of_guards(settings, worker),
        boottime,
        lease_ceiling(settings),
        settings.closure.max_guards,
        judged.points,
    )


def _application(
    process: Process,
    settings: Settings,
    kafka: KafkaSettings,
    tokens: Tokens,
    clock: Callable[[], int],
    held: LoopHold,
) -> web.Application:
    """Make the pages on the process itself, and on the guards of its realms."""
    app = web.Application(middlewares=[problems])
    Probes(process.stalled, process.waiting, partial(faults, clock)).add_to(app)
    written, dlq = process.publisher.written, kafka.topic("dlq")
    collectors = [
        held,
        StageProgress(lambda: process.progress),
        _State(process),
        DeadLetterCollector(lambda: written[dlq]),
        ClockOffset(partial(offset_seconds, clock)),
    ]
    if process.closure is not None:
        collectors.append(OwnClosures(process.closure))
    app.router.add_get("/metrics", Metrics(metrics.WORKER, *collectors).get)
    places = OwnPlaces(process, settings.realm, kafka.partitions, clock)
    Guards(tokens, places, boottime).add_to(app)
    return app


def keys_of_guards(
    settings: Settings, worker: WorkerSettings
) -> GuardKeys[Ed25519PublicKey]:
    """Keys with which guards sign, and say where names are anybody's.

    Raises:
        ConfigurationError: a key cannot be read.
    """
    keys = configured_guard_keys(settings, in_topic=True)
    if "closure" in worker.stages and not keys.required:
        log.warning("guard_names_open", why=NAMES_OPEN)
    return keys
