"""Health for orchestrators, and metrics for Prometheus."""

from __future__ import annotations

import asyncio
import http
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client.registry import Collector

from streams.http.closure_metrics import findings_of
from streams.http.metrics import Metrics
from streams.model.times import SECOND
from streams.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from streams.engines.embedded.audit import AuditSigner
    from streams.engines.embedded.liveness import LoopWatch
    from streams.engines.embedded.stages import Stages
    from streams.engines.embedded.store import Store
    from streams.http.feed import FeedServer


class _State(Collector):
    """Reads the state of the server at every scrape."""

    def __init__(self, feed: FeedServer, stages: Stages) -> None:
        self._feed = feed
        self._stages = stages

    def collect(self) -> Iterator[Metric]:
        stages, feed = self._stages, self._feed
        votes = feed.votes
        yield metrics.CLOCK_OFFSET.of(0 if votes is None else votes.offset / SECOND)
        yield metrics.FACTS.of(feed.end)
        yield metrics.FACTS_APPLIED.of(stages.applied)
        yield metrics.GUARDS.of(len(feed.connections))
        yield metrics.IDENTIFIERS.of(len(stages.registry.lineage))
        yield metrics.REMEMBERED_USES.of(len(stages.sentinel.uses))
        yield metrics.IN_FLIGHT.of(stages.in_flight)
        yield metrics.UNDATED.of(stages.undated)
        yield findings_of(stages.opened)
        lag, position = metrics.LAG.family(), metrics.POSITION.family()
        lag.add_metric(["stages"], stages.backlog)
        position.add_metric(["stages", "0"], stages.done)
        yield from (lag, position)


class StoreMetrics(Collector):
    """Dead letters and the audit chain, as they lie in the file."""

    def __init__(self, store: Store, audit: AuditSigner) -> None:
        """Read these."""
        self._store = store
        self._audit = audit

    def collect(self) -> Iterator[Metric]:
        """One value each."""
        yield metrics.DEAD_LETTERS.of(self._store.dead_letters)
        yield metrics.AUDIT_HEAD.of(self._audit.signed_at / SECOND)


class Health:
    """Handlers of ``/healthz`` and ``/metrics``; open, they tell no identifier.

    Attributes:
        metrics: the handler of ``/metrics``.
    """

    def __init__(
        self, feed: FeedServer, stages: Stages, watch: LoopWatch, *more: Collector
    ) -> None:
        """Report on these, and what more is collected."""
        self._stages = stages
        self._watch = watch
        self._votes = feed.votes
        self.metrics = Metrics(metrics.SERVER, _State(feed, stages), *more).get

    async def live(self, _: web.Request) -> web.Response:
        """Answer 200 while every loop gets on, else name those that do not."""
        still = self._watch.stalled(asyncio.get_running_loop().time())
        if not still:
            return web.Response(text="live\n")
        status = http.HTTPStatus.SERVICE_UNAVAILABLE
        return web.Response(text=f"not live: {', '.join(still)}\n", status=status)

    async def ready(self, _: web.Request) -> web.Response:
        """Answer 200 while the table is complete and the clock not found wrong."""
        wrong = None if self._votes is None else self._votes.fault
        if wrong is not None and self._stages.loaded.is_set():
            status = http.HTTPStatus.SERVICE_UNAVAILABLE
            return web.Response(text=f"not ready: {wrong}\n", status=status)
        return self._loaded()

    async def started(self, _: web.Request) -> web.Response:
        """Answer 200 once the table is complete; a restart mends no clock."""
        return self._loaded()

    def _loaded(self) -> web.Response:
        if self._stages.loaded.is_set():
            return web.Response(text="ready\n")
        status = http.HTTPStatus.SERVICE_UNAVAILABLE
        return web.Response(text="loading\n", status=status)
