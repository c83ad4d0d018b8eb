"""Metrics of the receivers of alerts, read at every scrape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.http.alerts import Desk


class AlertMetrics(Collector):
    """What waits for each receiver, and whether it is still told anything."""

    def __init__(self, desk: Desk) -> None:
        """Read a desk."""
        self._desk = desk

    def collect(self) -> Iterator[Metric]:
        """Give one value a receiver."""
        state = self._desk.state
        waiting, failing, disabled = (
            GaugeMetricFamily(f"rescind_alerts_{name}", text, labels=["endpoint"])
            for name, text in (
                ("waiting", "Messages that a receiver has not taken yet."),
                ("failing", "Of those, how many have failed before."),
                ("disabled", "1 when the receiver answered 410."),
            )
        )
        for route in self._desk.routes:
            name = [route.name]
            deliveries = state.queue(route.name).deliveries
            waiting.add_metric(name, len(deliveries))
            failed = sum(each.attempts > 0 for each in deliveries.values())
            failing.add_metric(name, failed)
            disabled.add_metric(name, route.name in state.disabled)
        yield from (waiting, failing, disabled)
