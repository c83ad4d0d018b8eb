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
    """Reads the worker at every scrape; ``clock`` gives the time (ns)."""

    _worker: ContainmentWorker
    _clock: Callable[[], int]

    def collect(self) -> Iterator[Metric]:
        """Return decisions by rule, mode and result, and the age of the last look."""
        counts: dict[tuple[str, ...], float] = {
            key: float(count) for key, count in self._worker.counts.items()
        }
        yield metrics.CONTAINMENT_DECISIONS.each(counts)
        looked = self._worker.looked
        if looked is not None:
            behind = max(0, self._clock() - looked) / SECOND
            yield metrics.CONTAINMENT_BEHIND.each({(): behind})


def containment_metrics(
    worker: ContainmentWorker | None, clock: Callable[[], int]
) -> list[Collector]:
    """Collectors of a worker; none where there is none."""
    return [] if worker is None else [ContainmentMetrics(worker, clock)]
