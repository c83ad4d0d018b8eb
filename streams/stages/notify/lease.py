"""Which deliveries are tried now: the most urgent first, and not too many at once.

- A receiver has a bound on what is under way (`ReceiverRoute.in_flight`). What is not
  urgent leaves one place of it free, so that an urgent message finds one.
- What is not urgent begins a few at a time over all receivers, in turns: attempts take
  the time of one process. One that takes longer waits for a network, costs nothing, and
  is counted no more; a receiver that hangs holds nobody up.
- A receiver that fails several times in a row is tried by one message at a time, after
  a pause. The others wait for it without being touched.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

import attrs

from streams.model.times import SECOND
from streams.stages.notify import retry
from streams.stages.notify.queue import lapses_at, urgency, urgent
from streams.stages.notify.state import DeliveryState, Failing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from streams.stages.notify.deliveries import Delivery, ReceiverRoute
    from streams.stages.notify.queue import DeliveryBucket, DeliveryQueue

# Longer than any attempt takes: an attempt that is not settled by then was lost with
# its process, and the delivery is due again.
LEASE: Final = 60 * SECOND
LONGEST: Final = 2 * retry.LONGEST  # more than any wait with its jitter
TOGETHER: Final = 8  # attempts that are not urgent and have just begun
BRIEF: Final = SECOND // 10
IN_A_ROW: Final = 3  # failures after which a receiver is spared
PAUSES: Final = (SECOND, 2 * SECOND, 5 * SECOND)


def ahead(time: int, now: int, longest: int) -> bool:
    """Whether to wait for a time; not when the clock was set back before it."""
    return now < time <= now + longest


def lease(
    state: DeliveryState, routes: Sequence[ReceiverRoute], now: int
) -> tuple[DeliveryState, tuple[Delivery, ...]]:
    """State in which the due deliveries are under way, and these deliveries.

    Args:
        state: of the stage.
        routes: the receivers that are told anything.
        now: ns.
    """
    room = TOGETHER - sum(_just_begun(queue, now) for queue in state.queues.values())
    chosen: list[Delivery] = []
    others: list[tuple[int, Delivery]] = []
    for route in routes:
        queue = state.queue(route.name)
        if not queue or (room <= 0 and not queue.urgent):
            continue
        for turn, each in enumerate(_candidates(state, route, queue, now)):
            if urgent(each.finding):
                chosen.append(each)
            else:
                others.append((turn + len(queue.patient), each))
    # Each receiver in its turn: the backlog of one is no reason for others to wait.
    others.sort(key=lambda one: (one[0], urgency(one[1])))
    chosen += [each for _, each in others[: max(0, room)]]
    leased = [attrs.evolve(each, leased_until=now + LEASE) for each in chosen]
    state = state.with_deliveries(leased)
    names = {each.route for each in leased}
    spaced = {r.name: now + r.spacing for r in routes if r.spacing and r.name in names}
    if spaced:
        state = attrs.evolve(state, paused={**state.paused, **spaced})
    return state, tuple(sorted(leased, key=urgency))


def _just_begun(queue: DeliveryQueue, now: int) -> int:
    """Count the attempts that are not urgent and began a moment ago."""
    begun = bisect_right(queue.patient, now + LEASE - BRIEF)
    return bisect_right(queue.patient, now + LEASE) - begun


def _candidates(
    state: DeliveryState, route: ReceiverRoute, queue: DeliveryQueue, now: int
) -> Iterator[Delivery]:
    """Deliveries to one receiver that could go now, the most urgent first."""
    busy = sum(ahead(until, now, LEASE) for until in queue.leases)
    free = route.in_flight - busy
    reserved = 1 if route.in_flight > 1 else 0
    failing = state.failing.get(route.name)
    if failing is not None and failing.until:
        # One message finds out whether it is back.
        held = busy > 0 or ahead(failing.until, now, max(PAUSES))
        free, reserved = 0 if held else 1, 0
    if route.spacing:
        free, reserved = min(free, 1), 0
    if free <= 0 or ahead(state.paused.get(route.name, 0), now, retry.LONGEST):
        return

    def awake(bucket: DeliveryBucket) -> bool:
        ready = bucket.ready
        if ready and not ahead(ready[0], now, LONGEST):
            return True
        return any(not ahead(d.leased_until, now, LEASE) for d in bucket.under_way)

    def due(delivery: Delivery) -> bool:
        waits = ahead(delivery.next_at, now, LONGEST if delivery.attempts else 0)
        return (delivery.called or not waits) and not ahead(
            delivery.leased_until, now, LEASE
        )

    for each in queue.most_urgent(awake, due):
        if free <= (0 if urgent(each.finding) else reserved):
            return
        free -= 1
        yield each


def next_attempt(
    state: DeliveryState, route: str, queue: DeliveryQueue, now: int
) -> int | None:
    """Time of the next possible attempt in a queue, later than now (ns).

    What waits for a place alone is not counted: an attempt that ends tells of it.
    """
    failing = state.failing.get(route)
    alone = failing is not None and failing.until
    open_at = max(state.paused.get(route, 0), failing.until if failing else 0)
    first = [
        time for time in (queue.first_ready, *queue.leases[:1]) if time is not None
    ]
    times = [_after(queue.leases, now)]
    if not (alone and queue.leases):
        times.append(queue.ready_after(max(now, open_at)))
    if open_at > now and first and min(first) <= open_at:
        times.append(open_at)  # what became ready in a pause waits for its end
    if queue.patient and queue.patient[-1] > now + LEASE - BRIEF:
        begun = _after(queue.patient, now + LEASE - BRIEF)
        times.append(None if begun is None else begun - LEASE + BRIEF)
    return min((time for time in times if time is not None), default=None)


def _after(times: Sequence[int], now: int) -> int | None:
    """First of sorted times that is later."""
    place = bisect_right(times, now)
    return times[place] if place < len(times) else None


def failed(state: DeliveryState, route: str, now: int) -> DeliveryState:
    """Take note that a receiver took something not (ns)."""
    known = state.failing.get(route)
    if known is None:
        known = Failing(since=now)
    elif not known.until:
        known = attrs.evolve(known, attempts=known.attempts + 1)
    elif now >= known.until or known.until > now + max(PAUSES):
        known = attrs.evolve(known, probes=known.probes + 1, until=0)
    if not known.until and (known.attempts >= IN_A_ROW or known.probes):
        pause = PAUSES[min(known.probes, len(PAUSES) - 1)]
        known = attrs.evolve(known, until=now + pause)
    return attrs.evolve(state, failing={**state.failing, route: known})


def taken(state: DeliveryState, route: str) -> DeliveryState:
    """Take note that a receiver took something."""
    if route not in state.failing:
        return state
    failing = {name: it for name, it in state.failing.items() if name != route}
    return attrs.evolve(state, failing=failing)


def lapsed(state: DeliveryState, route: str, now: int) -> list[Delivery]:
    """Deliveries that waited behind a failing receiver as long as attempts take.

    It was spared them, since it would have failed; it ends as if it had been tried.
    """
    failing = state.failing.get(route)
    if failing is None or not failing.until:
        return []

    def over(delivery: Delivery) -> bool:
        spared = max(0, failing.since - delivery.next_at)
        return not delivery.leased_until and now >= spared + lapses_at(delivery)

    return [
        each
        for bucket in state.queue(route).buckets
        if bucket.deliveries and now >= bucket.lapses_at
        for each in bucket.deliveries.values()
        if over(each)
    ]
