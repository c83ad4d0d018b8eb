"""The uses of one node out of the parts that the processes of a fleet know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SHOWN: Final = 100  # of points, callers and scopes


def joined(parts: Sequence[Any]) -> dict[str, Any]:
    """Put together what several sentinels remember."""
    points: dict[tuple[str, str], dict[str, Any]] = {}
    for each in (one for part in parts for one in part["points"]):
        of = points.setdefault((each["point"], each["outcome"]), {**each, "count": 0})
        of["count"] += each["count"]
        of["first"] = min(of["first"], each["first"], key=_moment)
        of["last"] = max(of["last"], each["last"], key=_moment)
    callers: dict[tuple[str | None, ...], dict[str, Any]] = {}
    for each in (one for part in parts for one in part["callers"]):
        key = (each["address"], each["user_agent"], each["agent"])
        if key not in callers or _later(each, callers[key]):
            callers[key] = each
    scopes: dict[str, dict[str, Any]] = {}
    for each in (one for part in parts for one in part["scopes"]):
        scope = each["scope"]
        if scope not in scopes or _later(each, scopes[scope]):
            scopes[scope] = each
    return {
        "total": sum(part["total"] for part in parts),
        "points": latest_first(points.values(), "point"),
        "callers": latest_first(callers.values(), "address"),
        "scopes": latest_first(scopes.values(), "scope"),
    }


def latest_first(rows: Iterable[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Sort by the last use, the latest first, equal ones by a text; cut to `SHOWN`."""
    by_text = sorted(rows, key=lambda row: row[name] or "")
    by_text.sort(key=lambda row: _moment(row["last"]), reverse=True)
    return by_text[:SHOWN]


def _later(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return _moment(one["last"]) > _moment(other["last"])


def _moment(text: str) -> str:
    """Text that sorts as the times do: a fraction of a second comes after none."""
    return text.removesuffix("Z")
