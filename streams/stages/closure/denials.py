"""How long it took until every guard denied, by hour: pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from attrs import Factory, define

from streams.model.times import SECOND, rfc3339
from streams.stages.closure.closure import ProofState
from streams.stages.closure.results import seconds_between

if TYPE_CHECKING:
    from streams.stages.closure.results import Result

HOUR: Final = 3600 * SECOND


@define
class _Counted:
    """Causes of one authority and effect in one span of hours."""

    accepted: int = 0
    states: dict[ProofState, int] = Factory(lambda: dict.fromkeys(ProofState, 0))
    seconds: list[float] = Factory(list)


class DenialTimes:
    """Counts causes by the hours in which they were accepted, each cause once."""

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
        """Count a cause."""
        cause, state = result.cause, result.outcome.state
        if cause.accepted_at < self.since or cause.id in self._seen:
            return
        self._seen.add(cause.id)
        begin = (cause.accepted_at - self.since) // self._span
        counted = self._by[begin, cause.authority or "", cause.effect]
        counted.accepted += 1
        counted.states[state] += 1
        if state is ProofState.CLOSED:
            took = seconds_between(cause.accepted_at, result.settled_at)
            counted.seconds.append(took)

    def rows(self) -> list[dict[str, Any]]:
        """Return the counts as JSON-ready values, in the order of hours."""
        return [
            {
                "hour": rfc3339(self.since + begin * self._span),
                "authority": authority,
                "effect": effect,
                "accepted": counted.accepted,
                "closed": counted.states[ProofState.CLOSED],
                "open": counted.states[ProofState.PENDING]
                + counted.states[ProofState.PARTIAL],
                "unknown": counted.states[ProofState.UNKNOWN],
                "seconds_to_deny": _spread(counted.seconds),
            }
            for (begin, authority, effect), counted in sorted(self._by.items())
        ]


def _spread(seconds: list[float]) -> dict[str, Any]:
    """Count, median and longest of durations (s)."""
    ordered = sorted(seconds)
    middle = round(ordered[len(ordered) // 2], 3) if ordered else None
    longest = round(ordered[-1], 3) if ordered else None
    return {"count": len(ordered), "median": middle, "longest": longest}
