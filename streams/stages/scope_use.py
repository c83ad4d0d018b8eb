"""Uses beyond what a credential may do, whatever the point that let them in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents_registry.closure import Claims, Closure
from agents_registry.life import Life, Moment, quiet
from agents_registry.lineage import CAUSED, NONE, SCOPED
from agents_registry.scope import covers
from streams.findings import FindingKind
from streams.stages.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from streams.stages.uses import Seen


def scoped(batch: Lines | Iterable[Seen]) -> list[Seen]:
    """Give the uses that were let in and tell which scopes they needed."""
    try:
        uses = batch.scoped() if isinstance(batch, Lines) else batch
    except ValueError:
        return []  # the sentinel counts what cannot be read
    return [use for use in uses if use.scopes and use.outcome != "denied"]


def violations(uses: Iterable[Seen], registry: Registry) -> Iterator[dict[str, Any]]:
    """Yield signals of uses that needed a scope which the credential did not have.

    Args:
        uses: as `scoped` gives them.
        registry: the table, with all facts that were accepted before the uses.
    """
    for use in uses:
        for scope in use.scopes or ():
            limits = (exceeded(registry, n, scope, at=use.at) for n in use.identifiers)
            limit = next((each for each in limits if each is not None), None)
            if limit is not None:
                yield {
                    "kind": FindingKind.SCOPE_VIOLATION.value,
                    "presented": list(use.identifiers[0]),
                    "point": use.point,
                    "outcome": use.outcome,
                    "owner": use.owner,
                    "at": use.at,
                    "event_ids": [] if use.event_id is None else [use.event_id],
                    "detail": f"{scope} was used, which {limit} does not have",
                }
                break


def exceeded(
    registry: Registry, identifier: Identifier, scope: str, *, at: int
) -> Identifier | None:
    """Give the nearest name that limits an identifier and does not cover a scope.

    What was said of scopes after the use says nothing of it: it may have been allowed
    then.

    Args:
        registry: the table.
        identifier: what was presented.
        scope: what the use needed, ``namespace|value``.
        at: when it was used (ns).
    """
    node = registry.lineage.find(identifier)
    if node == NONE or quiet(registry, node, -1, SCOPED | CAUSED):
        return None
    life = Life(registry, Closure(registry, Claims(node)), Moment(at, at))
    for up in life.closure.required(node):
        declared = (said for at_, said in registry.scopes.said(up) if at_ <= at)
        narrowed = (cause.scopes for cause in life.narrows(up))
        if not all(covers(limit, scope) for limit in (*declared, *narrowed)):
            return registry.lineage.identifier(up)
    return None
