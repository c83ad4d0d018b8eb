"""What is said of a table, as JSON-ready values."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

from agents_registry import inventory
from agents_registry.causes import CauseRef, reference
from agents_registry.death import Fate, latest_mark
from agents_registry.presentation import Presented
from agents_registry.verdict import judging
from streams.http.query_values import LIMIT
from streams.model.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.cause_rows import RecordedCause
    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.stages.sentinel.unknown_agents import Shown


MAKERS: Final = 10  # mostly it is one


def undeclared_as_plain(shown: Iterable[Shown]) -> Iterator[dict[str, Any]]:
    """Undeclared agents and credentials as JSON-ready values, each name once."""
    found: dict[str, Shown] = {}
    for each in shown:
        before = found.get(each.name)
        found[each.name] = each if before is None else _both(before, each)
    for each in found.values():
        yield {
            "identifier": each.name,
            "what": each.what,
            "first_seen": rfc3339(each.first_seen),
            "last_seen": rfc3339(each.last_seen),
            "points": each.points,
            "credentials": each.credentials,
        }


def _both(one: Shown, other: Shown) -> Shown:
    return one._replace(
        first_seen=min(one.first_seen, other.first_seen),
        last_seen=max(one.last_seen, other.last_seen),
        points=sorted({*one.points, *other.points}),
    )


def table_row(row: inventory.Row) -> list[Any]:
    """Row of the table as JSON-ready values."""
    return [
        str(row.identifier),
        row.allowed,
        row.reason,
        list(row.causes),
        row.expires_at,
        [list(scopes) for scopes in row.scopes],
        [[str(owner) for owner in owners] for owners in row.owners],
    ]


def explained(
    registry: Registry, identifier: Identifier, now: int, at: int | None
) -> Steps[dict[str, Any]]:
    """Say whether an identifier lives, and why not, as JSON-ready values.

    Args:
        registry: the table.
        identifier: that is asked about.
        now: ns.
        at: a time in the past, if it is asked about that (ns).
    """
    verdict = yield from judging(registry, Presented((identifier,)), now=now)
    fate = Fate(registry, identifier, now)
    died = yield from fate.dying(at=at, inclusive=True)
    above_it = yield from fate.causes_above()
    watermark, over = latest_mark(above_it), _over(registry, above_it, now)
    path = died.path if died is not None else verdict.path
    above = []
    for name, depth in itertools.islice(
        inventory.ancestors(registry, identifier), LIMIT
    ):
        yield
        above.append([str(name), depth])
    makers = []
    for maker in inventory.creators(registry, identifier)[:MAKERS]:
        judged = yield from judging(registry, Presented((maker,)), now=now)
        makers.append({"identifier": str(maker), "allowed": judged.allowed})
    return {
        "identifier": str(identifier),
        "allowed": verdict.allowed,
        "reason": verdict.reason.value,
        "dead": died is not None,
        "via": None if died is None else died.via,
        "path": [str(name) for name in path],
        "cause": cause_as_plain(died.cause if died is not None else verdict.cause),
        "lives_if_issued_after": None if watermark is None else rfc3339(watermark),
        "over": [cause_as_plain(cause) for cause in over],
        "labels": list(map(str, inventory.labels_of(registry, identifier))),
        "ancestors": above,
        "created_by": makers,
        "created": len(inventory.created_by(registry, identifier)),
    }


def _over(
    registry: Registry, causes: Iterable[RecordedCause], now: int
) -> list[CauseRef]:
    """Return causes that ended by themselves, the latest first."""
    ended = sorted(
        (cause for cause in causes if cause.is_over(None, now)),
        key=lambda cause: (cause.until, cause.fact_id),
        reverse=True,
    )
    return [reference(registry, cause) for cause in ended[:MAKERS]]


def cause_as_plain(cause: CauseRef | None) -> dict[str, Any] | None:
    """Cause, where there is one."""
    if cause is None:
        return None
    return {
        "id": cause.fact_id,
        "target": str(cause.target),
        "effect": cause.effect.value,
        "reach": cause.reach.value,
        "authority": cause.authority,
        "at": rfc3339(cause.at),
        **({} if cause.until is None else {"until": rfc3339(cause.until)}),
    }
