"""Metrics on who enforces, and on what is proven of revocations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.stages.closure import Mode, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.engine.closures import Closures
    from streams.http.prober import Prober
    from streams.http.receipts import Receipts


class ClosureMetrics(Collector):
    """Reads at every scrape who enforces, and what is proven of revocations."""

    def __init__(self, closures: Closures, receipts: Receipts, prober: Prober) -> None:
        """Report on these."""
        self._closures = closures
        self._receipts = receipts
        self._prober = prober

    def collect(self) -> Iterator[Metric]:
        """Give who is registered and what was reached, then what was refused."""
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
        standing = self._closures.roll.standing()
        for mode in Mode:
            for lease in ("held", "lapsed"):
                guards.add_metric([mode.value, lease], standing[mode, lease])
        yield guards
        yield from self._looked_at()

    def _looked_at(self) -> Iterator[Metric]:
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
