"""The HTTP side of a notify process: health and metrics."""

from __future__ import annotations

import asyncio
import http
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client.registry import Collector

from streams.engines.kafka.clock.cluster_clock import faults, offset_seconds
from streams.http.alert_metrics import AlertMetrics, Attempts
from streams.http.metrics import Metrics
from streams.http.problems import problems
from streams.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.core import Metric

    from streams.engines.kafka.notify.notifier import DeliveryWorker
    from streams.observability.progress import Progress


class _State(Collector):
    """Reads desk and progress at every scrape."""

    def __init__(
        self, desk: DeliveryWorker, progress: Progress, clock: Callable[[], int]
    ) -> None:
        self._clock = clock
        self._desk = desk
        self._progress = progress

    def collect(self) -> Iterator[Metric]:
        desk, progress = self._desk, self._progress
        assigned, lag = metrics.ASSIGNED.family(), metrics.LAG.family()
        position = metrics.POSITION.family()
        assigned.add_metric(["notify"], len(progress.assigned))
        lag.add_metric(["notify"], progress.lag)
        for number, value in progress.positions.items():
            position.add_metric(["notify", str(number)], value)
        yield from (assigned, lag, position)
        yield metrics.CLOCK_OFFSET.of(offset_seconds(self._clock))
        yield metrics.NOTIFY_OWED.of(desk.owed)
        yield metrics.DEAD_LETTERS.of(desk.counts.buried + desk.counts.poison)


class AdminPages:
    """Handlers of a notify process' HTTP side."""

    def __init__(
        self,
        desk: DeliveryWorker,
        progress: Progress,
        attempts: Attempts,
        clock: Callable[[], int],
        stands: Callable[[float], bool],
        *more: Collector,
    ) -> None:
        """Look at a desk.

        Args:
            desk: its records.
            progress: of the stage.
            attempts: by receiver.
            clock: gives the time (ns).
            stands: tells by the event loop's clock whether a broker answered lately,
                and the topics are as they must be.
            more: is told at ``/metrics`` too.
        """
        self._progress = progress
        self._clock = clock
        self._stands = stands
        alerts = AlertMetrics(desk, attempts, clock)
        state = _State(desk, progress, clock)
        self._metrics = Metrics(metrics.NOTIFY, state, alerts, *more)

    def application(self) -> web.Application:
        """Routes."""
        app = web.Application(middlewares=[problems])
        app.router.add_get("/healthz/live", self.live)
        app.router.add_get("/healthz/ready", self.ready)
        app.router.add_get("/healthz/startup", self.startup)
        app.router.add_get("/metrics", self._metrics.get)
        return app

    async def live(self, _: web.Request) -> web.Response:
        """Answer 200 while findings are taken in, or before there was a turn.

        A receiver that fails for days is no reason to start anew.
        """
        progress = self._progress
        now = asyncio.get_running_loop().time()
        return _health("live", not progress.turned_at or progress.live(now))

    async def ready(self, _: web.Request) -> web.Response:
        """Answer 200 once what lay in its partitions was taken, or others have all.

        While no broker answers, the topics are unfit, or the clock is wrong, it is
        not ready.
        """
        wrong = faults(self._clock)
        return _health("ready", self._well() and not wrong, *wrong)

    async def startup(self, _: web.Request) -> web.Response:
        """Answer as for ready, whatever the clock: a restart mends none."""
        return _health("started", self._well())

    def _well(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self._progress.ready and self._stands(now)


def _health(word: str, well: bool, *why: str) -> web.Response:  # noqa: FBT001 - a private answer
    if well:
        return web.Response(text=f"{word}\n")
    status = http.HTTPStatus.SERVICE_UNAVAILABLE
    text = ": ".join([f"not {word}", *why])
    return web.Response(text=f"{text}\n", status=status)
