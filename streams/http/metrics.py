"""``/metrics`` in the text formats of Prometheus and of OpenMetrics."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from aiohttp import hdrs, web
from attrs import define
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from streams.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.core import Metric

    from streams.observability.metric_types import Count, Gauge
    from streams.observability.progress import Progress


class Metrics:
    """Handler of ``GET /metrics``; open, so what it tells names no identifier.

    Exemplars are told where OpenMetrics is asked for: the older format has none.

    Attributes:
        registry: what is collected.
    """

    def __init__(self, role: str, *collectors: Collector) -> None:
        """Collect from these alone, and nothing from the process-wide registry."""
        self.registry = CollectorRegistry()
        for collector in (Build(role), *collectors):
            self.registry.register(collector)

    def add_to(self, app: web.Application) -> None:
        """Add the route."""
        app.router.add_get("/metrics", self.get)

    async def get(self, request: web.Request) -> web.Response:
        """Collect and answer."""
        encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
        body = encode(self.registry)
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})


class Build(Collector):
    """Which version runs, in which role."""

    def __init__(self, role: str) -> None:
        self._labels = role, metadata.version("rescind")

    def collect(self) -> Iterator[Metric]:
        """One series."""
        yield metrics.BUILD.each({self._labels: 1})


@define(eq=False)
class StageProgress(Collector):
    """How far each stage of a process on Kafka is, by their names."""

    _stages: Callable[[], Mapping[str, Progress]]

    def collect(self) -> Iterator[Metric]:
        """Partitions, lag and positions of each stage."""
        assigned, lag = metrics.ASSIGNED.family(), metrics.LAG.family()
        position = metrics.POSITION.family()
        for stage, progress in self._stages().items():
            assigned.add_metric([stage], len(progress.assigned))
            lag.add_metric([stage], progress.lag)
            for number, value in progress.positions.items():
                position.add_metric([stage, str(number)], value)
        yield from (assigned, lag, position)


@define(eq=False)
class OneValue(Collector):
    """A metric without labels, and what is asked for its value at every scrape."""

    _metric: Gauge | Count
    _value: Callable[[], float]

    def collect(self) -> Iterator[Metric]:
        """One series."""
        yield self._metric.of(self._value())
