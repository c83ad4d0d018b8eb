"""Metrics of what waits for a second person, and of quotas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define
from prometheus_client.registry import Collector

from streams.model.times import SECOND
from streams.observability import metrics
from streams.stages.ingest.approvals import HELD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.core import Metric

    from streams.services.approval_queue import ApprovalQueue
    from streams.services.ingest import Intake


@define(eq=False)
class OrderMetrics(Collector):
    """Reads a desk and the quotas at every scrape; ``clock`` gives the time (ns)."""

    _desk: ApprovalQueue
    _log: Intake
    _clock: Callable[[], int]

    def collect(self) -> Iterator[Metric]:
        """Return the number and age of waiting acts, and batches over their quota."""
        now, seen = self._clock(), self._desk.seen
        waiting, oldest = metrics.ACTS_WAITING.family(), metrics.ACTS_OLDEST.family()
        for act in ("held", "proposed"):
            since = [
                each.proposed_at
                for each in seen
                if (each.kind == HELD) == (act == "held") and not each.expired(now)
            ]
            waiting.add_metric([act], len(since))
            oldest.add_metric([act], max(0, now - min(since, default=now)) / SECOND)
        yield from (waiting, oldest)
        over = self._log.quotas.exceeded if self._log.quotas else {}
        yield metrics.OVER_QUOTA.each({(name,): over[name] for name in over})
        letters = self._log.stated.reasons.exceeded
        yield metrics.LETTERS_OVER_QUOTA.each(
            {(name,): letters[name] for name in letters}
        )
