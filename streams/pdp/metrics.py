"""Metrics of the decision point for Prometheus; they tell no identifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define
from prometheus_client.registry import Collector

from streams.http.metrics import Metrics as Told
from streams.model.times import SECOND
from streams.observability import metrics
from streams.observability.metric_labels import MOST_KINDS, OTHER
from streams.process.loop_hold import LoopHold

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.core import Metric

    from enforcement.guard import AnyGuard
    from streams.clients.jwks_cache import JwksCache
    from streams.pdp.decider import Decision
    from streams.pdp.decision_log import DecisionLog


@define(eq=False)
class _State(Collector):
    """Reads guard and keys at every scrape."""

    _guard: AnyGuard[Any, Any]
    _keys: Mapping[str, JwksCache]

    def collect(self) -> Iterator[Metric]:
        guard = self._guard
        holds = guard.standing.holds()
        yield metrics.CLOCK_OFFSET.of(guard.time.offset / SECOND)
        yield metrics.PDP_LEASE.of(float(holds))
        yield metrics.PDP_STALE.of(guard.counters.stale)
        yield metrics.PDP_JWKS_FAILURES.each(
            {(name,): each.failures for name, each in self._keys.items()}
        )


class DecisionMetrics:
    """Counts decisions, has them logged, and answers ``/metrics``.

    Attributes:
        told: has the handler of ``/metrics``.
        held: measures the event loop, where its `watch` runs.
    """

    def __init__(
        self,
        guard: AnyGuard[Any, Any],
        keys: Mapping[str, JwksCache],
        log: DecisionLog | None = None,
    ) -> None:
        """Report on these.

        Args:
            guard: that decides.
            keys: by issuer.
            log: gets every decision that is counted.
        """
        self._log = log
        self._decisions = metrics.PDP_DECISIONS.counter()
        self._reports = metrics.PDP_REPORTS.counter()
        self._reported: set[str] = set()
        self.held = LoopHold()
        state = _State(guard, keys), self.held
        self.told = Told(metrics.PDP, *state, self._decisions, self._reports)

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
            # It names the kind of what was presented, which a caller can make up.
            if report not in self._reported and len(self._reported) < MOST_KINDS:
                self._reported.add(report)
            known = report if report in self._reported else OTHER
            self._reports.labels(known).inc()
        if self._log is not None:
            self._log.write(decision)
