"""``/metrics`` in the text formats of Prometheus and of OpenMetrics."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import hdrs, web
from attrs import define
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from streams.http.problems import problems
from streams.http.server import listen
from streams.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from prometheus_client.core import Metric

    from streams.http.listening import Listening
    from streams.observability.metric_types import Count, Gauge
    from streams.observability.progress import Progress
    from streams.settings.server import Listen

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PATH: Final = "/metrics"
PAGE: Final = web.AppKey("metrics", object)

log = structlog.get_logger()


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
        app.router.add_get(PATH, self.get)
        app[PAGE] = self

    async def get(self, request: web.Request) -> web.Response:
        """Collect and answer."""
        encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
        body = encode(self.registry)
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})


def collect_also(app: web.Application, *collectors: Collector) -> None:
    """Have the page of an application tell more."""
    page = app[PAGE]
    assert isinstance(page, Metrics)  # noqa: S101 - as it was put there
    for collector in collectors:
        page.registry.register(collector)


async def listen_apart(app: web.Application, where: Listen) -> Listening:
    """Listen for `PATH` of an application at a port of its own, in plain HTTP.

    Args:
        app: does not run yet; from now on it has no such page.
        where: to listen.

    Raises:
        OSError: the address cannot be bound.
    """
    page = app[PAGE]
    assert isinstance(page, Metrics)  # noqa: S101 - as it was put there
    apart = web.Application(middlewares=[problems])
    page.add_to(apart)
    app.middlewares.append(_without_page)
    listening, url = await listen(apart, where.host, where.port)
    log.info("metrics", url=f"{url}{PATH}")
    return listening


@web.middleware
async def _without_page(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.path == PATH:
        raise web.HTTPNotFound
    return await handler(request)


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
