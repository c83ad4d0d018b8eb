"""Which guards stand at an enforcement point, and when each had applied what.

An access log names a point; receipts come from guards. A guard stands at the point
that has its name, unless the settings say which guards stand there. Of each guard its
registrations are kept and a thinned log of (time, offset): a lookup may say that
something was applied later than it was, and never earlier.

Times are ns of the wall clock: the guard's own where its receipt tells, since the log
of the point mostly has the same clock, else that of the receipt's arrival.
"""

from __future__ import annotations

from bisect import bisect_left
from fnmatch import fnmatchcase
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from attrs import Factory, define

from streams.model.times import SECOND
from streams.stages.posture.rules import few
from streams.stages.sentinel.evidence import PointEvidence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

RESOLUTION: Final = SECOND  # between two entries that are kept
MOST_ENTRIES: Final = 512  # of a guard; then every other one is dropped
MOST_STINTS: Final = 32
MOST_GUARDS: Final = 10_000
# A receipt that was under way for longer is not believed to be so old; one that says
# that it comes from so far ahead would have the guard seem to know nothing until then.
LATEST: Final = 300 * SECOND
NOBODY: Final = PointEvidence()


def said_at(sent_at: int | None, arrived_at: int) -> int:
    """Time of a receipt (ns) out of what it says and when it came."""
    if sent_at is None or abs(arrived_at - sent_at) > LATEST:
        return arrived_at
    return sent_at


@define
class RegistrationInterval:
    """A time through which a guard was registered; ``until`` None: it still is."""

    since: int
    until: int | None
    enforces: bool


@define
class PointGuard:
    """One guard.

    Attributes:
        stints: in their order.
        entries: when it had applied every fact below which offset; both only grow.
    """

    stints: list[RegistrationInterval] = Factory(list)
    entries: list[tuple[int, int]] = Factory(list)

    @property
    def serving(self) -> RegistrationInterval | None:
        """Registration interval that is not over."""
        if self.stints and self.stints[-1].until is None:
            return self.stints[-1]
        return None

    def add(self, at: int, offset: int) -> None:
        """Note that everything below an offset is applied by a time."""
        entries = self.entries
        if entries and at < entries[-1][0]:
            at = entries[-1][0]  # its clock was set back
        if len(entries) > 1 and at - entries[-2][0] < RESOLUTION:
            entries.pop()
        entries.append((at, offset))
        if len(entries) > MOST_ENTRIES:
            del entries[1:-1:2]

    @property
    def applied(self) -> int:
        """Offset below which all is applied."""
        return self.entries[-1][1] if self.entries else 0

    def knew_at(self, as_of: int) -> int | None:
        """By when all below an offset was applied; None where it is not."""
        place = bisect_left(self.entries, as_of, key=itemgetter(1))
        return self.entries[place][0] if place < len(self.entries) else None

    def stint_at(
        self, at: int, skew: int, grace: int = 0
    ) -> RegistrationInterval | None:
        """Last stint that a time may lie in, one that observes before others.

        What was let in by who perhaps only observed is no failure, also where it was
        logged up to a grace after the guard had begun to enforce.
        """
        found = [
            stint
            for stint in reversed(self.stints)
            if stint.since - skew <= at
            and (
                stint.until is None
                or at <= stint.until + skew + (0 if stint.enforces else grace)
            )
        ]
        return min(found, key=lambda stint: stint.enforces, default=None)

    def to_plain(self) -> dict[str, Any]:
        """JSON-ready values."""
        stints = [[each.since, each.until, each.enforces] for each in self.stints]
        return {"stints": stints, "entries": self.entries}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> PointGuard:
        """Read what `to_plain` gave."""
        entries = [(at, offset) for at, offset in plain["entries"]]
        return cls([RegistrationInterval(*each) for each in plain["stints"]], entries)


class EnforcementPoints:
    """The guards of a realm.

    Attributes:
        listeners: called when a guard applied more or was registered.
    """

    def __init__(self, bound: Mapping[str, Sequence[str]] | None = None) -> None:
        """Start with nobody registered.

        Args:
            bound: point to the names of the guards that stand there; ``*`` stands
                for any part of a name. A point that is not listed has the guard of
                its own name.
        """
        self.listeners: list[Callable[[], None]] = []
        self._bound = dict(bound or {})
        self._guards: dict[str, PointGuard] = {}
        self._news: set[str] = set()
        self._unsaved: set[str] = set()

    def __contains__(self, guard: str) -> bool:
        """Whether anything is known of a guard."""
        return guard in self._guards

    def registered(self, guard: str, at: int, *, enforces: bool) -> None:
        """Note that a guard serves from a time on, and whether it enforces."""
        known = self._guards.get(guard)
        if known is None:
            while len(self._guards) >= MOST_GUARDS:
                self._forget(next(iter(self._guards)))
            known = self._guards[guard] = PointGuard()
        serving = known.serving
        if serving is not None:
            if serving.enforces == enforces:
                return
            serving.until = at
        known.stints.append(RegistrationInterval(at, None, enforces))
        del known.stints[:-MOST_STINTS]
        self._tell(guard)

    def applied(self, guard: str, offset: int, at: int) -> None:
        """Note that a guard had applied every fact below an offset by a time."""
        known = self._guards.get(guard)
        if known is not None and offset > known.applied:
            known.add(at, offset)
            self._tell(guard)

    def begin_anew(self) -> None:
        """Forget who had applied what: it speaks of another log's offsets."""
        for name, guard in self._guards.items():
            guard.entries.clear()
            self._unsaved.add(name)

    def left(self, guard: str, at: int) -> None:
        """Note that a guard serves no more."""
        known = self._guards.get(guard)
        if known is not None and (serving := known.serving) is not None:
            serving.until = max(at, serving.since)
            self._unsaved.add(guard)

    def forget(self, before: int) -> None:
        """Drop the guards that left before a time."""
        gone = [
            name
            for name, each in self._guards.items()
            if each.serving is None and (each.stints[-1].until or 0) < before
        ]
        for name in gone:
            self._forget(name)

    def standing(
        self, point: str, as_of: int | None, at: int, skew: int, grace: int = 0
    ) -> PointEvidence:
        """Say what receipts tell of a point.

        Args:
            point: as the access log has it.
            as_of: the offset below which everything must have been applied.
            at: the time of the access (ns).
            skew: by how much the clocks may differ (ns).
            grace: from the check of a request until it is logged (ns).
        """
        enforcing, observing = [], False
        for _, guard in self._named(point):
            stint = guard.stint_at(at, skew, grace)
            if stint is not None and stint.enforces:
                enforcing.append(guard)
            observing |= stint is not None
        if not enforcing:
            return PointEvidence(observes=True) if observing else NOBODY
        knew = [None if as_of is None else each.knew_at(as_of) for each in enforcing]
        times = [time for time in knew if time is not None]
        all_of_them = len(times) == len(knew)
        return PointEvidence(reports=True, knew_at=max(times) if all_of_them else None)

    def behind(self, point: str, as_of: int | None, at: int) -> str:
        """Name the guards of a point that enforce and had not applied something.

        Args:
            point: as the access log has it.
            as_of: the offset below which everything must have been applied.
            at: the time of the access (ns).
        """
        late = []
        for name, guard in self._named(point):
            stint = guard.stint_at(at, 0)
            knew = None if as_of is None else guard.knew_at(as_of)
            if stint is not None and stint.enforces and (knew is None or knew > at):
                late.append(self.placed(name))
        return few(sorted(late))

    def placed(self, guard: str) -> str:
        """Name of a guard with the points where it stands."""
        return placed(guard, self._bound)

    @property
    def news(self) -> bool:
        """Whether there is news."""
        return bool(self._news)

    def take_news(self) -> set[str]:
        """Points that guards with news stand at, since the last call."""
        news, self._news = self._news, set()
        points = news - self._bound.keys()
        for point, patterns in self._bound.items():
            if any(_fits(guard, patterns) for guard in news):
                points.add(point)
        return points

    @property
    def unsaved(self) -> bool:
        """Whether there is something to save."""
        return bool(self._unsaved)

    def take_unsaved(self) -> list[tuple[str, dict[str, Any] | None]]:
        """Guards that changed since the last call; None for forgotten ones."""
        unsaved, self._unsaved = self._unsaved, set()
        found = ((name, self._guards.get(name)) for name in sorted(unsaved))
        return [
            (name, None if each is None else each.to_plain()) for name, each in found
        ]

    def restore(self, name: str, plain: Mapping[str, Any]) -> None:
        """Take back what was saved of a guard."""
        self._guards[name] = PointGuard.from_plain(plain)

    def _named(self, point: str) -> Iterator[tuple[str, PointGuard]]:
        patterns = self._bound.get(point)
        if patterns is None:
            if point in self._guards:
                yield point, self._guards[point]
            return
        for name, guard in self._guards.items():
            if _fits(name, patterns):
                yield name, guard

    def _tell(self, guard: str) -> None:
        self._news.add(guard)
        self._unsaved.add(guard)
        for listener in self.listeners:
            listener()

    def _forget(self, guard: str) -> None:
        del self._guards[guard]
        self._news.discard(guard)
        self._unsaved.add(guard)


def placed(guard: str, bound: Mapping[str, Sequence[str]]) -> str:
    """Name of a guard with the points where it stands.

    Args:
        guard: its name.
        bound: as `EnforcementPoints` takes it.
    """
    points = sorted(point for point, each in bound.items() if _fits(guard, each))
    return f"{guard} (at {few(points or [guard])})"


def _fits(guard: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(guard, pattern) for pattern in patterns)
