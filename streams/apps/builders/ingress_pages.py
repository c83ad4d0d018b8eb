"""The HTTP side of an ingress on Kafka: sources and operators, health and metrics."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web
from attrs import frozen

from streams.engines.kafka.clock.cluster_clock import faults, offset_seconds
from streams.engines.kafka.ingress.writing import Writing
from streams.http.containment_metrics import ContainmentMetrics
from streams.http.events import Events
from streams.http.metrics import Metrics, OneValue
from streams.http.probes import Probes
from streams.http.server import application
from streams.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.registry import Collector

    from streams.apps.builders.description import Described
    from streams.apps.builders.kafka_inputs import KafkaInputs
    from streams.engines.embedded.reader_process import ReaderProcess


@frozen
class IngressPages:
    """The HTTP side of an ingress, but for what asks other processes.

    Attributes:
        writing: judges whether it is live and ready.
    """

    app: web.Application
    writing: Writing


def ingress_pages(
    given: Described,
    taking: KafkaInputs,
    reading: ReaderProcess,
    clock: Callable[[], int],
    more: Iterable[Collector],
) -> IngressPages:
    """Put the HTTP side of an ingress together; ``/metrics`` tells ``more`` too."""
    log, common, settings = taking.log, taking.common, given.settings
    common.orders.operators.apart = reading.apart
    app = application(settings.max_body_bytes)
    tokens, speakers = common.tokens, common.speakers
    Events(tokens, given.sources, speakers, log.writer, reading.read).add_to(app)
    taking.add_to(app)
    worker = None if taking.containing is None else taking.containing.worker
    lost, dlq = log.publisher.written, log.kafka.topic("dlq")
    Metrics(
        metrics.INGRESS,
        *more,
        *common.collectors,
        ContainmentMetrics(worker, clock),
        OneValue(metrics.DEAD_LETTERS, lambda: lost[dlq]),
        OneValue(metrics.CLOCK_OFFSET, partial(offset_seconds, clock)),
    ).add_to(app)
    members = {topic: each.member for topic, each in taking.raw.items()}
    writing = Writing(log.kafka, log.heart, members, log.watch)
    Probes(writing.stalled, writing.waiting, partial(faults, clock)).add_to(app)
    return IngressPages(app, writing)
