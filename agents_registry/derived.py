"""Parts of a dump, and what a table holds twice, made of the other half."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents_registry.steps import rested

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents_registry.parts import PartedDict
    from agents_registry.registry import Registry
    from agents_registry.steps import Rest


def derive(registry: Registry, plain: Mapping[str, Any], rest: Rest) -> None:
    """Take up from a dump, or make, what follows from the rest of a table."""
    if "owned" in plain:
        registry.owned.fill(rested(plain["owned"], rest))
    else:
        for node in rested(registry.owners.nodes(), rest):
            for owner in frozenset().union(*registry.owners.of(node)):
                registry.owned.setdefault(owner, []).append(node)
    if "holders" not in plain:
        for node, held in rested(registry.attributes.items(), rest):
            for attribute, version in held.items():
                registry.holders.setdefault(attribute, {})[node] = version


def invert(
    told: Mapping[int, list[int]], by_other: PartedDict[int, list[int]], rest: Rest
) -> None:
    """Note by each number of a row where it is told of."""
    for node, others in rested(told.items(), rest):
        for other in others:
            by_other.setdefault(other, []).append(node)


def below(prefix: str, plain: Mapping[str, Any]) -> dict[str, Any]:
    """Entries whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): of
        for name, of in plain.items()
        if name.startswith(prefix)
    }
