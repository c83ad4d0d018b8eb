"""Closure: prove for each cause that every enforcement point enforces it.

Two logs come in. Causes lie in ``facts``; receipts say which guards serve, under which
lease, and how far they applied facts. A guard registers before it asks for the end of
facts that it will serve from, and closure reads a cause first and asks for the end of
receipts then. So whoever is not registered below that end serves from an end above
the cause, and the members of a cause are the guards registered below it.

A member has applied a cause (its receipt's offset is larger), or is fenced: it fails
closed, and its lease, counted from when closure read the cause, must have lapsed.
Closure's clock may run a tenth faster than the guard's. No lease is longer than the
ceiling. A guard denies before it has read the log once, whatever its mode: so one that
never proved that it applied anything is fenced after the ceiling too, and nobody holds
a cause open by registering alone.

For each guard all three, not a member, applied, fenced, hold for a first stretch of
the causes in offset order. So a guard is one number, the causes that it covers, the
closed ones are the smallest of those numbers, and nothing is kept for each pair.

Times are nanoseconds of one clock that nobody sets; receipts are counted by their
place in the log that they come in.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections import Counter
from enum import Enum
from typing import TYPE_CHECKING, Final

import attrs
from attrs import define, frozen

from streams.model.times import SECOND
from streams.stages.closure.arrivals import Arrivals

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SILENCE: Final = 10  # leases after which a silent member that fails closed has left
MISSED: Final = 3600 * SECOND  # for which one that left in silence is listed


class GuardMode(Enum):
    """What a guard does without a lease, as far as closure cares."""

    FAIL_CLOSED = "fail_closed"
    FAIL_OPEN = "fail_open"
    OBSERVE = "observe"


class ProofState(Enum):
    """What is proven of a cause.

    Attributes:
        PENDING: not all members enforce it yet, and the deadline is not reached.
        CLOSED: every member has applied it or is fenced, or has left since.
        PARTIAL: the deadline passed without that; may still become CLOSED.
        UNKNOWN: nobody was registered, so nothing can be said.
    """

    PENDING = "pending"
    CLOSED = "closed"
    PARTIAL = "partial"
    UNKNOWN = "unknown"


@frozen
class Registration:
    """Under which terms a guard serves.

    Attributes:
        lease: ns; what the guard holds is never longer.
        live_sessions: it serves sessions that end one lease after the check does.
    """

    guard: str
    lease: int
    mode: GuardMode
    live_sessions: bool = False
    routes: tuple[str, ...] = ()


@define
class RegisteredGuard:
    """A registered guard; those that observe are listed and never counted.

    Attributes:
        since: place of its registration among the receipts.
        first: when it registered (ns).
        applied: every fact below this offset is applied.
        heard: when it last gave a sign (ns).
        trial: ns for which a member that fails open is waited for while it has proven
            nothing; None: it has, or is waited for without end.
    """

    terms: Registration
    since: int
    heard: int
    applied: int = 0
    trial: int | None = None
    first: int = 0

    @property
    def fence(self) -> int | None:
        """Time after which the guard's lease has surely lapsed (ns)."""
        fails_closed = self.terms.mode is GuardMode.FAIL_CLOSED
        lease = self.terms.lease if fails_closed else self.trial
        if lease is None:
            return None
        tenths = 21 if self.terms.live_sessions else 11
        return -(-tenths * lease // 10)

    def is_heard(self, now: int) -> bool:
        """Whether the guard gave a sign within its lease."""
        return now - self.heard < self.terms.lease

    def has_left(self, now: int) -> bool:
        """Whether the guard's silence means that it is gone."""
        silence = now - self.heard
        if self.terms.mode is GuardMode.FAIL_OPEN:
            return self.trial is not None and silence >= SILENCE * self.trial
        return silence >= SILENCE * self.terms.lease

    def is_missed(self, now: int) -> bool:
        """Whether a guard that left may still run, cut off.

        One that was heard only for a moment may be a record that is read again.
        """
        seen = self.heard - self.first >= SILENCE * self.terms.lease
        return seen and now - self.heard < MISSED


@define(eq=False)
class Tracked:
    """A cause that is not closed.

    Attributes:
        read_at: when closure read it (ns).
        end: of the receipts, asked for after that; None until it is known.
        members: how many guards were to enforce it; None until that is fixed.
        late: its deadline passed.
    """

    offset: int
    read_at: int
    end: int | None = None
    members: int | None = None
    late: bool = False


@frozen
class CauseOutcome:
    """What is known of a cause at a time.

    Attributes:
        applied: members that said so.
        fenced: members whose lease lapsed without.
        laggards: members of which neither is known.
        left: how many members said goodbye, were silent or were removed since.
    """

    offset: int
    state: ProofState
    applied: int = 0
    fenced: tuple[str, ...] = ()
    laggards: tuple[str, ...] = ()
    left: int = 0


class Closure:
    """The guards, and the causes that they do not all enforce yet.

    Attributes:
        guards: by name.
        missed: that left in silence lately, by name; they count for nothing.
        receipts: how many records of the receipts' log were applied.
        arrivals: the newest receipts that went past a cause that is waited for.
    """

    def __init__(self, deadline: int, ceiling: int | None = None) -> None:
        """Start with nobody registered.

        Args:
            deadline: when a cause that is not closed is PARTIAL, from its reading (ns).
            ceiling: of leases (ns); None is none.
        """
        self._ceiling = ceiling
        self.guards: dict[str, RegisteredGuard] = {}
        self.missed: dict[str, RegisteredGuard] = {}
        self.receipts = 0
        self.arrivals = Arrivals()
        self._deadline = deadline
        self._tracked: list[Tracked] = []

    @property
    def waiting(self) -> int:
        """Count the causes that are not closed."""
        return len(self._tracked)

    def standing(self, now: int) -> Counter[tuple[GuardMode, str]]:
        """Count guards by mode, and by whether they were heard within their lease.

        Those that left in silence are "gone".
        """
        counts = Counter(
            (each.terms.mode, "held" if each.is_heard(now) else "lapsed")
            for each in self.guards.values()
        )
        counts.update((each.terms.mode, "gone") for each in self.missed.values())
        return counts

    def register(self, terms: Registration, now: int) -> RegisteredGuard:
        """Apply a registration; of a guard's leases the longest counts.

        A member that registers again stays a member of what it had to enforce. A lease
        above the ceiling counts as the ceiling: a guard holds none that is longer.
        """
        if self._ceiling is not None and terms.lease > self._ceiling:
            terms = attrs.evolve(terms, lease=self._ceiling)
        self.missed.pop(terms.guard, None)
        known = self.guards.get(terms.guard)
        if known is None:
            known = RegisteredGuard(
                terms, self.receipts, now, trial=self._ceiling, first=now
            )
            self.guards[terms.guard] = known
        else:
            if known.terms.mode is GuardMode.OBSERVE:
                known.since = self.receipts  # a member from now on
            known.terms = attrs.evolve(
                terms,
                lease=max(terms.lease, known.terms.lease),
                live_sessions=terms.live_sessions or known.terms.live_sessions,
            )
            known.heard = now
        self.receipts += 1
        return known

    def apply(self, guard: str, offset: int, now: int) -> bool:
        """Apply a receipt; tell whether its guard is registered. Nobody else counts."""
        self.receipts += 1
        member = self.guards.get(guard)
        if member is None:
            return False
        member.heard, member.trial = now, None
        if self._tracked and member.terms.mode is not GuardMode.OBSERVE:
            self.arrivals.note(member, self._tracked, offset, now)
        member.applied = max(member.applied, offset)
        return True

    def leave(self, guard: str) -> bool:
        """Apply a goodbye, or an operator's removal; tell whether it was known."""
        self.receipts += 1
        missed = self.missed.pop(guard, None)
        return self.guards.pop(guard, missed) is not None

    def expire(self, now: int) -> list[str]:
        """Let those go that were silent for too long, and name them."""
        gone = [name for name, each in self.guards.items() if each.has_left(now)]
        self.missed |= {name: self.guards.pop(name) for name in gone}
        over = [n for n, each in self.missed.items() if not each.is_missed(now)]
        for name in over:
            del self.missed[name]
        return gone

    def read(self, offsets: Iterable[int], now: int, *, late: bool = False) -> None:
        """Take causes in, in offset order; `ask` must follow.

        Args:
            offsets: larger than all before.
            now: when they were read.
            late: their deadline passed before a restart.
        """
        self._tracked += [Tracked(offset, now, late=late) for offset in offsets]

    def ask(self, end: int) -> None:
        """Take the end of the receipts' log, asked for after the last `read`."""
        for cause in reversed(self._tracked):
            if cause.end is not None:
                break
            cause.end = end

    def step(self, now: int) -> list[CauseOutcome]:
        """Causes whose state changed; CLOSED and UNKNOWN ones are forgotten here.

        Call it when receipts came in and as time passes.
        """
        changed = self._fix(now)
        fixed = bisect_left(self._tracked, 1, key=lambda each: each.members is None)
        covered = (self._covered(each, fixed, now) for each in self._members())
        done = min(covered, default=fixed)
        changed += self._closed(self._tracked[:done], now)
        del self._tracked[:done]
        first = bisect_left(self._tracked, 1, key=lambda each: not each.late)
        for cause in itertools.islice(self._tracked, first, None):
            if now - cause.read_at < self._deadline:
                break
            cause.late = True
            changed.append(self._look(cause, now))
        return changed

    def look(self, offset: int, now: int) -> CauseOutcome | None:
        """Say what is known of a cause; None when it is not waited for."""
        place = bisect_left(self._tracked, offset, key=lambda each: each.offset)
        if place == len(self._tracked) or self._tracked[place].offset != offset:
            return None
        return self._look(self._tracked[place], now)

    def _members(self) -> Iterator[RegisteredGuard]:
        return (
            m for m in self.guards.values() if m.terms.mode is not GuardMode.OBSERVE
        )

    def _fix(self, now: int) -> list[CauseOutcome]:
        """Fix the members of causes up to whose end the receipts are applied.

        Returns:
            Those without a member: nothing can be said of them.
        """
        first = bisect_left(self._tracked, 1, key=lambda each: each.members is None)
        known: dict[int, int] = {}
        unknown = []
        for cause in itertools.islice(self._tracked, first, None):
            end = cause.end
            if end is None or end > self.receipts:
                break
            if end not in known:
                known[end] = sum(each.since < end for each in self._members())
            cause.members = known[end]
            if not cause.members:
                unknown.append(cause)
        if unknown:
            kept = [each for each in self._tracked[first:] if each.members != 0]
            self._tracked[first:] = kept
        return [self._look(each, now) for each in unknown]

    def _covered(self, member: RegisteredGuard, fixed: int, now: int) -> int:
        """Count the causes, from the first on, that do not wait for a member."""
        tracked, fence = self._tracked, member.fence
        applied = bisect_left(
            tracked, member.applied, hi=fixed, key=lambda each: each.offset
        )
        before = bisect_right(
            tracked, member.since, hi=fixed, key=lambda each: each.end or 0
        )
        if fence is None:
            return max(applied, before)
        fenced = bisect_right(
            tracked, now - fence, hi=fixed, key=lambda each: each.read_at
        )
        return max(applied, before, fenced)

    def _closed(self, causes: list[Tracked], now: int) -> list[CauseOutcome]:
        """Say who enforces causes that wait for nobody; mostly all applied all."""
        members = list(self._members())
        lowest = min((each.applied for each in members), default=-1)
        newest = max((each.since for each in members), default=-1)
        count = len(members)
        return [
            CauseOutcome(
                each.offset, ProofState.CLOSED, count, left=(each.members or 0) - count
            )
            if each.offset < lowest and newest < (each.end or 0)
            else self._look(each, now)
            for each in causes
        ]

    def _look(self, cause: Tracked, now: int) -> CauseOutcome:
        if cause.members == 0:
            return CauseOutcome(cause.offset, ProofState.UNKNOWN)
        applied, fenced, laggards = 0, [], []
        for member in self._members():
            if cause.end is not None and member.since >= cause.end:
                continue  # it registered later, so it served from beyond the cause
            if member.applied > cause.offset:
                applied += 1
            elif member.fence is not None and now - cause.read_at >= member.fence:
                fenced.append(member.terms.guard)
            else:
                laggards.append(member.terms.guard)
        present = applied + len(fenced) + len(laggards)
        left = 0 if cause.members is None else cause.members - present
        state = ProofState.PARTIAL if cause.late else ProofState.PENDING
        if cause.members is not None and not laggards:
            state = ProofState.CLOSED
        names = tuple(sorted(fenced)), tuple(sorted(laggards))
        return CauseOutcome(cause.offset, state, applied, *names, left)
