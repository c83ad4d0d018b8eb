"""The stage that tells the SOC: which message is due at which receiver, and when.

The rules:

- The first message of a finding is due at once; updates follow at most once a minute
  and carry the counts so far; closing it is told at once. Receivers that forget are
  told of what is open again and again (`Route.repeat`).
- A message keeps its id over all attempts and restarts. It is tried on the schedule
  of `streams.stages.retry`, and is a dead letter after the last attempt.
- 2xx ends it. 410 disables the receiver and buries all that waits for it. Anything
  else, a redirect too, is tried again; Retry-After is honoured, and where the receiver
  is too busy (429, 503) by everything that waits for it.
- A receiver that takes something again is back: what failed before is called, the most
  severe first, at most every few minutes. A call that fails costs no attempt.
- While a receiver fails, a newer update takes the place of an older one of the same
  finding, so an outage does not pile up what nobody will read.
- The messages of one finding reach one receiver in their order: a close that overtook
  a failing create would leave the finding open for good.
- Receivers do not wait for each other: each has a queue of its own, at most so many of
  it under way (`Route.in_flight`), the most severe first.

An engine calls `step` with what changed, posts each delivery that is due, and gives
each answer to `settle`; it saves the state (`delivery_state.changes`) before it posts.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

import attrs

from streams.stages import retry
from streams.stages.deliveries import (
    IN_FLIGHT,
    Activity,
    Announced,
    Dead,
    Delivery,
    Outcome,
    Route,
)
from streams.stages.delivery_state import UPDATE_EVERY, State, Told
from streams.times import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streams.findings import Finding

__all__ = [
    "IN_FLIGHT", "LEASE", "UPDATE_EVERY", "Change", "Settled", "Step",
    "enable", "next_due", "revive", "settle", "step",
]  # fmt: skip

# Longer than any attempt takes: an attempt that is not settled by then was lost with
# its process, and the delivery is due again.
LEASE: Final = 60 * SECOND
LONGEST: Final = 2 * retry.LONGEST  # more than any wait with its jitter
CALL_EVERY: Final = 5 * retry.MINUTE
# What is open has news at least once in its episode's silence. What had none for so
# long was closed where we did not see it.
STALE: Final = 24 * retry.HOUR
GONE: Final = 410
# RFC 9110 sections 15.5.1, 15.5.14 and 15.5.21: it is the message that is not liked.
_REFUSED: Final = frozenset({400, 413, 422})
_BUSY: Final = frozenset({429, 503})


class Change(NamedTuple):
    """A finding as it is now.

    Attributes:
        closed: its episode is over.
        order: a number that grows with each change, in steps of two; messages of it
            are numbered so at least. Processes that know nothing of each other then
            give the same change the same message id. 0 where there is one process.
    """

    finding: Finding
    closed: bool = False
    order: int = 0


class Step(NamedTuple):
    """The next state, and what to post now."""

    state: State
    due: tuple[Delivery, ...]


class Settled(NamedTuple):
    """The next state, and what goes to the dead letters."""

    state: State
    dead: tuple[Dead, ...]


def step(
    state: State, findings: Iterable[Change], now: int, *, routes: Sequence[Route]
) -> Step:
    """Take in changed findings and give the deliveries that are due.

    Each delivery given is leased: it is not given again before `settle` or `LEASE`.

    Args:
        state: as the last step or settle gave it.
        findings: in the order of their changes; an empty batch is the timer's.
        now: ns.
        routes: the receivers as they are configured now.
    """
    draft = _Draft(state, now, routes)
    for change in findings:
        draft.take(change)
    draft.tell_waiting()
    draft.finish()
    due = draft.lease()
    return Step(draft.state, due)


def settle(state: State, delivery: Delivery, outcome: Outcome, now: int) -> Settled:
    """Take in how one attempt ended, ``now`` in ns."""
    status, route = outcome.status, delivery.route
    if status == GONE:
        return _bury_all(state, route, now)
    if status in _BUSY and outcome.retry_after:
        until = now + min(outcome.retry_after, retry.LONGEST)
        paused = {**state.paused, route: max(until, state.paused.get(route, 0))}
        state = attrs.evolve(state, paused=paused)
    deliveries = dict(state.queue(route).deliveries)
    current = deliveries.pop(delivery.key, None)
    if current is None:
        return Settled(state, ())
    if outcome.accepted:
        deliveries |= _called(deliveries.values(), now)
        return Settled(state.with_queue(route, deliveries), ())
    failed = _failed(current, outcome, now)
    if failed is None:
        attempts = current.attempts + 1
        reason = f"exhausted: {status or outcome.error} after {attempts} attempts"
        given_up = attrs.evolve(current, attempts=attempts, leased_until=0)
        dead = Dead(delivery=given_up, reason=reason)
        return Settled(state.with_queue(route, deliveries), (dead,))
    deliveries[current.key] = failed
    return Settled(state.with_queue(route, deliveries), ())


def _failed(current: Delivery, outcome: Outcome, now: int) -> Delivery | None:
    """Give the delivery after an attempt that failed; None when it was the last."""
    refused = outcome.status in _REFUSED
    if current.called and now < current.next_at:
        # It was tried before its time: its own attempt is still to come.
        return attrs.evolve(current, leased_until=0, called=False, refused=refused)
    attempts = current.attempts + 1
    pause = retry.wait(current.key, attempts, outcome.retry_after)
    if pause is None:
        return None
    return attrs.evolve(
        current,
        attempts=attempts,
        next_at=now + pause,
        leased_until=0,
        called=False,
        refused=refused,
    )


def _called(waiting: Iterable[Delivery], now: int) -> dict[str, Delivery]:
    """Call what failed while the receiver was down."""
    return {
        each.key: attrs.evolve(each, called=True, called_at=now)
        for each in waiting
        if each.attempts
        and each.next_at > now
        and not (each.called or each.refused or each.leased_until)
        and not _ahead(each.called_at + CALL_EVERY, now, CALL_EVERY)
    }


def next_due(state: State, now: int) -> int | None:
    """Give when `step` has something to do although nothing happens (ns)."""
    times = [_after(state.told.times, now)]
    for route, queue in state.queues.items():
        open_at = max(now, state.paused.get(route, 0))
        ready = _after(queue.ready, now)
        if ready is not None:
            times.append(max(ready, open_at))
        if open_at > now and queue.ready and queue.ready[0] <= open_at:
            times.append(open_at)  # what became ready in a pause waits for its end
        times.append(_after(queue.leases, now))
    return min((time for time in times if time is not None), default=None)


def _after(times: Sequence[int], now: int) -> int | None:
    """Give the first of sorted times that is later."""
    place = bisect_right(times, now)
    return times[place] if place < len(times) else None


def enable(state: State, route: str) -> State:
    """Give a receiver that answered 410 another chance; what was buried stays so.

    A start of the server is one: nobody else can tell that it is back.
    """
    if route not in state.disabled:
        return state
    disabled = {name: at for name, at in state.disabled.items() if name != route}
    return attrs.evolve(state, disabled=disabled)


def revive(state: State, buried: Iterable[Delivery], now: int) -> State:
    """Let deliveries that were given up begin anew, with the ids that they had."""
    fresh = [
        attrs.evolve(
            each, attempts=0, next_at=now, leased_until=0, called=False, refused=False
        )
        for each in buried
        if not _under_way(state, each)
    ]
    for route in {each.route for each in fresh}:
        state = enable(state, route)
    return state.with_deliveries(fresh)


def _under_way(state: State, delivery: Delivery) -> bool:
    known = state.queue(delivery.route).deliveries.get(delivery.key)
    return known is not None and known.leased_until > 0


def _bury_all(state: State, route: str, now: int) -> Settled:
    gone = state.queue(route).deliveries.values()
    after = attrs.evolve(
        state.with_queue(route, {}), disabled={**state.disabled, route: now}
    )
    reason = "endpoint_gone: 410, the endpoint is disabled until the next start"
    return Settled(after, tuple(Dead(delivery=d, reason=reason) for d in gone))


class _Draft:
    """A state in the making; what changes is copied first, the rest is shared."""

    def __init__(self, state: State, now: int, routes: Sequence[Route]) -> None:
        self.state = state
        self._now = now
        self._routes = [r for r in routes if r.name not in state.disabled]
        self._queues: dict[str, dict[str, Delivery]] = {}
        self._updates: dict[str, dict[str, str]] = {}
        self._announced: dict[str, Announced] | None = None

    def take(self, change: Change) -> None:
        finding, announced = change.finding, self._copy()
        if finding.id not in announced:
            # Even when it is over already: it may have come and gone while we slept.
            self._tell(finding, Activity.CREATE, max(1, change.order))
        elif not change.closed:
            known = announced[finding.id]
            announced[finding.id] = attrs.evolve(
                known, waiting=finding, order=change.order
            )
        if change.closed and finding.id in announced:
            number = announced[finding.id].messages + 1
            self._tell(finding, Activity.CLOSE, max(number, change.order + 1))
            del announced[finding.id]

    def tell_waiting(self) -> None:
        """Tell the updates that have waited for a minute, and repeat what is open."""
        told, now = self.state.told, self._now
        unchanged = self._announced is None
        if unchanged and (not told.times or _ahead(told.times[0], now, retry.LONGEST)):
            return
        for finding, known in list(self._copy().items()):
            update_at = known.at + UPDATE_EVERY
            if known.waiting is not None and not _ahead(update_at, now, UPDATE_EVERY):
                number = max(known.messages + 1, known.order)
                self._tell(known.waiting, Activity.UPDATE, number)
            elif known.told is not None and not _ahead(
                known.repeat_at, now, retry.LONGEST
            ):
                self._repeat(finding, known, known.told)

    def _copy(self) -> dict[str, Announced]:
        if self._announced is None:
            self._announced = dict(self.state.announced)
        return self._announced

    def _tell(self, finding: Finding, activity: Activity, number: int) -> None:
        routes = [r for r in self._routes if r.wants(finding, activity)]
        if not routes and activity is Activity.CREATE:
            return
        for route in routes:
            self._supersede(self._message(route, finding, activity, number))
        every = self._repeated(finding)
        self._copy()[finding.id] = Announced(
            messages=number,
            at=self._now,
            told=finding if every else None,
            repeat_at=self._now + every if every else 0,
        )

    def _repeat(self, identity: str, known: Announced, told: Finding) -> None:
        every = self._repeated(told) if self._now - known.at < STALE else 0
        for route in self._routes:
            if every and route.repeat and route.wants(told):
                again = self._message(route, told, Activity.UPDATE, known.messages)
                # Not a number of its own: numbers are those of what is new.
                name = f"{again.id}.{self._now // SECOND}"
                self._supersede(attrs.evolve(again, id=name))
        self._copy()[identity] = attrs.evolve(
            known, told=told if every else None, repeat_at=self._now + every
        )

    def _repeated(self, finding: Finding) -> int:
        """Give how often a finding is repeated (ns); 0: never."""
        wishes = [r.repeat for r in self._routes if r.repeat and r.wants(finding)]
        return min(wishes, default=0)

    def _message(
        self, route: Route, finding: Finding, activity: Activity, number: int
    ) -> Delivery:
        return Delivery(
            id=f"{finding.id}.{number}",
            number=number,
            route=route.name,
            activity=activity,
            finding=finding,
            created_at=self._now,
            next_at=self._now,
        )

    def _supersede(self, new: Delivery) -> None:
        """Put a delivery in the place of an update that it makes stale."""
        queue = self._queue(new.route)
        if new.activity is Activity.CREATE:
            queue[new.key] = new
            return
        updates = self._waiting(new.route)
        stale = updates.pop(new.finding.id, None)
        if stale is not None:
            old = queue.pop(stale)
            # The receiver fails as before: a fresh id is no reason to hurry.
            new = attrs.evolve(
                new,
                attempts=old.attempts,
                next_at=old.next_at,
                called=old.called,
                called_at=old.called_at,
            )
        if new.activity is Activity.UPDATE:
            updates[new.finding.id] = new.key
        queue[new.key] = new

    def _queue(self, route: str) -> dict[str, Delivery]:
        if route not in self._queues:
            self._queues[route] = dict(self.state.queue(route).deliveries)
        return self._queues[route]

    def _waiting(self, route: str) -> dict[str, str]:
        """Give the updates that wait at a receiver, by finding: at most one each."""
        if route not in self._updates:
            self._updates[route] = {
                d.finding.id: d.key
                for d in self._queue(route).values()
                if d.activity is Activity.UPDATE and d.leased_until <= self._now
            }
        return self._updates[route]

    def finish(self) -> None:
        """Make the state of what was changed."""
        for route, deliveries in self._queues.items():
            self.state = self.state.with_queue(route, deliveries)
        if self._announced is not None:
            self.state = attrs.evolve(self.state, told=Told(self._announced))

    def lease(self) -> tuple[Delivery, ...]:
        """Give what is due now, of each receiver as much as it takes."""
        due = [each for route in self._routes for each in self._lease(route)]
        return tuple(sorted(due, key=_urgency))

    def _lease(self, route: Route) -> list[Delivery]:
        now, state = self._now, self.state
        queue = state.queue(route.name)
        busy = sum(_ahead(until, now, LEASE) for until in queue.leases)
        free = route.in_flight - busy
        if free <= 0 or _ahead(state.paused.get(route.name, 0), now, retry.LONGEST):
            return []
        asleep = not queue.ready or _ahead(queue.ready[0], now, LONGEST)
        if asleep and busy == len(queue.leases):
            return []
        ready = [head for head in queue.heads if _is_due(head, now)]
        chosen = heapq.nsmallest(1 if route.spacing else free, ready, key=_urgency)
        if not chosen:
            return []
        leased = [attrs.evolve(each, leased_until=now + LEASE) for each in chosen]
        self.state = state.with_deliveries(leased)
        if route.spacing:
            paused = {**state.paused, route.name: now + route.spacing}
            self.state = attrs.evolve(self.state, paused=paused)
        return leased


def _is_due(delivery: Delivery, now: int) -> bool:
    waits = _ahead(delivery.next_at, now, LONGEST if delivery.attempts else 0)
    return (delivery.called or not waits) and not _ahead(
        delivery.leased_until, now, LEASE
    )


def _ahead(time: int, now: int, longest: int) -> bool:
    """Tell whether to wait for a time; not when the clock was set back before it."""
    return now < time <= now + longest


def _urgency(delivery: Delivery) -> tuple[int, int, str]:
    """Order by severity, then by age."""
    return -delivery.finding.severity, delivery.created_at, delivery.id
