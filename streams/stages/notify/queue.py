"""What waits for one receiver, in buckets.

An attempt replaces the one bucket that its finding lies in; what is known of the others
is kept. So what it costs hardly grows with what waits. All messages of a finding lie in
one bucket, since the later ones wait for the first.
"""

from __future__ import annotations

import heapq
import zlib
from bisect import bisect_right
from functools import cached_property
from typing import TYPE_CHECKING, Final

from attrs import Factory, field, frozen

from streams.model.findings import POSTURE, Severity
from streams.stages.notify import retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from streams.model.findings import Finding
    from streams.stages.notify.deliveries import Delivery

BUCKETS: Final = 64


def bucket_of(finding: str) -> int:
    """Return the number of the bucket of a finding, by its id."""
    return zlib.crc32(finding.encode()) % BUCKETS


def urgent(finding: Finding) -> bool:
    """Whether a finding waits behind no others: of use, and High at least."""
    return finding.severity >= Severity.HIGH and finding.kind not in POSTURE


def urgency(delivery: Delivery) -> tuple[bool, int, int, str]:
    """Order findings of use before posture, then by severity, then by age."""
    finding = delivery.finding
    posture = finding.kind in POSTURE
    return posture, -finding.severity, delivery.created_at, delivery.id


def lapses_at(delivery: Delivery) -> int:
    """Latest time at which a delivery has used up its attempts (ns)."""
    return delivery.next_at + retry.left(delivery.attempts)


@frozen(slots=False)
class DeliveryBucket:
    """Some of the deliveries of a receiver, by their keys."""

    deliveries: Mapping[str, Delivery] = field(factory=dict)

    @cached_property
    def heads(self) -> tuple[Delivery, ...]:
        """Oldest message of each finding, the most urgent first."""
        first: dict[str, int] = {}
        for each in self.deliveries.values():
            known = first.get(each.finding.id)
            if known is None or each.number < known:
                first[each.finding.id] = each.number
        heads = (d for d in self.deliveries.values() if d.number == first[d.finding.id])
        return tuple(sorted(heads, key=urgency))

    @cached_property
    def under_way(self) -> tuple[Delivery, ...]:
        """Deliveries with an attempt under way."""
        return tuple(each for each in self.deliveries.values() if each.leased_until)

    @cached_property
    def ready(self) -> tuple[int, ...]:
        """Due times of the deliveries that are not under way, in order (ns)."""
        return tuple(sorted({h.ready_at for h in self.heads if not h.leased_until}))

    @cached_property
    def findings(self) -> frozenset[str]:
        """Findings with a waiting message."""
        return frozenset(each.finding.id for each in self.deliveries.values())

    @cached_property
    def failed(self) -> tuple[Delivery, ...]:
        """Deliveries that failed, wait for their time, and may be called before it."""
        return tuple(
            each
            for each in self.deliveries.values()
            if each.attempts and not (each.called or each.refused or each.leased_until)
        )

    @cached_property
    def called_at(self) -> int:
        """Earliest time of the last attempt at one of `failed` (ns)."""
        return min((each.called_at for each in self.failed), default=0)

    @cached_property
    def lapses_at(self) -> int:
        """Earliest time at which one has used up its attempts (ns)."""
        return min(map(lapses_at, self.deliveries.values()), default=0)

    @cached_property
    def urgent(self) -> bool:
        """Whether an urgent message waits."""
        return any(urgent(h.finding) and not h.leased_until for h in self.heads)


_EMPTY: Final = DeliveryBucket()


@frozen(slots=False)
class DeliveryQueue:
    """What waits for one receiver."""

    buckets: tuple[DeliveryBucket, ...] = Factory(lambda: (_EMPTY,) * BUCKETS)

    def __len__(self) -> int:
        """Count what waits or is under way."""
        return self._size

    @cached_property
    def _size(self) -> int:
        return sum(len(each.deliveries) for each in self.buckets)

    @property
    def deliveries(self) -> Mapping[str, Delivery]:
        """All deliveries by their key."""
        return {key: d for b in self.buckets for key, d in b.deliveries.items()}

    @property
    def failing(self) -> int:
        """Count those that have failed."""
        return sum(each.attempts > 0 for each in self.deliveries.values())

    def bucket(self, finding: str) -> DeliveryBucket:
        """Bucket of a finding."""
        return self.buckets[bucket_of(finding)]

    def replaced(self, buckets: Mapping[int, Mapping[str, Delivery]]) -> DeliveryQueue:
        """Put deliveries in the place of those of some buckets, by their numbers."""
        changed = list(self.buckets)
        for number, deliveries in buckets.items():
            changed[number] = DeliveryBucket(deliveries) if deliveries else _EMPTY
        return DeliveryQueue(tuple(changed))

    def with_deliveries(
        self, put: Iterable[Delivery] = (), dropped: Iterable[Delivery] = ()
    ) -> DeliveryQueue:
        """Drop deliveries, and add others in the place of those with the same keys."""
        changed: dict[int, dict[str, Delivery]] = {}

        def of(delivery: Delivery) -> dict[str, Delivery]:
            number = bucket_of(delivery.finding.id)
            if number not in changed:
                changed[number] = dict(self.buckets[number].deliveries)
            return changed[number]

        for each in dropped:
            of(each).pop(each.key, None)
        for each in put:
            of(each)[each.key] = each
        return self.replaced(changed)

    @cached_property
    def leases(self) -> tuple[int, ...]:
        """End of each attempt under way, in order (ns)."""
        under_way = (each for bucket in self.buckets for each in bucket.under_way)
        return tuple(sorted(each.leased_until for each in under_way))

    @cached_property
    def patient(self) -> tuple[int, ...]:
        """Leases of messages that are not urgent, in order (ns)."""
        under_way = (each for bucket in self.buckets for each in bucket.under_way)
        return tuple(sorted(e.leased_until for e in under_way if not urgent(e.finding)))

    @cached_property
    def urgent(self) -> bool:
        """Whether an urgent message waits."""
        return any(each.urgent for each in self.buckets)

    @cached_property
    def first_ready(self) -> int | None:
        """Due time of the first delivery that is not under way (ns)."""
        return min((b.ready[0] for b in self.buckets if b.ready), default=None)

    @cached_property
    def _last_ready(self) -> int:
        return max((b.ready[-1] for b in self.buckets if b.ready), default=0)

    def ready_after(self, time: int) -> int | None:
        """First due time after a time (ns)."""
        if self._last_ready <= time:
            return None
        return min(
            bucket.ready[bisect_right(bucket.ready, time)]
            for bucket in self.buckets
            if bucket.ready and bucket.ready[-1] > time
        )

    def most_urgent(
        self, awake: Callable[[DeliveryBucket], bool], due: Callable[[Delivery], bool]
    ) -> Iterator[Delivery]:
        """Due heads, the most urgent first, computed as they are asked for.

        Args:
            awake: tells whether anything in a bucket may be due.
            due: tells whether a delivery is.
        """
        lanes = [filter(due, b.heads) for b in self.buckets if b.heads and awake(b)]
        return heapq.merge(*lanes, key=urgency)
