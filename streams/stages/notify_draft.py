"""A step of the notify stage in the making: what is new is told, what is due is leased.

What a step changes is copied first; the rest is shared with the state before it.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final, NamedTuple

import attrs

from streams.stages import retry
from streams.stages.deliveries import Activity, Announced, Delivery, Route
from streams.stages.delivery_state import UPDATE_EVERY, State, Told
from streams.stages.lasting import longest_silence
from streams.stages.silences import in_force, silenced
from streams.times import SECOND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.findings import Finding
    from streams.stages.silences import Silence

# Longer than any attempt takes: an attempt that is not settled by then was lost with
# its process, and the delivery is due again.
LEASE: Final = 60 * SECOND
LONGEST: Final = 2 * retry.LONGEST  # more than any wait with its jitter
# What is open has news at least once in its episode's silence. What had none for so
# long was closed where we did not see it.
STALE: Final = 24 * retry.HOUR


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


class Draft:
    """A state in the making; what changes is copied first, the rest is shared."""

    def __init__(
        self,
        state: State,
        now: int,
        routes: Sequence[Route],
        silences: Sequence[Silence] = (),
    ) -> None:
        self.state = state
        self._silences = in_force(silences, now)
        self._now = now
        self._routes = tuple(routes)
        self._queues: dict[str, dict[str, Delivery]] = {}
        self._updates: dict[str, dict[str, str]] = {}
        self._announced: dict[str, Announced] | None = None

    def take(self, change: Change) -> None:
        """Tell what begins and what ends; what changes waits for its minute."""
        finding, announced = change.finding, self._copy()
        held = finding.id not in announced or not announced[finding.id].messages
        if held and silenced(finding, self._silences):
            self._hold(change)
            return
        if held:
            # Even when it is over already: it may have come and gone while we slept.
            self._tell(finding, Activity.CREATE, max(1, change.order))
        elif not change.closed and finding.count >= announced[finding.id].count:
            # Fewer uses are an older state: its sentinel begins again without its disk.
            announced[finding.id] = attrs.evolve(
                announced[finding.id],
                waiting=finding,
                order=change.order,
                count=finding.count,
            )
        if change.closed and finding.id in announced:
            number = announced[finding.id].messages + 1
            self._tell(finding, Activity.CLOSE, max(number, change.order + 1))
            del announced[finding.id]

    def _hold(self, change: Change) -> None:
        """Keep a silenced finding while it is open, if anybody would be told of it."""
        finding, announced = change.finding, self._copy()
        announced.pop(finding.id, None)
        if not change.closed and any(r.wants(finding) for r in self._routes):
            announced[finding.id] = Announced(
                messages=0, at=self._now, waiting=finding, order=change.order
            )

    def tell_released(self) -> None:
        """Tell what is open and is not silenced any more."""
        if self._silences == self.state.silences:
            return
        self.state = attrs.evolve(self.state, silences=self._silences)
        for known in list(self._copy().values()):
            if known.messages or known.waiting is None:
                continue
            if not silenced(known.waiting, self._silences):
                # Who wanted it then may be gone, and nobody is owed it any more.
                del self._copy()[known.waiting.id]
                self._tell(known.waiting, Activity.CREATE, max(1, known.order))

    def tell_waiting(self) -> None:
        """Tell the updates that have waited for a minute, and repeat what is open."""
        told, now = self.state.told, self._now
        unchanged = self._announced is None
        if unchanged and (not told.times or ahead(told.times[0], now, retry.LONGEST)):
            return
        for finding, known in list(self._copy().items()):
            about = known.waiting or known.told
            if not known.messages or about is None:
                continue
            if silenced(about, self._silences):
                self._put_off(finding, known)
                continue
            update_at = known.at + UPDATE_EVERY
            if known.waiting is not None and not ahead(update_at, now, UPDATE_EVERY):
                number = max(known.messages + 1, known.order)
                self._tell(known.waiting, Activity.UPDATE, number)
            elif known.told is not None and not ahead(
                known.repeat_at, now, retry.LONGEST
            ):
                self._repeat(finding, known, known.told)

    def _put_off(self, finding: str, known: Announced) -> None:
        """Look again in a while at what receivers know of and is silenced."""
        due = not ahead(known.at + UPDATE_EVERY, self._now, UPDATE_EVERY)
        if due and known.waiting is not None:
            known = attrs.evolve(known, at=self._now)
        if known.told is not None and not ahead(
            known.repeat_at, self._now, retry.LONGEST
        ):
            every = self._repeated(known.told)
            known = attrs.evolve(known, repeat_at=self._now + every)
        self._copy()[finding] = known

    def _copy(self) -> dict[str, Announced]:
        if self._announced is None:
            self._announced = dict(self.state.announced)
        return self._announced

    def _tell(self, finding: Finding, activity: Activity, number: int) -> None:
        routes = self._asking(finding, activity)
        if not routes and activity is Activity.CREATE:
            return
        for route in routes:
            self._supersede(self._message(route, finding, activity, number))
        every = self._repeated(finding)
        self._copy()[finding.id] = Announced(
            messages=number,
            at=self._now,
            count=finding.count,
            told=finding if every else None,
            repeat_at=self._now + every if every else 0,
        )

    def _asking(self, finding: Finding, activity: Activity) -> list[Route]:
        """Give the receivers that a message is for.

        What begins and ends is made also for those that are disabled: it is buried,
        and can be replayed. What changes meanwhile is in the next message.
        """
        updating = activity is Activity.UPDATE
        routes = self._enabled() if updating else self._routes
        return [route for route in routes if route.wants(finding, activity)]

    def _repeat(self, identity: str, known: Announced, told: Finding) -> None:
        longest = longest_silence(told.kind, STALE)
        lasts = longest is None or self._now - known.at < longest
        every = self._repeated(told) if lasts else 0
        for route in self._enabled():
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
        due = [each for route in self._enabled() for each in self._lease(route)]
        return tuple(sorted(due, key=_urgency))

    def _enabled(self) -> list[Route]:
        return [r for r in self._routes if r.name not in self.state.disabled]

    def _lease(self, route: Route) -> list[Delivery]:
        now, state = self._now, self.state
        queue = state.queue(route.name)
        busy = sum(ahead(until, now, LEASE) for until in queue.leases)
        free = route.in_flight - busy
        if free <= 0 or ahead(state.paused.get(route.name, 0), now, retry.LONGEST):
            return []
        asleep = not queue.ready or ahead(queue.ready[0], now, LONGEST)
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
    waits = ahead(delivery.next_at, now, LONGEST if delivery.attempts else 0)
    return (delivery.called or not waits) and not ahead(
        delivery.leased_until, now, LEASE
    )


def ahead(time: int, now: int, longest: int) -> bool:
    """Tell whether to wait for a time; not when the clock was set back before it."""
    return now < time <= now + longest


def _urgency(delivery: Delivery) -> tuple[int, int, str]:
    """Order by severity, then by age."""
    return -delivery.finding.severity, delivery.created_at, delivery.id
