"""What a table must have been told of, where a fact was merged into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents_registry.facts import Cause, Withdraw, fact_id
from agents_registry.lineage import NONE

if TYPE_CHECKING:
    from agents_registry.facts import Fact
    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry

_NAMING = ("target", "node", "child", "parent", "first", "second")


def named(fact: Fact) -> tuple[Identifier, ...]:
    """Return the identifiers that a fact speaks of."""
    names = (getattr(fact, name, None) for name in _NAMING)
    return tuple(name for name in names if name is not None)


def lacks(registry: Registry, fact: Fact) -> bool:
    """Whether a fact cannot have been merged: a name or the cause is not there.

    False proves nothing; a fact that was merged is never missed.
    """
    if isinstance(fact, Withdraw) or not registry.stands(fact):
        return False
    nodes = [registry.lineage.find(name) for name in named(fact)]
    if NONE in nodes:
        return True
    if not isinstance(fact, Cause):
        return False
    told = fact_id(fact)
    return all(cause.digest != told for cause in registry.causes.on(nodes[0]))
