"""Metrics of containment: what its rules decided, and whether it keeps up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define
from prometheus_client.registry import Collector

from streams.model.times import SECOND
from streams.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.core import Metric

    from streams.services.containment import ContainmentWorker


@define(eq=False)
class ContainmentMetrics(Collector):
    """Reads the worker at every scrape; without rules there is none, and no series.

    Attributes:
        worker: of the realm.
        clock: gives the time (ns).
    """

    _worker: ContainmentWorker | None
    _clock: Callable[[], int]

    def collect(self) -> Iterator[Metric]:
        """Return decisions by rule, mode and result, and the age of the last look."""
        counts: dict[tuple[str, ...], float] = {}
        behind: dict[tuple[str, ...], float] = {}
        if self._worker is not None:
            counts = {key: float(of) for key, of in self._worker.counts.items()}
            if (looked := self._worker.looked) is not None:
                behind = {(): max(0, self._clock() - looked) / SECOND}
        yield metrics.CONTAINMENT_DECISIONS.each(counts)
        yield metrics.CONTAINMENT_BEHIND.each(behind)
