"""Health for orchestrators, and metrics for Prometheus."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.http.metrics import Metrics
from streams.stages.closure import Mode, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.engine.closures import Closures
    from streams.engine.stages import Stages
    from streams.http.feed import Feed
    from streams.http.prober import Prober
    from streams.http.receipts import Receipts


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
            ("remembered_uses", "Buckets of uses.", len(stages.sentinel.uses)),
            ("in_flight_uses", "Uses within the grace.", stages.in_flight),
        ):
            yield GaugeMetricFamily(f"rescind_{name}", text, value=value)


class _Enforcement(Collector):
    """Reads at every scrape who enforces, and what is proven of revocations."""

    def __init__(self, closures: Closures, receipts: Receipts, prober: Prober) -> None:
        self._closures = closures
        self._receipts = receipts
        self._prober = prober

    def collect(self) -> Iterator[Metric]:
        closure = self._closures.closure
        waiting = "Revocations that not every guard enforces yet."
        yield GaugeMetricFamily(
            "rescind_closures_waiting", waiting, value=closure.waiting
        )
        states = CounterMetricFamily(
            "rescind_closures", "Revocations that reached a state.", labels=["state"]
        )
        for state in (State.CLOSED, State.PARTIAL, State.UNKNOWN):
            states.add_metric([state.value], self._closures.states[state])
        yield states
        guards = GaugeMetricFamily(
            "rescind_registered_guards",
            "Registered guards by mode, and whether heard within their lease.",
            labels=["mode", "lease"],
        )
        standing = self._closures.standing()
        for mode in Mode:
            for lease in ("held", "lapsed"):
                guards.add_metric([mode.value, lease], standing[mode, lease])
        yield guards
        refused = CounterMetricFamily(
            "rescind_receipts_refused", "Receipts not counted.", labels=["reason"]
        )
        for reason, count in self._receipts.refused.items():
            refused.add_metric([reason], count)
        yield refused
        probed = CounterMetricFamily(
            "rescind_probed",
            "Revoked identifiers that guards were asked about, by what they did.",
            labels=["result"],
        )
        for result in ("denied", "stale", "failed"):
            probed.add_metric([result], self._prober.results[result])
        yield probed
        yield GaugeMetricFamily(
            "rescind_probe_staleness_seconds",
            "Age of the oldest revocation that a guard had not applied when probed.",
            value=self._prober.staleness,
        )


class Health:
    """Handlers of ``/healthz`` and ``/metrics``; open, they tell no identifier.

    Attributes:
        metrics: the handler of ``/metrics``.
    """

    def __init__(
        self,
        feed: Feed,
        stages: Stages,
        closures: Closures,
        receipts: Receipts,
        prober: Prober,
    ) -> None:
        """Report on these."""
        self._stages = stages
        enforcement = _Enforcement(closures, receipts, prober)
        self.metrics = Metrics(
            _State(feed, stages), enforcement, closures.propagation
        ).get

    async def live(self, _: web.Request) -> web.Response:
        """Answer as long as the event loop turns."""
        return web.Response(text="live\n")

    async def ready(self, _: web.Request) -> web.Response:
        """Answer 200 once the table is complete."""
        if self._stages.loaded.is_set():
            return web.Response(text="ready\n")
        status = http.HTTPStatus.SERVICE_UNAVAILABLE
        return web.Response(text="loading\n", status=status)
