"""What rows of causes and findings say of some hours: pure, the same on either engine.

Every row has a key of its own event, so a record that is read twice counts once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from streams.model.times import SECOND, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable

    Window = tuple[float, float]  # where an hour begins, and just before it ends (s)
    Row = tuple[tuple[Any, Window], Any]  # as Faust keeps one of a windowed table

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


def summary(
    realm: str,
    revocations: Iterable[Row],
    episodes: Iterable[Row],
    since: int,
    step: int = 1,
) -> dict[str, Any]:
    """Count by hour what was revoked and what was found in a realm.

    Args:
        realm: whose rows count.
        revocations: by `CountedRevocation`.
        episodes: by `CountedFinding`; the values are those of an `FindingState`.
        since: hours that begin earlier (s since 1970) are left out.
        step: hours that are counted together, from there on.

    Returns:
        JSON-ready: ``revocations`` and ``findings``, each a list in the order of hours.
    """
    counted: Counter[tuple[int, str, str]] = Counter()
    for (key, (begin, _)), _value in revocations:
        named = CountedRevocation(*key)
        if named.realm == realm and begin >= since:
            counted[_first(begin, since, step), named.authority, named.effect] += 1
    return {
        "revocations": [
            {"hour": _hour(begin), "authority": who, "effect": effect, "count": count}
            for (begin, who, effect), count in sorted(counted.items())
        ],
        "findings": _findings(realm, episodes, since, step),
    }


def _findings(
    realm: str, rows: Iterable[Row], since: int, step: int
) -> list[dict[str, Any]]:
    last: dict[CountedFinding, tuple[FindingState, int]] = {}
    for (key, (begin, _)), value in rows:
        named, state = CountedFinding(*key), FindingState(*value)
        if named.realm != realm:
            continue
        # An earlier use that came late moves a finding to an earlier hour.
        if named not in last or state.revision >= last[named][0].revision:
            last[named] = state, int(begin)
    groups: dict[tuple[int, str, str], list[float | None]] = defaultdict(list)
    for named, (state, begin) in last.items():
        if begin >= since:
            first = _first(begin, since, step)
            groups[first, named.authority, named.kind].append(state.seconds)
    return [
        {
            "hour": _hour(begin),
            "authority": authority,
            "kind": kind,
            "opened": len(seconds),
            "seconds_to_close": _spread([s for s in seconds if s is not None]),
        }
        for (begin, authority, kind), seconds in sorted(groups.items())
    ]


def _spread(seconds: list[float]) -> dict[str, Any]:
    """Count, median and longest of durations (s)."""
    ordered = sorted(seconds)
    middle = ordered[len(ordered) // 2] if ordered else None
    longest = ordered[-1] if ordered else None
    return {"count": len(ordered), "median": middle, "longest": longest}


def _first(begin: float, since: int, step: int) -> int:
    """First hour (s) of those that an hour is counted together with."""
    return since + (int(begin) - since) // (step * HOUR) * (step * HOUR)


def _hour(begin: int) -> str | None:
    return rfc3339(begin * SECOND)
