"""The HTTP side of a worker on Kafka: health, its realms, and the door to others."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web
from attrs import define, frozen
from prometheus_client.registry import Collector

from enforcement.clocks import boottime
from streams.apps.builders.door import door
from streams.apps.builders.hooks import secret_names
from streams.apps.builders.kafka_enforcement import worker_enforcement
from streams.engines.kafka.audit.pages import AuditExports
from streams.engines.kafka.clock.cluster_clock import faults, offset_seconds
from streams.engines.kafka.tables import OwnTables
from streams.http.audit import AuditPages
from streams.http.closure_metrics import ClosureMetrics, findings_of
from streams.http.denials import DenialPages
from streams.http.guards import Guards
from streams.http.inventory_parts import InventoryParts
from streams.http.last_uses import FleetUses, OwnUses, UsesPage
from streams.http.lineages import Lineages
from streams.http.metrics import Metrics, OneValue, StageProgress
from streams.http.names import Names
from streams.http.probes import Probes
from streams.http.problems import problems
from streams.http.queries import Queries
from streams.http.reach import ReachPage, TableReach
from streams.http.revocations import Revocations
from streams.http.scope_uses import ScopeUsePages
from streams.http.undeclared import UndeclaredShare
from streams.http.uses import Uses
from streams.model.times import SECOND
from streams.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.core import Metric

    from agents_registry.identifiers import Vocabulary
    from streams.apps.builders.access import AccessControl
    from streams.engines.kafka.process import Process
    from streams.http.door import Door
    from streams.process.loop_hold import LoopHold
    from streams.settings.kafka import KafkaSettings
    from streams.settings.server import Settings


@define(eq=False)
class _State(Collector):
    """Reads what the stages count at every scrape."""

    _process: Process

    def collect(self) -> Iterator[Metric]:
        process = self._process
        yield metrics.WAITING.each(
            {(stage,): each.waiting for stage, each in process.progress.items()}
        )
        yield findings_of(process.opened)
        if process.sentinel is not None:
            yield metrics.IN_FLIGHT.of(process.sentinel.tally.in_flight)
            yield metrics.UNDATED.of(process.sentinel.tally.undated)
        if process.audit is not None:
            yield metrics.AUDIT_HEAD.of(process.audit.signed_at / SECOND)


@frozen
class WorkerPages:
    """The HTTP side of a worker.

    Attributes:
        door: asks other processes for what this one does not have.
        exports: of the audit chains, where the stage runs.
    """

    app: web.Application
    door: Door
    exports: AuditExports


def worker_pages(  # noqa: PLR0913 - each by name
    process: Process,
    *,
    settings: Settings,
    kafka: KafkaSettings,
    vocabulary: Vocabulary,
    entry: AccessControl,
    clock: Callable[[], int],
    held: LoopHold,
) -> WorkerPages:
    """Put the HTTP side of a worker together."""
    app = web.Application(
        middlewares=[problems], client_max_size=settings.max_body_bytes
    )
    entry.guard(app)
    Probes(process.stalled, process.waiting, partial(faults, clock)).add_to(app)
    passing = door(
        "workers", process.name, settings, kafka, entry.tokens, process.serving
    )
    collectors = _collectors(process, kafka, clock, held)
    told = Metrics(metrics.WORKER, passing.collector, *collectors)
    told.add_to(app)
    tokens, realm, secrets = entry.tokens, settings.realm, secret_names(settings)
    own = worker_enforcement(process, realm, kafka.partitions, clock)
    Guards(tokens, own, boottime).add_to(app)
    DenialPages(tokens, own, clock).add_to(app)
    Revocations(tokens, own, boottime, clock).add_to(app)
    tables = OwnTables(process, realm, vocabulary)
    Queries(tokens, tables, clock, secrets).add_to(app)
    InventoryParts(tokens, tables, clock, secrets).add_to(app)
    ScopeUsePages(tokens, tables.posture).add_to(app)
    uses = OwnUses(tables.uses)
    everywhere = FleetUses(uses, tables.uses, passing.answers)
    ReachPage(tokens, TableReach(tables, everywhere, clock)).add_to(app)
    UsesPage(tokens, uses).add_to(app)
    Lineages(tokens, tables, clock, secrets, uses=everywhere).add_to(app)
    Uses(tokens, tables.uses, secrets).add_to(app)
    Names(tokens, secrets).add_to(app)
    if process.sentinel is not None:
        UndeclaredShare(tokens, process.sentinel.judged.undeclared, realm).add_to(app)
    exports = AuditExports(kafka, realm)
    if process.audit is not None:  # else our user may not read the topics
        keys = [process.audit.public_key]
        AuditPages(tokens, exports, any_realm=True, keys=keys).add_to(app)
    passing.add_to(app)
    return WorkerPages(app, passing, exports)


def _collectors(
    process: Process,
    kafka: KafkaSettings,
    clock: Callable[[], int],
    held: LoopHold,
) -> Iterator[Collector]:
    written, dlq = process.publisher.written, kafka.topic("dlq")
    yield held
    yield StageProgress(lambda: process.progress)
    yield _State(process)
    yield OneValue(metrics.DEAD_LETTERS, lambda: written[dlq])
    yield OneValue(metrics.CLOCK_OFFSET, partial(offset_seconds, clock))
    if process.closure is not None:
        stage = process.closure
        yield ClosureMetrics(stage.closures, stage.tally, stage.rules.boottime)
