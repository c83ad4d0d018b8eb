"""The stage that tells the SOC: which message is due at which receiver, and when.

The rules:

- The first message of a finding is due at once; updates follow at most once a minute
  and carry the counts so far; closing it is told at once.
- A message keeps its id over all attempts and restarts. It is tried on the schedule
  of `streams.stages.retry`, and is a dead letter after the last attempt.
- 2xx ends it. 410 disables the receiver and buries all that waits for it. Anything
  else, a redirect too, is tried again; Retry-After is honoured.
- While a receiver fails, a newer update takes the place of an older one of the same
  finding, so an outage does not pile up what nobody will read.
- The messages of one finding reach one receiver in their order: a close that overtook
  a failing create would leave the finding open for good.
- Receivers do not wait for each other: each has its own deliveries, at most
  `IN_FLIGHT` of them under way, the most severe first.

An engine calls `step` with what changed, posts each delivery that is due, and gives
each answer to `settle`; it saves the state (`deliveries.changes`) before it posts.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final, NamedTuple

import attrs

from streams.stages import retry
from streams.stages.deliveries import (
    Activity,
    Announced,
    Dead,
    Delivery,
    Outcome,
    Route,
    State,
)
from streams.times import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streams.findings import Finding

UPDATE_EVERY: Final = 60 * SECOND
IN_FLIGHT: Final = 16
# Longer than any attempt takes: an attempt that is not settled by then was lost with
# its process, and the delivery is due again.
LEASE: Final = 60 * SECOND
GONE: Final = 410
LONGEST: Final = 2 * retry.LONGEST  # more than any wait with its jitter


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
    due = draft.lease()
    return Step(draft.state(), due)


def settle(state: State, delivery: Delivery, outcome: Outcome, now: int) -> Settled:
    """Take in how one attempt ended, ``now`` in ns."""
    status = outcome.status
    if status == GONE:
        return _bury_all(state, delivery.route, now)
    if delivery.key not in state.deliveries:
        return Settled(state, ())
    deliveries = dict(state.deliveries)
    current = deliveries.pop(delivery.key)
    if status is not None and 200 <= status < 300:  # noqa: PLR2004 - RFC 9110 2xx
        return Settled(attrs.evolve(state, deliveries=deliveries), ())
    attempts = current.attempts + 1
    failed = attrs.evolve(current, attempts=attempts, leased_until=0)
    pause = retry.wait(current.key, attempts, outcome.retry_after)
    if pause is None:
        reason = f"exhausted: {status or outcome.error} after {attempts} attempts"
        dead = Dead(delivery=failed, reason=reason)
        return Settled(attrs.evolve(state, deliveries=deliveries), (dead,))
    deliveries[current.key] = attrs.evolve(failed, next_at=now + pause)
    return Settled(attrs.evolve(state, deliveries=deliveries), ())


def next_due(state: State, now: int) -> int | None:
    """Give when `step` has something to do although nothing happens (ns)."""
    times = [max(d.next_at, d.leased_until) for d in state.deliveries.values()]
    times += [
        known.at + UPDATE_EVERY
        for known in state.announced.values()
        if known.waiting is not None
    ]
    return min((time for time in times if time > now), default=None)


def enable(state: State, route: str) -> State:
    """Give a receiver that answered 410 another chance; what was buried stays so.

    A start of the server is one: nobody else can tell that it is back.
    """
    disabled = {name: at for name, at in state.disabled.items() if name != route}
    return attrs.evolve(state, disabled=disabled)


def _bury_all(state: State, route: str, now: int) -> Settled:
    gone = [d for d in state.deliveries.values() if d.route == route]
    kept = {k: d for k, d in state.deliveries.items() if d.route != route}
    after = attrs.evolve(
        state, deliveries=kept, disabled={**state.disabled, route: now}
    )
    reason = "endpoint_gone: 410, the endpoint is disabled until the next start"
    return Settled(after, tuple(Dead(delivery=d, reason=reason) for d in gone))


class _Draft:
    """A state in the making; copied once a step, then changed in place."""

    def __init__(self, state: State, now: int, routes: Sequence[Route]) -> None:
        self._old = state
        self._now = now
        self._routes = [r for r in routes if r.name not in state.disabled]
        self._deliveries = dict(state.deliveries)
        self._announced = dict(state.announced)
        self._waiting: dict[tuple[str, str], str] | None = None

    def state(self) -> State:
        return attrs.evolve(
            self._old, deliveries=self._deliveries, announced=self._announced
        )

    def take(self, change: Change) -> None:
        finding = change.finding
        if finding.id not in self._announced:
            # Even when it is over already: it may have come and gone while we slept.
            self._tell(finding, Activity.CREATE, max(1, change.order))
        elif not change.closed:
            known = self._announced[finding.id]
            self._announced[finding.id] = attrs.evolve(
                known, waiting=finding, order=change.order
            )
        if change.closed and finding.id in self._announced:
            number = self._announced[finding.id].messages + 1
            self._tell(finding, Activity.CLOSE, max(number, change.order + 1))
            del self._announced[finding.id]

    def tell_waiting(self) -> None:
        for known in list(self._announced.values()):
            if known.waiting is not None and not _ahead(
                known.at + UPDATE_EVERY, self._now, UPDATE_EVERY
            ):
                number = max(known.messages + 1, known.order)
                self._tell(known.waiting, Activity.UPDATE, number)

    def _tell(self, finding: Finding, activity: Activity, number: int) -> None:
        routes = [r for r in self._routes if finding.severity >= r.minimum]
        if not routes and activity is Activity.CREATE:
            return
        for route in routes:
            delivery = Delivery(
                id=f"{finding.id}.{number}",
                number=number,
                route=route.name,
                activity=activity,
                finding=finding,
                created_at=self._now,
                next_at=self._now,
            )
            self._supersede(delivery)
        self._announced[finding.id] = Announced(messages=number, at=self._now)

    def _supersede(self, new: Delivery) -> None:
        """Put a delivery in the place of an update that it makes stale."""
        stale = self._updates().pop((new.route, new.finding.id), None)
        if stale is not None:
            old = self._deliveries.pop(stale)
            # The receiver fails as before: a fresh id is no reason to hurry.
            new = attrs.evolve(new, attempts=old.attempts, next_at=old.next_at)
        if new.activity is Activity.UPDATE:
            self._updates()[new.route, new.finding.id] = new.key
        self._deliveries[new.key] = new

    def _updates(self) -> dict[tuple[str, str], str]:
        """Give the updates that wait, by receiver and finding: at most one each."""
        if self._waiting is None:
            self._waiting = {
                (d.route, d.finding.id): d.key
                for d in self._deliveries.values()
                if d.activity is Activity.UPDATE and d.leased_until <= self._now
            }
        return self._waiting

    def lease(self) -> tuple[Delivery, ...]:
        now = self._now
        first: dict[tuple[str, str], int] = {}
        free = {route.name: IN_FLIGHT for route in self._routes}
        for delivery in self._deliveries.values():
            pair = (delivery.route, delivery.finding.id)
            first[pair] = min(first.get(pair, delivery.number), delivery.number)
            if _ahead(delivery.leased_until, now, LEASE) and delivery.route in free:
                free[delivery.route] -= 1
        ready: dict[str, list[Delivery]] = {
            name: [] for name, slots in free.items() if slots > 0
        }
        for delivery in self._deliveries.values():
            if (
                delivery.route in ready
                and not _ahead(
                    delivery.next_at, now, LONGEST if delivery.attempts else 0
                )
                and not _ahead(delivery.leased_until, now, LEASE)
                and delivery.number == first[delivery.route, delivery.finding.id]
            ):
                ready[delivery.route].append(delivery)
        due = [
            attrs.evolve(delivery, leased_until=now + LEASE)
            for name, waiting in ready.items()
            for delivery in heapq.nsmallest(free[name], waiting, key=_urgency)
        ]
        self._deliveries |= {delivery.key: delivery for delivery in due}
        return tuple(sorted(due, key=_urgency))


def _ahead(time: int, now: int, longest: int) -> bool:
    """Tell whether to wait for a time; not when the clock was set back before it."""
    return now < time <= now + longest


def _urgency(delivery: Delivery) -> tuple[int, int, str]:
    """Order by severity, then by age."""
    return -delivery.finding.severity, delivery.created_at, delivery.id
