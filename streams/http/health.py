"""Health for orchestrators, and metrics for Prometheus."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.http.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.engine.stages import Stages
    from streams.http.feed import Feed


class _State(Collector):
    """Reads the state of the server at every scrape."""

    def __init__(self, feed: Feed, stages: Stages) -> None:
        self._feed = feed
        self._stages = stages

    def collect(self) -> Iterator[Metric]:
        stages, feed = self._stages, self._feed
        for name, text, value in (
            ("facts", "Facts in the log.", feed.end),
            ("facts_applied", "Facts in the table.", stages.applied),
            ("backlog", "Committed but not worked off by the stages.", stages.backlog),
            ("guards", "Connected guards.", len(feed.connections)),
            ("identifiers", "Identifiers in the table.", len(stages.registry.lineage)),
            (
                "remembered_uses",
                "Uses that a later fact may condemn.",
                len(stages.sentinel.uses),
            ),
            ("in_flight_uses", "Uses within the grace.", stages.in_flight),
        ):
            yield GaugeMetricFamily(f"rescind_{name}", text, value=value)


class Health:
    """Handlers of ``/healthz`` and ``/metrics``; open, they tell no identifier.

    Attributes:
        metrics: the handler of ``/metrics``.
    """

    def __init__(self, feed: Feed, stages: Stages, *more: Collector) -> None:
        """Report on these, and what more is collected."""
        self._stages = stages
        self.metrics = Metrics(_State(feed, stages), *more).get

    async def live(self, _: web.Request) -> web.Response:
        """Answer as long as the event loop turns."""
        return web.Response(text="live\n")

    async def ready(self, _: web.Request) -> web.Response:
        """Answer 200 once the table is complete."""
        if self._stages.loaded.is_set():
            return web.Response(text="ready\n")
        status = http.HTTPStatus.SERVICE_UNAVAILABLE
        return web.Response(text="loading\n", status=status)
