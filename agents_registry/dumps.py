"""A table as plain values, and made of them again.

The form in which they leave the process: `agents_registry.table_form`.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, cast

from agents_registry.derived import below, derive
from agents_registry.facts import from_plain, to_plain
from agents_registry.identifiers import Identifier
from agents_registry.parts import PartedDict
from agents_registry.steps import rested
from agents_registry.table_form import copied

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents_registry.registry import Registry
    from agents_registry.steps import Rest


def dumped(registry: Registry) -> dict[str, Any]:
    """Return what `Registry.dump` does."""
    labels = registry.labels.dump()
    return {
        **{f"lineage.{n}": copied(of) for n, of in registry.lineage.dump().items()},
        **{f"expiry.{name}": of for name, of in registry.expiry.dump().items()},
        **registry.causes.dump(),
        "owners": registry.owners.dump(),
        "scopes": registry.scopes.dump(),
        **({"labels": labels} if labels else {}),
        "owned": copied([*registry.owned.items()]),
        **{
            name: [(node, list(of.items())) for node, of in nested.items()]
            for name, nested in _nested(registry).items()
        },
        **{
            name: [(node, sorted(of)) for node, of in bound.items()]
            for name, bound in _bound(registry).items()
        },
        "withdrawn": [(*of, *name) for *of, name in sorted(registry.withdrawn)],
        "distrusts": [to_plain(distrust) for distrust in registry.distrusts],
        "horizon": registry.horizon,
        **registry.versions.dump(),
    }


def restore(registry: Registry, plain: Mapping[str, Any], rest: Rest) -> None:
    """Take up in an empty table what `dumped` gave; see `Registry.load`."""
    registry.lineage.restore(below("lineage.", plain), rest)
    registry.expiry.restore(below("expiry.", plain), rest)
    registry.causes.restore(plain, rest)
    for node in list(registry.causes.of_owners):
        registry.select(node, registry.lineage.identifier(node))
    registry.owners.restore(plain["owners"], frozenset, rest)
    registry.scopes.restore(plain["scopes"], tuple, rest)
    registry.labels.restore(plain.get("labels", ()), tuple, rest)
    for node in rested(registry.labels.nodes(), rest):
        labels = chain.from_iterable(registry.labels.of(node))
        registry.lineage.label(node, labels)
    for name, nested in _nested(registry).items():
        told = rested(plain.get(name, ()), rest)
        nested.fill((node, dict(of)) for node, of in told)
    for name, bound in _bound(registry).items():
        bound.fill((node, set(of)) for node, of in rested(plain[name], rest))
    derive(registry, plain, rest)
    registry.withdrawn.update(
        (one, kind, Identifier(*name)) for one, kind, *name in plain["withdrawn"]
    )
    registry.distrusts += cast("Any", map(from_plain, plain["distrusts"]))
    registry.horizon = plain["horizon"]
    registry.versions.restore(plain, rest)


def _nested(registry: Registry) -> dict[str, PartedDict[int, Any]]:
    return {
        "emptied": registry.emptied,
        "holders": registry.holders,
        "attributes": registry.attributes,
    }


def _bound(registry: Registry) -> dict[str, PartedDict[int, set[str]]]:
    return {"devices": registry.devices, "tenants": registry.tenants}
