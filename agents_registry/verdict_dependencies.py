"""What a verdict rests on, so that it is judged anew only when that has changed.

A verdict that allows can turn into a denial in two ways alone: time passes an expiry,
or a fact arrives that speaks of a node of the closure, of an attribute that such a
node holds, or of a presented identifier that no fact had named. A fact on a node
outside changes the closure only by an edge, alias or owner set of a node inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from agents_registry.closure import closure_of
from agents_registry.facts import (
    Alias,
    Cause,
    Edge,
    Fact,
    Holds,
    LabelSet,
    Lift,
    Node,
    OwnerSet,
    Renewal,
    ScopeSet,
)
from agents_registry.identifiers import owner_in
from agents_registry.lineage import UNKNOWN_TIME
from agents_registry.presentation import claims_of

if TYPE_CHECKING:
    from agents_registry.identifiers import Identifier
    from agents_registry.presentation import Presented
    from agents_registry.registry import Registry

_SHAKES: Final[dict[type[Fact], tuple[str, ...]]] = {
    Node: ("node",),
    Edge: ("child",),
    Alias: ("first", "second"),
    OwnerSet: ("node",),
    Renewal: ("node",),
    ScopeSet: ("node",),
    LabelSet: ("node",),
    Holds: ("node",),
    Cause: ("target",),
    # A copy of a lift with an earlier time takes back what it lifted.
    Lift: ("target",),
}


@frozen
class VerdictDependencies:
    """What the verdict on one presentation rests on.

    Attributes:
        names: of the nodes, as the registry numbers them, and of what no fact names.
        expires: the first expiry among the nodes that is still to come (ns). It may
            be one that does not concern the presentation: then a verdict at that time
            is the same as before.
    """

    names: frozenset[int | Identifier]
    expires: int


def dependencies(
    registry: Registry, presented: Presented, now: int
) -> VerdictDependencies:
    """Everything that the verdict on a presentation depends on.

    Args:
        registry: the table of the realm.
        presented: identifiers and verified claims.
        now: the local clock (ns).
    """
    lineage = registry.lineage
    names: set[int | Identifier] = set()
    expires = UNKNOWN_TIME
    for node in closure_of(registry, None, claims_of(registry, presented)).nodes:
        if node < 0:
            continue
        names.add(node)
        names.update(registry.attributes.get(node, ()))
        if lineage.expires[node] > now:
            expires = min(expires, lineage.expires[node])
    named = (*presented.identifiers, *presented.chain)
    names.update(name for name in named if lineage.find(name) < 0)
    return VerdictDependencies(frozenset(names), expires)


def shaken(fact: Fact) -> tuple[Identifier, ...] | None:
    """Names on which a fact may change a verdict; None: any name.

    Args:
        fact: any; of corrections it cannot be told whom they touch.
    """
    fields = _SHAKES.get(type(fact))
    if fields is None:
        return None
    if isinstance(fact, Cause | Lift):
        return met_at(fact.target)
    return tuple(getattr(fact, name) for name in fields)


def met_at(target: Identifier) -> tuple[Identifier, ...]:
    """Return the names at which what stands on a target is met.

    Of what an owner has that is the owner, too. Only causes were held to name one.
    """
    try:
        owner = owner_in(target)
    except ValueError:
        owner = None
    return (target,) if owner is None else (target, owner)
