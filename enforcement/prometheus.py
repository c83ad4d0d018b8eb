"""What a guard did and whether it can vouch for it, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from enforcement.guard import AnyGuard


class GuardCollector(Collector):
    """Reads a guard at every scrape; register it with the application's registry."""

    def __init__(self, guard: AnyGuard[Any, Any]) -> None:
        """Report on a guard of any kind."""
        self._guard = guard

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the guard."""
        guard = self._guard
        counters, ended = guard.counters, guard.sessions.ended
        yield GaugeMetricFamily(
            "rescind_guard_lease",
            "Whether the guard holds a lease; 0: it denies where it fails closed.",
            float(guard.standing.holds()),
        )
        checks = CounterMetricFamily(
            "rescind_guard_checks",
            "Checks by answer (`allowed`, `denied`, `observed`) and reason.",
            labels=("answer", "reason"),
        )
        checks.add_metric(["allowed", ""], counters.allowed)
        for answer, counted in (
            ("denied", counters.denied),
            ("observed", counters.observed),
        ):
            for reason, count in list(counted.items()):
                checks.add_metric([answer, reason], count)
        yield checks
        yield CounterMetricFamily(
            "rescind_guard_stale_checks",
            "Checks that were answered without a lease.",
            counters.stale,
        )
        yield GaugeMetricFamily(
            "rescind_guard_sessions", "Open sessions.", len(guard.sessions)
        )
        sessions = CounterMetricFamily(
            "rescind_guard_ended_sessions",
            "Sessions that the guard ended, by reason.",
            labels=("reason",),
        )
        for reason, count in list(ended.denied.items()):
            sessions.add_metric([reason], count)
        yield sessions
