"""What rows of causes and findings say of some hours, counted naively.

As it was written first: all rows are read for each answer.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from streams.model.times import SECOND, rfc3339
from streams.services.hourly_counts import HOUR, CountedFinding, CountedRevocation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.services.hourly_counts import FindingState

    Cause = tuple[CountedRevocation, int]
    Found = tuple[CountedFinding, int, FindingState]


def summary(
    realm: str,
    causes: Iterable[Cause],
    findings: Iterable[Found],
    since: int,
    step: int = 1,
) -> dict[str, Any]:
    """Count by hour what was revoked and what was found in a realm."""
    first: dict[CountedRevocation, int] = {}
    for cause, hour in causes:
        first.setdefault(cause, hour)
    counted = Counter(
        (_first(hour, since, step), cause.authority, cause.effect)
        for cause, hour in first.items()
        if cause.realm == realm and hour >= since
    )
    last: dict[CountedFinding, tuple[FindingState, int]] = {}
    for named, hour, state in findings:
        if named not in last or state.revision >= last[named][0].revision:
            last[named] = state, hour
    groups: defaultdict[tuple[int, str, str], list[float | None]] = defaultdict(list)
    for named, (state, hour) in last.items():
        if named.realm == realm and hour >= since:
            begin = _first(hour, since, step)
            groups[begin, named.authority, named.kind].append(state.seconds)
    return {
        "revocations": [
            {
                "hour": rfc3339(begin * SECOND),
                "authority": authority,
                "effect": effect,
                "count": count,
            }
            for (begin, authority, effect), count in sorted(counted.items())
        ],
        "findings": [
            {
                "hour": rfc3339(begin * SECOND),
                "authority": authority,
                "kind": kind,
                "opened": len(seconds),
                "seconds_to_close": _spread([s for s in seconds if s is not None]),
            }
            for (begin, authority, kind), seconds in sorted(groups.items())
        ],
    }


def _spread(seconds: list[float]) -> dict[str, Any]:
    ordered = sorted(seconds)
    return {
        "count": len(ordered),
        "median": ordered[len(ordered) // 2] if ordered else None,
        "longest": ordered[-1] if ordered else None,
    }


def _first(hour: int, since: int, step: int) -> int:
    return since + (hour - since) // (step * HOUR) * (step * HOUR)
