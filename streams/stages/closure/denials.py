"""How long it took until every guard denied, by hour: pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, Protocol

from attrs import Factory, define, frozen

from streams.model.times import SECOND, rfc3339
from streams.stages.closure.closure import ProofState
from streams.stages.closure.results import seconds_between

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.stages.closure.results import Result

HOUR: Final = 3600 * SECOND


@frozen
class CountedDenials:
    """Rows as `DenialTimes` gives them.

    Attributes:
        kept_since: since when causes are known here (ns); None: all are.
    """

    rows: list[dict[str, Any]]
    kept_since: int | None = None


class DenialCounts(Protocol):
    """Counts how long it took until every guard denied."""

    async def __call__(self, since: int, step: int) -> CountedDenials:
        """Count what was accepted since a time (ns), by so many hours."""


@define
class _Counted:
    """Causes of one authority and effect in one span of hours."""

    states: dict[ProofState, int] = Factory(lambda: dict.fromkeys(ProofState, 0))
    seconds: list[float] = Factory(list)


class DenialTimes:
    """Counts causes by the hours in which they were accepted."""

    def __init__(self, since: int, step: int = 1) -> None:
        """Count none yet.

        Args:
            since: what was accepted earlier (ns) does not count.
            step: hours of a span.
        """
        self.since = since
        self._span = step * HOUR
        self._by: defaultdict[tuple[int, str, str], _Counted] = defaultdict(_Counted)
        self._seen: set[str] = set()

    def take(self, result: Result) -> None:
        """Count a cause; of several copies the one that is taken first."""
        cause = result.cause
        if cause.id in self._seen:
            return
        self._seen.add(cause.id)
        took = round(seconds_between(cause.accepted_at, result.settled_at), 3)
        state, authority = result.outcome.state, cause.authority or ""
        self.add(cause.accepted_at, authority, cause.effect, state, [took])

    def add(
        self,
        accepted: int,
        authority: str,
        effect: str,
        state: ProofState | str,
        seconds: Sequence[float],
    ) -> None:
        """Add causes of one state; ``seconds`` until each was settled."""
        if accepted < self.since:
            return
        begin = (accepted - self.since) // self._span
        counted, reached = self._by[begin, authority, effect], ProofState(state)
        counted.states[reached] += len(seconds)
        if reached is ProofState.CLOSED:
            counted.seconds += seconds

    def rows(self) -> list[dict[str, Any]]:
        """Return the counts as JSON-ready values, in the order of hours."""
        return [
            {
                "hour": rfc3339(self.since + begin * self._span),
                "authority": authority,
                "effect": effect,
                "accepted": sum(counted.states.values()),
                "closed": counted.states[ProofState.CLOSED],
                "open": counted.states[ProofState.PENDING]
                + counted.states[ProofState.PARTIAL],
                "unknown": counted.states[ProofState.UNKNOWN],
                "seconds_to_deny": _spread(counted.seconds),
            }
            for (begin, authority, effect), counted in sorted(
                self._by.items(), key=lambda item: item[0]
            )
        ]


def _spread(seconds: list[float]) -> dict[str, Any]:
    """Count, median and longest of durations (s)."""
    ordered = sorted(seconds)
    middle = ordered[len(ordered) // 2] if ordered else None
    longest = ordered[-1] if ordered else None
    return {"count": len(ordered), "median": middle, "longest": longest}
