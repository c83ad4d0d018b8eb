"""Metrics of the receivers of alerts, read at every scrape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define
from prometheus_client.registry import Collector

from streams.model.times import SECOND
from streams.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from prometheus_client.core import Metric

    from streams.http.alerts import AlertDelivery
    from streams.stages.notify.deliveries import AttemptOutcome, Delivery

    Post = Callable[[Delivery], Awaitable[AttemptOutcome]]


class Attempts:
    """Counts the attempts to deliver, by receiver and by how they ended.

    Attributes:
        counter: for ``/metrics``.
    """

    def __init__(self) -> None:
        self.counter = metrics.ALERTS_ATTEMPTS.counter()

    def counting(self, post: Post) -> Post:
        """Wrap a function that makes an attempt, and count its results."""

        async def counted(delivery: Delivery) -> AttemptOutcome:
            outcome = await post(delivery)
            result = "delivered" if outcome.accepted else "failed"
            self.counter.labels(delivery.route, result).inc()
            return outcome

        return counted


@define(eq=False)
class AlertMetrics(Collector):
    """What waits for each receiver, and whether it is still told anything.

    ``clock`` gives the time (ns).
    """

    _desk: AlertDelivery
    _attempts: Attempts
    _clock: Callable[[], int]

    def collect(self) -> Iterator[Metric]:
        """One value a receiver."""
        state, now = self._desk.state, self._clock()
        waiting, failing, disabled, oldest = (
            each.family()
            for each in (
                metrics.ALERTS_WAITING,
                metrics.ALERTS_FAILING,
                metrics.ALERTS_DISABLED,
                metrics.ALERTS_OLDEST,
            )
        )
        for route in self._desk.routes:
            name = [route.name]
            deliveries = state.queue(route.name).deliveries.values()
            since = min((each.created_at for each in deliveries), default=now)
            waiting.add_metric(name, len(deliveries))
            failing.add_metric(name, sum(each.attempts > 0 for each in deliveries))
            disabled.add_metric(name, route.name in state.disabled)
            oldest.add_metric(name, max(0, now - since) / SECOND)
        yield from (waiting, failing, disabled, oldest)
        yield from self._attempts.counter.collect()
