"""Uses beyond what a credential may do, whatever the point that let them in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents_registry.closure import STEP, Requirements
from agents_registry.life import Life, Moment, nothing_ends
from agents_registry.lineage import CAUSED, NONE, OWNED, SCOPED
from agents_registry.scope import covers
from streams.stages.access.columns import AccessColumns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.stages.access.uses import AccessEvent


def scoped(batch: AccessColumns | Iterable[AccessEvent]) -> list[AccessEvent]:
    """Return the allowed uses of which the needed scopes are known."""
    try:
        uses = batch.scoped() if isinstance(batch, AccessColumns) else batch
    except ValueError:
        return []  # the sentinel counts what cannot be read
    return [use for use in uses if use.scopes and use.outcome != "denied"]


def violation(
    use: AccessEvent, registry: Registry, *, skew: int = 0, grace: int = 0
) -> Steps[str | None]:
    """Say which scope a use needed that its credential did not have.

    Args:
        use: one of those that `scoped` gives.
        registry: the table.
        skew: by how much the clocks may differ (ns).
        grace: a use so soon after a narrowing was in flight (ns).
    """
    after, before = use.at - skew - grace, use.at + skew
    for scope in use.scopes or ():
        for name in use.identifiers:
            if (yield from exceeded(registry, name, scope, at=before)) is None:
                continue
            limit = yield from exceeded(registry, name, scope, at=after)
            if limit is not None:
                return f"{scope} was used, which {limit} does not have"
    return None


def nothing_limits(registry: Registry, node: int) -> bool:
    """Whether, by a quick look, nothing limits the scopes of a node."""
    loud = SCOPED | CAUSED | (OWNED if registry.selecting else 0)
    return nothing_ends(registry, (node,), -1, loud)


def exceeded(
    registry: Registry, identifier: Identifier, scope: str, *, at: int
) -> Steps[Identifier | None]:
    """Nearest name that limits an identifier and does not cover a scope.

    What was said of scopes after the use says nothing of it: it may have been allowed
    then.

    Args:
        registry: the table.
        identifier: what was presented.
        scope: what the use needed, ``namespace|value``.
        at: when it was used (ns).
    """
    node = registry.lineage.find(identifier)
    if node == NONE or nothing_limits(registry, node):
        return None
    closure = yield from Requirements(registry, node).collect()
    life = Life(registry, closure, Moment(at, at))
    required = yield from closure.required(node)
    rank = {up: place for place, up in enumerate(required)}
    # A narrow on what an owner has stands where the owner does.
    for count, up in enumerate((*required, *closure.beside(rank))):
        if not count & STEP:
            yield
        said = registry.scopes.said(up) if up in rank else ()
        declared = (scopes for at_, scopes in said if at_ <= at)
        narrows = yield from life.narrows(up, rank)
        narrowed = (cause.scopes for cause in narrows)
        if not all(covers(limit, scope) for limit in (*declared, *narrowed)):
            return registry.lineage.identifier(up)
    return None
