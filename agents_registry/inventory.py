"""Queries: who hangs on whom, who owns what, and what stands out."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from attrs import frozen

from agents_registry.flaws import flaws_of
from agents_registry.identifiers import (
    ATTRIBUTE,
    LABEL,
    Identifier,
    NodeClass,
    class_of,
)
from agents_registry.lineage import KNOWN, NONE, OWNED, SCOPED, UNKNOWN_TIME
from agents_registry.presentation import Presented
from agents_registry.scope import escalates
from agents_registry.verdict import Policy, UnknownPolicy, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agents_registry.cause_rows import RecordedCause
    from agents_registry.registry import Registry


def ancestors(
    registry: Registry, identifier: Identifier
) -> Iterator[tuple[Identifier, int]]:
    """Yield what an identifier requires, nearest first, with the distance."""
    lineage = registry.lineage

    def up(node: int) -> Iterator[int]:
        yield from (parent for parent, _ in lineage.parents(node))

    yield from _walk(registry, identifier, up)


def affected(
    registry: Registry, identifier: Identifier
) -> Iterator[tuple[Identifier, int]]:
    """Yield what a cause on an identifier or attribute may reach, owners included.

    A superset of what dies: another owner may live, an older child may be spared.
    Lazy: a million descendants are never in memory at once as identifiers.
    """
    lineage = registry.lineage

    def down(node: int) -> Iterator[int]:
        yield from lineage.children(node)
        yield from registry.owned.get(node, ())
        yield from registry.holders.get(node, ())

    yield from _walk(registry, identifier, down)


def created_by(registry: Registry, identifier: Identifier) -> tuple[Identifier, ...]:
    """Return the identifiers that this one created administratively: no cascade."""
    lineage = registry.lineage
    created = lineage.created.get(lineage.find(identifier), [])
    return tuple(map(lineage.identifier, created))


def creators(registry: Registry, identifier: Identifier) -> tuple[Identifier, ...]:
    """Return the identifiers that created this one administratively."""
    lineage = registry.lineage
    found = lineage.creators.get(lineage.find(identifier), [])
    return tuple(map(lineage.identifier, found))


def created_below(
    registry: Registry, identifier: Identifier
) -> Iterator[Identifier | None]:
    """Yield what ending an identifier leaves alive: what it and all below it created.

    That goes on through what was created. None is a step that found nothing, so that
    a long walk can be cut.
    """
    known = {identifier}
    waiting = [identifier]
    for root in waiting:
        for name, _ in chain([(root, 0)], affected(registry, root)):
            yield None
            for made in created_by(registry, name):
                if made not in known:
                    known.add(made)
                    waiting.append(made)
                    yield made


@frozen
class BlastRadius:
    """What ending an identifier would reach.

    Attributes:
        by_kind: number of affected identifiers of each kind.
        created: what it created and what hangs on that: not reached by a cause.
    """

    total: int
    by_kind: dict[str, int]
    created: tuple[Identifier, ...]


def blast_radius(registry: Registry, identifier: Identifier) -> BlastRadius:
    """Count what a cause on an identifier would reach."""
    by_kind: dict[str, int] = {}
    for other, _ in affected(registry, identifier):
        by_kind[other.kind] = by_kind.get(other.kind, 0) + 1
    return BlastRadius(
        total=sum(by_kind.values()),
        by_kind=by_kind,
        created=created_by(registry, identifier),
    )


def labels_of(registry: Registry, identifier: Identifier) -> tuple[Identifier, ...]:
    """Return the labels of an identifier and of its other names, sorted."""
    lineage = registry.lineage
    node = lineage.find(identifier)
    names = [] if node == NONE else lineage.others(node)
    labels = {label for name in names for label in lineage.labels.get(name, ())}
    return tuple(sorted(map(lineage.identifier, labels)))


def ownerless(registry: Registry) -> Iterator[Identifier]:
    """Yield known principals and credentials that nobody owns or requires of.

    An empty owner set that came later than the standing one counts as ownerless:
    the last non-empty set stays in force until somebody decides.
    """
    lineage = registry.lineage
    for node in range(len(lineage)):
        if lacks_owner(registry, node):
            yield lineage.identifier(node)


def lacks_owner(registry: Registry, node: int) -> bool:
    """Whether a name is known, and none of its node has an owner or a parent."""
    lineage = registry.lineage
    if not lineage.flags[node] & KNOWN:
        return False
    names = lineage.others(node)
    return any(_emptied(registry, name) for name in names) or not any(
        lineage.flags[name] & OWNED or lineage.parent[name] != NONE for name in names
    )


def _emptied(registry: Registry, node: int) -> bool:
    return any(
        version >= (registry.owners.version(node, authority) or 0)
        for authority, version in registry.emptied.get(node, {}).items()
    )


def shared_service_accounts(
    registry: Registry, is_account: Callable[[str], bool] = lambda _: False
) -> Iterator[tuple[Identifier, tuple[Identifier, ...]]]:
    """Yield service accounts that several agents use, with the agents.

    They hang on it, or a credential hangs on both.

    Args:
        registry: the table.
        is_account: tells which kinds of principals are used through credentials.
    """
    lineage = registry.lineage
    for node in range(len(lineage)):
        if not is_principal(registry, node):
            continue
        found = agents_using(registry, node, is_account)
        agents = {agent for agent in found if agent is not None}
        if len(agents) > 1:
            yield (
                lineage.identifier(node),
                tuple(sorted(map(lineage.identifier, agents))),
            )


def is_principal(registry: Registry, node: int) -> bool:
    """Whether a name is that of a person, a team, an agent or a service account."""
    return _class_of(registry, node) is NodeClass.PRINCIPAL


def speakers(registry: Registry, node: int) -> set[str]:
    """Return whose word on expiry, owners, scopes or labels of a node stands.

    The table does not keep who declared it.
    """
    of = (registry.expiry, registry.owners, registry.scopes, registry.labels)
    return {authority for each in of for authority in each.authorities(node)}


def agents_using(
    registry: Registry, principal: int, is_account: Callable[[str], bool]
) -> Iterator[int | None]:
    """Yield the agents that hang on a principal, or use it through a credential.

    None is a step that found nothing, so that a long walk can be cut.

    Args:
        registry: the table.
        principal: its node.
        is_account: tells which kinds of principals are used through credentials.
    """
    lineage = registry.lineage
    through = is_account(lineage.kind(principal))
    for child in lineage.children(principal):
        yield None
        of = _class_of(registry, child)
        if of is NodeClass.PRINCIPAL or lineage.kind(child).startswith("agent."):
            yield child
        if through and of is NodeClass.CREDENTIAL:
            for parent, _ in lineage.parents(child):
                if "agent" in lineage.kind(parent).split("."):
                    yield parent


def excess_scopes(
    registry: Registry,
) -> Iterator[tuple[Identifier, Identifier, tuple[str, ...]]]:
    """Yield (child, ancestor, scopes) where a child declares more than an ancestor."""
    for node in registry.scopes.nodes():
        yield from excess_of(registry, node)


def excess_of(
    registry: Registry, node: int
) -> Iterator[tuple[Identifier, Identifier, tuple[str, ...]]]:
    """Yield the same of one name."""
    lineage = registry.lineage
    declared = [s for scopes in registry.scopes.of(node) for s in scopes]
    child = lineage.identifier(node)
    for ancestor, _ in ancestors(registry, child):
        above = lineage.find(ancestor)
        if not lineage.flags[above] & SCOPED:
            continue
        for covering in registry.scopes.of(above):
            excess = escalates(declared, covering)
            if excess:
                yield child, ancestor, excess


def unmapped(registry: Registry) -> Iterator[Identifier]:
    """Yield parents that were only named: alive, but nobody vouched for them."""
    lineage = registry.lineage
    for node in range(len(lineage)):
        if is_only_named(registry, node):
            yield lineage.identifier(node)


def is_only_named(registry: Registry, node: int) -> bool:
    """Whether something hangs on a name that nobody vouched for, and no label."""
    lineage = registry.lineage
    return (
        not lineage.flags[node] & KNOWN
        and not lineage.kind(node).startswith(LABEL)
        and any(True for _ in lineage.children(node))
    )


def ambiguous_lifts(registry: Registry) -> Iterator[RecordedCause]:
    """Yield causes whose lift came too close to tell which was first."""
    yield from (c for c in registry.causes.all() if registry.causes.ambiguous(c))


def unapplied(registry: Registry) -> Iterator[RecordedCause]:
    """Yield causes on an attribute value that no node holds."""
    lineage = registry.lineage
    for cause in registry.causes.all():
        if lineage.kind(cause.node).startswith(ATTRIBUTE):
            held = registry.holders.get(cause.node, {})
            if not any(version <= cause.version for version in held.values()):
                yield cause


@frozen(order=True)
class Row:
    """One row of the table that both engines must give alike."""

    identifier: Identifier
    allowed: bool
    reason: str
    causes: tuple[str, ...]
    expires_at: int | None
    scopes: tuple[tuple[str, ...], ...]
    owners: tuple[tuple[Identifier, ...], ...]


def table(registry: Registry, now: int) -> list[Row]:
    """Whole table, sorted by identifier; unknown identifiers are judged too."""
    return sorted(rows(registry, now))


def rows(registry: Registry, now: int) -> Iterator[Row]:
    """Yield the rows of the table as they come."""
    lineage = registry.lineage
    lenient: UnknownPolicy = "allow_and_report"
    policy = Policy(dict.fromkeys(lineage.vocabulary, lenient))
    for node in range(len(lineage)):
        identifier = lineage.identifier(node)
        if identifier.kind.startswith(ATTRIBUTE):
            continue
        verdict = judge(registry, Presented((identifier,)), now=now, policy=policy)
        flaws = flaws_of(registry, identifier, now)
        expires = lineage.expires[node]
        yield Row(
            identifier=identifier,
            allowed=verdict.allowed,
            reason=verdict.reason.value,
            causes=tuple(sorted({f.cause.fact_id for f in flaws if f.cause})),
            expires_at=None if expires == UNKNOWN_TIME else expires,
            scopes=tuple(sorted(registry.scopes.of(node))),
            owners=tuple(
                sorted(
                    tuple(sorted(map(lineage.identifier, owners)))
                    for owners in registry.owners.of(node)
                )
            ),
        )


def _walk(
    registry: Registry, identifier: Identifier, step: Callable[[int], Iterable[int]]
) -> Iterator[tuple[Identifier, int]]:
    """Walk breadth first from an identifier; its other names are at distance 0.

    Facts may be merged while a walk stands still: what they add is walked or not.
    """
    lineage = registry.lineage
    start = lineage.find(identifier)
    if start == NONE:
        return
    seen = {start}
    level = [start]
    depth = 0
    while level:
        following: list[int] = []
        for node in level:
            if node != start:
                yield lineage.identifier(node), depth
            other = lineage.ring[node]
            if other not in seen:
                seen.add(other)
                level.append(other)
            for other in step(node):
                if other not in seen:
                    seen.add(other)
                    following.append(other)
        level = following
        depth += 1


def _class_of(registry: Registry, node: int) -> NodeClass | None:
    return class_of(registry.lineage.kind(node), registry.lineage.vocabulary)
