"""What a new fact condemned: the identifiers that subscribers must be told of.

A revocation is one fact whatever it reaches; guards walk ancestors themselves.
Subscribers that know only ids, and the sentinel, need the list. The list of a cause
starts at its target; that of an edge, alias, owner set or node fact at the node that
it hung on something already dead, or below which something may be dead now; and that
of a fact taken back at what it spoke of.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, NamedTuple

from agents_registry.facts import (
    Alias,
    Cause,
    Edge,
    Effect,
    Fact,
    Holds,
    Node,
    OwnerSet,
    Withdraw,
)
from agents_registry.identifiers import Identifier
from agents_registry.inventory import ATTRIBUTE, affected
from agents_registry.life import quiet
from agents_registry.lineage import NONE
from agents_registry.verdict import Death, Fate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.registry import Registry


# What may hang on something dead from now on, by the kind of fact.
_TOUCHED: Final[dict[type[Fact], str]] = {
    Edge: "child",
    Alias: "first",
    Node: "node",
    OwnerSet: "node",
    Holds: "node",
}


class Condemned(NamedTuple):
    """An identifier whose uses are of interest: it is dead, or was for some time.

    Attributes:
        death: why it is dead now. None where it lives again, or where a ``not_before``
            may end what is presented together with it.
    """

    identifier: Identifier
    death: Death | None


def root(registry: Registry, fact: Fact) -> Identifier | None:
    """Give the identifier at which a fact may have condemned something, or None.

    Args:
        registry: the table, with the fact applied.
        fact: a fact that was just applied.
    """
    if isinstance(fact, Cause):
        return None if fact.effect is Effect.NARROW else fact.target
    if isinstance(fact, Withdraw):
        # Without a lift, an issue or an owner it may be dead, once the table that is
        # perhaps still to be built anew says so.
        return None if registry.lineage.find(fact.target) == NONE else fact.target
    name = _TOUCHED.get(type(fact))
    if name is None:
        return None
    touched: Identifier = getattr(fact, name)
    node = registry.lineage.find(touched)
    if node == NONE or quiet(registry, (node,), -1):
        return None
    # A watermark ends the credentials below; principals and what is younger live.
    hit = _fate(registry, touched) or next(affected(registry, touched), None)
    return None if hit is None else touched


def condemned(registry: Registry, start: Identifier) -> Iterator[Condemned]:
    """Yield what is or was dead from an identifier down, itself first; lazy.

    What only hangs there and lives (an older child under reach self, a node with
    another living owner) is left out.
    """
    names = (identifier for identifier, _ in affected(registry, start))
    for identifier in itertools.chain((start,), names):
        if identifier.kind.startswith(ATTRIBUTE):
            continue
        found = _fate(registry, identifier)
        if found is not None:
            yield found


def dead(found: Iterable[Condemned]) -> Iterator[tuple[Identifier, Death]]:
    """Yield those that are dead now, as subscribers are told."""
    for each in found:
        if each.death is not None:
            yield each.identifier, each.death


def _fate(registry: Registry, identifier: Identifier) -> Condemned | None:
    """Tell whether something is dead, or was; None where it never was."""
    fate = Fate(registry, identifier)
    why = fate.death()
    was = (
        why is not None
        or fate.watermark() is not None
        or any(fate.death(at=time, inclusive=True) for time in fate.turning_points())
    )
    return Condemned(identifier, why) if was else None
