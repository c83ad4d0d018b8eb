"""Forgetting: which credentials a prune may drop from the log.

A credential goes when it, all that hangs on it and all that it owns expired long
ago. Unknown expiry, principals and containers never go. After the prune a horizon
fact denies what hangs on a parent that nobody knows, so the prune waits while
anything that stays hangs on such a parent: `adopt` has to declare it first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from agents_registry.flaws import flaws_of
from agents_registry.identifiers import Identifier
from agents_registry.life import Reason
from agents_registry.lineage import CREDENTIAL, KNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents_registry.registry import Registry


@frozen
class Prune:
    """What a prune may do.

    Attributes:
        gone: identifiers whose facts may be dropped, node and edges first and causes
            last, once a horizon fact is written.
        waits_for: (child, parent) where the parent has no node fact; while there are
            any, nothing may be dropped.
    """

    gone: frozenset[Identifier]
    waits_for: tuple[tuple[Identifier, Identifier], ...]


def prune(registry: Registry, *, now: int, retain: int) -> Prune:
    """Plan a prune.

    Args:
        registry: the table of the realm.
        now: the clock (ns).
        retain: how long something must have been expired (ns); 7 days by default of
            the command.
    """
    lineage = registry.lineage
    gone = {
        node
        for node in range(len(lineage))
        if lineage.flags[node] & CREDENTIAL
        and _expired(registry, lineage.identifier(node), now - retain)
    }
    # What stays keeps everything that its life hangs on.
    kept = [node for node in range(len(lineage)) if node not in gone]
    for node in kept:
        for above in _hangs_on(registry, node):
            if above in gone:
                gone.remove(above)
                kept.append(above)
    return Prune(
        gone=frozenset(map(lineage.identifier, gone)),
        waits_for=tuple(
            (lineage.identifier(child), lineage.identifier(parent))
            for child in kept
            for parent, _ in lineage.told_parents(child)
            if not lineage.flags[parent] & KNOWN
        ),
    )


def _expired(registry: Registry, identifier: Identifier, at: int) -> bool:
    flaws = flaws_of(registry, identifier, at)
    return any(flaw.reason is Reason.EXPIRED for flaw in flaws)


def _hangs_on(registry: Registry, node: int) -> Iterator[int]:
    lineage = registry.lineage
    yield from (parent for parent, _ in lineage.parents(node))
    yield from lineage.others(node)
    for owners in registry.owners.of(node):
        yield from owners
