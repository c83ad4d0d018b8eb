"""Metrics of what ends at issuers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define
from prometheus_client.registry import Collector

from streams.observability import metrics
from streams.services.ending_book import SHOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.core import Metric

    from streams.services.ending_book import EndingBook


@define(eq=False)
class ActuatorMetrics(Collector):
    """Reads the book at every scrape; ``actuators`` are those of the settings."""

    _book: EndingBook
    _actuators: Sequence[str]

    def collect(self) -> Iterator[Metric]:
        """Return the number of identifiers by actuator, and by how far their end is."""
        counts = self._book.counts()
        family = metrics.ACTUATED.family()
        for name in self._actuators:
            for shown in SHOWN:
                family.add_metric([name, shown], counts.get((name, shown), 0))
        yield family
