"""A step of the notify stage in the making: what is new is told, what is due is leased.

What a step changes is copied first; the rest is shared with the state before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import attrs

from streams.model.findings import POSTURE
from streams.model.times import SECOND
from streams.stages.notify import retry
from streams.stages.notify.deliveries import (
    Activity,
    Announced,
    Delivery,
    ReceiverRoute,
)
from streams.stages.notify.groups import FEW, STEP, Groups
from streams.stages.notify.lease import ahead, lease
from streams.stages.notify.queue import bucket_of
from streams.stages.notify.silences import in_force, silenced
from streams.stages.notify.state import UPDATE_EVERY, DeliveryState, NotifiedState
from streams.stages.sentinel.finding_lifetime import longest_silence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents_registry.steps import Steps
    from streams.model.findings import Finding
    from streams.stages.notify.silences import Silence

# What is open has news at least once in its episode's silence. What had none for so
# long was closed where we did not see it.
STALE: Final = 24 * retry.HOUR


class FindingChange(NamedTuple):
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
        state: DeliveryState,
        now: int,
        routes: Sequence[ReceiverRoute],
        silences: Sequence[Silence] = (),
    ) -> None:
        self.state = state
        self._silences = in_force(silences, now)
        self._now = now
        self._routes = tuple(routes)
        self._buckets: dict[str, dict[int, dict[str, Delivery]]] = {}
        self._announced: dict[str, Announced] | None = None
        self._groups = Groups(state.groups, now, self._routes)

    def take(self, change: FindingChange) -> None:
        """Announce beginnings and ends; updates wait for their minute."""
        finding, announced = change.finding, self._copy()
        known = announced.get(finding.id)
        if known is not None and known.group:
            self._take_member(change, known)
            return
        held = known is None or not known.messages
        if held and silenced(finding, self._silences):
            self._hold(change)
            return
        if held and not change.closed and finding.kind in POSTURE:
            self._gather(change)
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

    def _hold(self, change: FindingChange) -> None:
        """Keep a silenced finding while it is open, if anybody would be told of it."""
        finding, announced = change.finding, self._copy()
        announced.pop(finding.id, None)
        if not change.closed and any(r.wants(finding) for r in self._routes):
            announced[finding.id] = Announced(
                messages=0, at=self._now, waiting=finding, order=change.order
            )

    def _gather(self, change: FindingChange) -> None:
        """Let a posture finding wait a moment for others of its kind."""
        finding = change.finding
        if any(route.wants(finding) for route in self._routes):
            self._copy()[finding.id] = Announced(
                messages=0,
                at=self._now,
                waiting=finding,
                order=change.order,
                group=self._groups.join(finding).id,
            )

    def _take_member(self, change: FindingChange, known: Announced) -> None:
        """Take in what became of a finding that is told with others."""
        finding, announced = change.finding, self._copy()
        held = known.waiting is not None
        if not change.closed:
            if held:
                announced[finding.id] = attrs.evolve(
                    known, waiting=finding, order=change.order
                )
            return
        del announced[finding.id]
        group = self._groups.changed.get(known.group)
        over = self._groups.leave(known.group, held=held)
        if over is not None and over.id in announced:
            number = announced[over.id].messages + 1
            self._tell(over, Activity.CLOSE, number)
            del announced[over.id]
        if held and (group is None or group.begun <= FEW):
            number = max(1, change.order)
            self._tell(finding, Activity.CREATE, max(1, known.order))
            self._tell(finding, Activity.CLOSE, number + 1)
            announced.pop(finding.id, None)

    def tell_gathered(self) -> Steps[None]:
        """Announce what waited for others: one by one, or a summary of many."""
        for group in self._groups.due():
            announced = self._copy()
            held = {
                identity: known
                for identity, known in announced.items()
                if known.group == group.id and known.waiting is not None
            }
            loud = []
            for count, (identity, known) in enumerate(held.items()):
                if not count & STEP:
                    yield
                if known.waiting is None or silenced(known.waiting, self._silences):
                    announced[identity] = attrs.evolve(known, group="")
                elif group.begun <= FEW:
                    del announced[identity]
                    self._tell(known.waiting, Activity.CREATE, max(1, known.order))
                else:
                    announced[identity] = attrs.evolve(known, waiting=None)
                    loud.append(known.waiting)
            if not loud:
                self._groups.told(group)
                continue
            summary = yield from self._groups.summarised(group, loud)
            if group.id in announced:
                known = announced[group.id]
                announced[group.id] = attrs.evolve(known, waiting=summary)
            else:
                self._tell(summary, Activity.CREATE, 1)

    def tell_released(self) -> None:
        """Announce what is open and no longer silenced."""
        if self._silences == self.state.silences:
            return
        self.state = attrs.evolve(self.state, silences=self._silences)
        released = [
            FindingChange(known.waiting, order=known.order)
            for known in self._copy().values()
            if known.waiting is not None
            and not (known.messages or known.group)
            and not silenced(known.waiting, self._silences)
        ]
        for change in released:
            # Who wanted it then may be gone, and nobody is owed it any more.
            del self._copy()[change.finding.id]
            if len(released) > FEW and change.finding.kind in POSTURE:
                self._gather(change)
            else:
                self._tell(change.finding, Activity.CREATE, max(1, change.order))

    def tell_waiting(self) -> None:
        """Send updates that waited for a minute, and repeat what is open."""
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

    def _asking(self, finding: Finding, activity: Activity) -> list[ReceiverRoute]:
        """Receivers that a message is for.

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
        """Interval at which a finding is repeated (ns); 0: never."""
        wishes = [r.repeat for r in self._routes if r.repeat and r.wants(finding)]
        return min(wishes, default=0)

    def _message(
        self, route: ReceiverRoute, finding: Finding, activity: Activity, number: int
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
        bucket = self._bucket(new.route, new.finding.id)
        if new.activity is Activity.CREATE:
            bucket[new.key] = new
            return
        stale = self._waiting(bucket, new.finding.id)
        if stale is not None:
            old = bucket.pop(stale)
            # The receiver fails as before: a fresh id is no reason to hurry.
            new = attrs.evolve(
                new,
                attempts=old.attempts,
                next_at=old.next_at,
                called=old.called,
                called_at=old.called_at,
            )
        bucket[new.key] = new

    def _bucket(self, route: str, finding: str) -> dict[str, Delivery]:
        """Bucket of a finding at a receiver, to be changed."""
        buckets, number = self._buckets.setdefault(route, {}), bucket_of(finding)
        if number not in buckets:
            known = self.state.queue(route).buckets[number]
            buckets[number] = dict(known.deliveries)
        return buckets[number]

    def _waiting(self, bucket: dict[str, Delivery], finding: str) -> str | None:
        """Return the waiting update of a finding: there is one at most."""
        for key, each in bucket.items():
            update = each.activity is Activity.UPDATE and each.finding.id == finding
            if update and each.leased_until <= self._now:
                return key
        return None

    def finish(self) -> None:
        """Make the state of what was changed."""
        for route, buckets in self._buckets.items():
            queue = self.state.queue(route).replaced(buckets)
            self.state = self.state.with_queue(route, queue)
        if self._announced is not None:
            self.state = attrs.evolve(self.state, told=NotifiedState(self._announced))
        if self._groups.changed != self.state.groups:
            self.state = attrs.evolve(self.state, groups=self._groups.changed)

    def lease(self) -> tuple[Delivery, ...]:
        """Deliveries due now, of each receiver as many as it takes."""
        self.state, due = lease(self.state, self._enabled(), self._now)
        return due

    def _enabled(self) -> list[ReceiverRoute]:
        return [r for r in self._routes if r.name not in self.state.disabled]
