"""Uses of one node that a sentinel remembers: by point and outcome, and who called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from streams.model.times import rfc3339
from streams.stages.access.columns import OUTCOMES, U64, prints_of
from streams.stages.lineage.joined_uses import latest_first

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.identifiers import Identifier
    from agents_registry.steps import Steps
    from streams.stages.access.segment import Segment

STEP: Final = 63  # a mask: rows between two yields
READ: Final = 1000  # of the latest rows, whose texts are read


def using(
    pieces: Iterable[Segment], identifiers: Iterable[Identifier]
) -> Steps[dict[str, Any]]:
    """Say when, where and from where a node was used.

    Args:
        pieces: the remembered uses.
        identifiers: all names of the node.
    """
    names = frozenset(identifiers)
    prints = np.array(sorted({prints_of(name)[0] for name in names}), U64)
    points: dict[tuple[str, str], list[int]] = {}
    latest: list[tuple[int, int, int]] = []
    known = list(pieces)
    for number, piece in enumerate(known):
        yield
        for count, row in enumerate(piece.find(prints).tolist()):
            if not count & STEP:
                yield
            lines, at = piece.lines, int(piece.lines.at[row])
            outcome = OUTCOMES[int(lines.outcome[row])] or "unknown"
            first, times = piece.merged_of(row)
            of = points.setdefault(
                (lines.points[int(lines.point[row])], outcome), [0, at, at]
            )
            of[:] = of[0] + times, min(of[1], first), max(of[2], at)
            latest.append((at, number, row))
        if len(latest) > 2 * READ:
            latest = sorted(latest)[-READ:]
    callers: dict[tuple[str | None, ...], int] = {}
    scopes: dict[str, int] = {}
    for at, number, row in sorted(latest)[-READ:]:
        yield
        use = known[number].lines.use(row)
        if use.caller is not None:
            callers[tuple(use.caller)] = at
        scopes.update(dict.fromkeys(use.scopes or (), at))
    return {
        "total": sum(count for count, _, _ in points.values()),
        "points": _points(points),
        "callers": _callers(callers),
        "scopes": _scopes(scopes),
    }


def _points(points: dict[tuple[str, str], list[int]]) -> list[dict[str, Any]]:
    return latest_first(
        (
            {
                "point": point,
                "outcome": outcome,
                "count": count,
                "first": rfc3339(first),
                "last": rfc3339(last),
            }
            for (point, outcome), (count, first, last) in points.items()
        ),
        "point",
    )


def _callers(callers: dict[tuple[str | None, ...], int]) -> list[dict[str, Any]]:
    return latest_first(
        (
            {
                "address": address,
                "user_agent": user_agent,
                "agent": agent,
                "last": rfc3339(at),
            }
            for (address, user_agent, agent), at in callers.items()
        ),
        "address",
    )


def _scopes(scopes: dict[str, int]) -> list[dict[str, Any]]:
    return latest_first(
        ({"scope": scope, "last": rfc3339(at)} for scope, at in scopes.items()), "scope"
    )
