"""What kinds of metrics there are, and how each is registered and told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen
from prometheus_client import Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

if TYPE_CHECKING:
    from prometheus_client.core import Metric


@frozen
class _Named:
    """A metric.

    Attributes:
        name: as it is registered; a counter is told with ``_total``.
        text: one sentence for a person.
        labels: each of `streams.observability.metrics.LABELS`.
        roles: who tells it.
    """

    name: str
    text: str
    labels: tuple[str, ...] = ()
    roles: tuple[str, ...] = field(kw_only=True)

    @property
    def exposed(self) -> tuple[str, ...]:
        """Names of its series."""
        return (self.name,)


@frozen
class Gauge(_Named):
    """What goes up and down."""

    def of(self, value: float) -> Metric:
        """One series."""
        return GaugeMetricFamily(self.name, self.text, value=value)

    def family(self) -> GaugeMetricFamily:
        """Family that series are added to."""
        return GaugeMetricFamily(self.name, self.text, labels=self.labels)


@frozen
class Count(_Named):
    """What only grows, as long as the process lives."""

    @property
    def exposed(self) -> tuple[str, ...]:
        """Names of its series."""
        return (f"{self.name}_total",)

    def of(self, value: float) -> Metric:
        """One series."""
        return CounterMetricFamily(self.name, self.text, value=value)

    def family(self) -> CounterMetricFamily:
        """Family that series are added to."""
        return CounterMetricFamily(self.name, self.text, labels=self.labels)

    def counter(self) -> Counter:
        """Counter of its own."""
        return Counter(self.name, self.text, self.labels, registry=None)


@frozen
class Distribution(_Named):
    """How values lie, in buckets."""

    buckets: tuple[float, ...] = field(kw_only=True)

    @property
    def exposed(self) -> tuple[str, ...]:
        """Names of its series."""
        return tuple(f"{self.name}_{end}" for end in ("bucket", "sum", "count"))

    def histogram(self) -> Histogram:
        """Histogram of its own."""
        return Histogram(
            self.name, self.text, self.labels, buckets=self.buckets, registry=None
        )


AnyMetric = Gauge | Count | Distribution
