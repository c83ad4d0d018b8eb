"""``/metrics`` in the text formats of Prometheus and of OpenMetrics."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from streams.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.core import Metric

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
        self._labels = [role, metadata.version("rescind")]

    def collect(self) -> Iterator[Metric]:
        """One series."""
        family = metrics.BUILD.family()
        family.add_metric(self._labels, 1)
        yield family


class StageProgress(Collector):
    """How far each stage of a process on Kafka is."""

    def __init__(self, stages: Callable[[], Mapping[str, Progress]]) -> None:
        """Ask at every scrape for the stages, by their names."""
        self._stages = stages

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


class OwedFindings(Collector):
    """How many findings hold back the commit of a notify process."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count

    def collect(self) -> Iterator[Metric]:
        """One series."""
        yield metrics.NOTIFY_OWED.of(self._count())


class ClockOffset(Collector):
    """By how much the machine's clock is ahead of the one that it is measured by."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds

    def collect(self) -> Iterator[Metric]:
        """One series."""
        yield metrics.CLOCK_OFFSET.of(self._seconds())


class DeadLetterCollector(Collector):
    """How many dead letters this process wrote."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count

    def collect(self) -> Iterator[Metric]:
        """One series."""
        yield metrics.DEAD_LETTERS.of(self._count())
