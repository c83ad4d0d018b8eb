"""Metrics of the decision point for Prometheus; they tell no identifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from enforcement.guard import AnyGuard
    from streams.pdp.decider import Decision
    from streams.pdp.decision_log import DecisionLog
    from streams.pdp.issuers import KeySet


class _State(Collector):
    """Reads guard and keys at every scrape."""

    def __init__(self, guard: AnyGuard[Any, Any], keys: Mapping[str, KeySet]) -> None:
        self._guard = guard
        self._keys = keys

    def collect(self) -> Iterator[Metric]:
        guard = self._guard
        holds = guard.standing.holds()
        yield GaugeMetricFamily(
            "rescind_pdp_lease", "1 while a lease is held.", value=float(holds)
        )
        stale = guard.counters.stale
        yield CounterMetricFamily(
            "rescind_pdp_stale", "Checks answered without a lease.", value=stale
        )
        failures = CounterMetricFamily(
            "rescind_pdp_jwks_failures",
            "Readings of keys that failed.",
            labels=["issuer"],
        )
        for name, each in self._keys.items():
            failures.add_metric([name], each.failures)
        yield failures


class Metrics:
    """Counts decisions, has them logged, and answers ``/metrics``."""

    def __init__(
        self,
        guard: AnyGuard[Any, Any],
        keys: Mapping[str, KeySet],
        log: DecisionLog | None = None,
    ) -> None:
        """Report on these.

        Args:
            guard: that decides.
            keys: by issuer.
            log: gets every decision that is counted.
        """
        self._log = log
        self._registry = CollectorRegistry()
        self._registry.register(_State(guard, keys))
        self._decisions = Counter(
            "rescind_pdp_decisions",
            "Decisions by what asked, by outcome and by reason.",
            ["surface", "outcome", "reason"],
            registry=self._registry,
        )
        self._reports = Counter(
            "rescind_pdp_reports",
            "What the policy allows and wants reported.",
            ["report"],
            registry=self._registry,
        )

    def count(self, surface: str, decision: Decision) -> None:
        """Count a decision, and have it logged.

        Args:
            surface: what asked: ``check``, ``authzen`` or ``introspect``.
            decision: the answer.
        """
        outcome = "allow" if decision.allowed else "deny"
        if decision.observed:
            outcome = "observe"
        self._decisions.labels(surface, outcome, decision.reason).inc()
        for report in () if decision.verdict is None else decision.verdict.report:
            self._reports.labels(report).inc()
        if self._log is not None:
            self._log.write(decision)

    async def serve(self, _: web.Request) -> web.Response:
        """Give the metrics in Prometheus' text format."""
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=generate_latest(self._registry), headers=headers)
