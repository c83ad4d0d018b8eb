"""The HTTP side of a notify process: health and metrics."""

from __future__ import annotations

import asyncio
import http
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.http.alert_metrics import AlertMetrics
from streams.http.metrics import Metrics
from streams.http.problems import problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.kafka.notifier import Desk
    from streams.kafka.progress import Progress


class _State(Collector):
    """Reads desk and progress at every scrape."""

    def __init__(self, desk: Desk, progress: Progress) -> None:
        self._desk = desk
        self._progress = progress

    def collect(self) -> Iterator[Metric]:
        desk, progress, counts = self._desk, self._progress, self._desk.counts
        for name, text, value in (
            ("assigned", "Partitions that this process has.", len(progress.assigned)),
            ("lag", "Findings at the broker that are not taken in.", progress.lag),
            ("owed", "Findings that the commit may not pass yet.", desk.owed),
            ("deliveries", "Messages on their way.", len(desk.state.deliveries)),
        ):
            gauge = GaugeMetricFamily(f"rescind_notify_{name}", text, labels=[])
            gauge.add_metric([], value)
            yield gauge
        attempts = CounterMetricFamily(
            "rescind_notify_attempts", "Attempts to deliver.", labels=["result"]
        )
        attempts.add_metric(["delivered"], counts.delivered)
        attempts.add_metric(["failed"], counts.failed)
        yield attempts
        letters = CounterMetricFamily(
            "rescind_notify_dead_letters", "Written to dlq.", labels=["reason"]
        )
        letters.add_metric(["given_up"], counts.buried)
        letters.add_metric(["unreadable"], counts.poison)
        yield letters


class Look:
    """Handlers of a notify process' HTTP side."""

    def __init__(self, desk: Desk, progress: Progress) -> None:
        """Look at a desk."""
        self._progress = progress
        self._metrics = Metrics(_State(desk, progress), AlertMetrics(desk))

    def application(self) -> web.Application:
        """Give the routes."""
        app = web.Application(middlewares=[problems])
        app.router.add_get("/healthz/live", self.live)
        app.router.add_get("/healthz/ready", self.ready)
        app.router.add_get("/healthz/startup", self.ready)
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
        """Answer 200 once there are partitions and all that lay in them was taken."""
        return _health("ready", self._progress.ready)


def _health(word: str, well: bool) -> web.Response:  # noqa: FBT001 - a private answer
    if well:
        return web.Response(text=f"{word}\n")
    status = http.HTTPStatus.SERVICE_UNAVAILABLE
    return web.Response(text=f"not {word}\n", status=status)
