"""Circles of owners: what nobody who lives owns, though no cause ends any of it.

Owners who only own each other do not live (`agents_registry.ownership`). So a fact
without a cause may take the last owner from what an earlier cause had left with one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agents_registry.closure import Requirements
from agents_registry.lineage import OWNED
from agents_registry.ownership import ALIVE, proving
from agents_registry.steps import finish

if TYPE_CHECKING:
    from agents_registry.registry import Registry

MOST: Final = 256  # nodes looked at: a millisecond or two


def may_take_an_owner(registry: Registry, node: int) -> bool:
    """Whether a node that no cause ends may live no more, so that others lose an owner.

    Args:
        registry: the table.
        node: what a fact hung on something.

    Returns:
        True also where more stands above it than is looked at.
    """
    if not registry.owned or _is_alone(registry, node):
        return False
    closure = finish(Requirements(registry, node, limit=MOST).collect())
    if closure.too_large:
        return True
    if not any(closure.flags(each) & OWNED for each in closure.nodes):
        return False
    sets = finish(proving(closure, registry.owners.of, {}, {}))
    return any(each.until != ALIVE for each in sets)


def _is_alone(registry: Registry, node: int) -> bool:
    """Whether nothing hangs on a node, as on most when facts first name them."""
    lineage = registry.lineage
    return (
        lineage.ring[node] == node
        and lineage.is_leaf(node)
        and node not in registry.owned
    )
