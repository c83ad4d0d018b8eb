"""Flaws: all that ends an identifier, for those who tell people about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents_registry.closure import Requirements
from agents_registry.life import Life, Moment
from agents_registry.lineage import NONE
from agents_registry.steps import finish

if TYPE_CHECKING:
    from agents_registry.identifiers import Identifier
    from agents_registry.life import Flaw
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps


def flaws_of(registry: Registry, identifier: Identifier, now: int) -> list[Flaw]:
    """Every flaw that kills an identifier now, nearest first.

    Of a lineage that is too large it gives the causes among the nearest nodes alone.
    """
    return finish(finding_flaws(registry, identifier, now))


def finding_flaws(
    registry: Registry, identifier: Identifier, now: int
) -> Steps[list[Flaw]]:
    """Every flaw that kills an identifier, in steps; see `flaws_of`."""
    node = registry.lineage.find(identifier)
    if node == NONE:
        return []
    closure = yield from Requirements(registry, node).collect()
    return (yield from Life(registry, closure, Moment(now)).judge()).flaws
