"""What kinds of metrics there are, and how each is registered and told."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import field, frozen
from prometheus_client import Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client.core import Metric

    _Family = GaugeMetricFamily | CounterMetricFamily


@frozen
class _Named:
    """A metric.

    Attributes:
        name: as it is registered; a counter is told with ``_total``.
        text: one sentence for a person.
        labels: each of `streams.observability.metric_labels.LABELS`.
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
class _Valued(_Named):
    """A metric with one value for each of its series."""

    _family: ClassVar[type[_Family]]

    def of(self, value: float) -> Metric:
        """One series."""
        return self._family(self.name, self.text, value=value)

    def each(self, values: Mapping[tuple[str, ...], float]) -> Metric:
        """Series by the values of their labels."""
        family = self.family()
        for labels, value in values.items():
            family.add_metric(labels, value)
        return family

    def family(self) -> _Family:
        """Family that series are added to."""
        return self._family(self.name, self.text, labels=self.labels)


@frozen
class Gauge(_Valued):
    """What goes up and down."""

    _family = GaugeMetricFamily


@frozen
class Count(_Valued):
    """What only grows, as long as the process lives."""

    _family = CounterMetricFamily

    @property
    def exposed(self) -> tuple[str, ...]:
        """Names of its series."""
        return (f"{self.name}_total",)

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
