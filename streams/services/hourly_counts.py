"""What causes and findings count by hour: pure, the same on either engine.

Each cause and finding has a key of its own: a record that is read twice counts once.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from attrs import define, field

from streams.model.times import SECOND, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

HOUR: Final = 3600


class CountedRevocation(NamedTuple):
    """Key of a cause in its hour; ``cause`` is the id of its fact."""

    realm: str
    authority: str
    effect: str
    cause: str


class CountedFinding(NamedTuple):
    """Key of a finding in the hour of its first use; ``finding`` is its id."""

    realm: str
    authority: str
    kind: str
    finding: str


class FindingState(NamedTuple):
    """A finding at its last revision that was read.

    Attributes:
        seconds: from its first use until it was closed; None while it is open.
    """

    revision: int
    seconds: float | None


def spread(seconds: Iterable[float]) -> dict[str, Any]:
    """Count, median and longest of durations (s), JSON-ready."""
    ordered = sorted(seconds)
    middle = ordered[len(ordered) // 2] if ordered else None
    longest = ordered[-1] if ordered else None
    return {"count": len(ordered), "median": middle, "longest": longest}


def hour_of(at: int) -> int:
    """Return where the hour of a time (ns) begins (s)."""
    return at // SECOND // HOUR * HOUR


@define
class _Found:
    """Findings of one hour, authority and kind.

    Attributes:
        closed: seconds, the shortest first.
    """

    opened: int = 0
    closed: list[float] = field(factory=list)


@define
class HourlyTotals:
    """Sums the counts of hours over spans of them.

    Attributes:
        since: hours that begin earlier (s since 1970) are left out.
        step: hours that are counted together, from there on.
    """

    since: int
    step: int = 1
    _causes: Counter[tuple[int, str, str]] = field(factory=Counter, init=False)
    _findings: dict[tuple[int, str, str], _Found] = field(factory=dict, init=False)

    def add_causes(self, hour: int, authority: str, effect: str, count: int) -> None:
        """Add causes of an hour (s)."""
        if hour >= self.since:
            self._causes[self._begin(hour), authority, effect] += count

    def add_findings(
        self, hour: int, authority: str, kind: str, opened: int, closed: Sequence[float]
    ) -> None:
        """Add findings of an hour (s), and the seconds until some were closed."""
        if hour >= self.since:
            of = self._findings.setdefault(
                (self._begin(hour), authority, kind), _Found()
            )
            of.opened += opened
            of.closed += closed

    def answer(self) -> dict[str, Any]:
        """Return the sums, JSON-ready, each list in the order of hours."""
        return {
            "revocations": [
                {"hour": _text(begin), "authority": who, "effect": effect, "count": n}
                for (begin, who, effect), n in sorted(self._causes.items())
            ],
            "findings": [
                {
                    "hour": _text(begin),
                    "authority": authority,
                    "kind": kind,
                    "opened": of.opened,
                    "seconds_to_close": spread(of.closed),
                }
                for (begin, authority, kind), of in sorted(
                    self._findings.items(), key=lambda item: item[0]
                )
            ],
        }

    def _begin(self, hour: int) -> int:
        """First hour of those that an hour is counted together with."""
        span = self.step * HOUR
        return self.since + (hour - self.since) // span * span


@define
class _RealmHours:
    causes: dict[int, Counter[tuple[str, str]]] = field(factory=dict)
    findings: dict[int, dict[tuple[str, str], _Found]] = field(factory=dict)


@define(eq=False)
class HourlyIndex:
    """Counts that are kept while causes and findings come in.

    A question costs what there are of hours and kinds, and no finding is read again.

    Attributes:
        kept: seconds before the newest hour for which there are counts.
    """

    kept: int
    _newest: int = 0
    _causes: dict[CountedRevocation, int] = field(factory=dict)
    _findings: dict[CountedFinding, tuple[FindingState, int]] = field(factory=dict)
    _realms: defaultdict[str, _RealmHours] = field(
        factory=lambda: defaultdict(_RealmHours)
    )

    def take_cause(self, key: CountedRevocation, hour: int) -> None:
        """Count a cause once, in the hour (s) in which it took effect."""
        if key in self._causes:
            return
        self._note(hour)
        self._causes[key] = hour
        hours = self._realms[key.realm].causes
        hours.setdefault(hour, Counter())[key.authority, key.effect] += 1

    def take_finding(self, key: CountedFinding, hour: int, state: FindingState) -> None:
        """Count a finding as its last revision says.

        An earlier use that came late moves it to an earlier hour.
        """
        known = self._findings.get(key)
        if known is not None:
            if known[0].revision > state.revision:
                return
            self._drop(key, *known)
        self._note(hour)
        self._findings[key] = state, hour
        hours = self._realms[key.realm].findings
        of = hours.setdefault(hour, {}).setdefault((key.authority, key.kind), _Found())
        of.opened += 1
        if state.seconds is not None:
            insort(of.closed, state.seconds)

    def _drop(self, key: CountedFinding, state: FindingState, hour: int) -> None:
        kinds = self._realms[key.realm].findings[hour]
        of = kinds[key.authority, key.kind]
        of.opened -= 1
        if state.seconds is not None:
            del of.closed[bisect_left(of.closed, state.seconds)]
        if not of.opened:
            del kinds[key.authority, key.kind]

    def _note(self, hour: int) -> None:
        """Take note of an hour; a new one lets old ones go."""
        if hour > self._newest:
            self._newest = hour
            self._forget(hour - self.kept)

    def _forget(self, before: int) -> None:
        for cause in [each for each, hour in self._causes.items() if hour < before]:
            del self._causes[cause]
        old = [each for each, (_, hour) in self._findings.items() if hour < before]
        for finding in old:
            del self._findings[finding]
        for of in self._realms.values():
            for hours in (of.causes, of.findings):
                for hour in [each for each in hours if each < before]:
                    del hours[hour]

    def summed(self, realm: str, total: HourlyTotals) -> Iterator[None]:
        """Add the hours of a realm to a total, one a step; it may be paused."""
        of = self._realms.get(realm, _RealmHours())
        for hour, counted in [*of.causes.items()]:
            for named, count in counted.items():
                total.add_causes(hour, *named, count)
            yield
        for hour, kinds in [*of.findings.items()]:
            for named, each in kinds.items():
                total.add_findings(hour, *named, each.opened, each.closed)
            yield


def _text(hour: int) -> str | None:
    return rfc3339(hour * SECOND)
