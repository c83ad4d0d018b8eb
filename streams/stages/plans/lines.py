"""Whose the reached nodes are, and who acts with them: the nearest on their way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from agents_registry.lineage import NONE, OWNED
from streams.stages.access.agent_kinds import acts_by_default, rank
from streams.stages.posture.rules import owner_of
from streams.stages.sentinel.acting import levels_above

if TYPE_CHECKING:
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.stages.plans.fates import Fates

STEP: Final = 127  # a mask: nodes between two yields


@frozen(eq=False)
class Lines:
    """What passes down from a node to those that were reached through it.

    Attributes:
        owners: of each node the owners in force on it, else those of the nearest node
            on the way to it that has some; none is an empty tuple.
        agents: of each node the agent that acts with it, where there is one.
    """

    owners: dict[int, tuple[str, ...]]
    agents: dict[int, int]


def tracing(registry: Registry, fates: Fates) -> Steps[Lines]:
    """Find owners and agents of all that was walked.

    Args:
        registry: the table, which must not change meanwhile.
        fates: of an act.
    """
    lineage = registry.lineage
    flags, vocabulary = lineage.flags, lineage.vocabulary
    lines = Lines({}, {})
    for count, (node, before) in enumerate(fates.via.items()):
        if not count & STEP:
            yield
        start = node == before
        if flags[node] & OWNED:
            lines.owners[node] = owners_of(registry, node)
        elif start:
            above = owner_of(registry, lineage.others(node))
            lines.owners[node] = () if above is None else (above,)
        else:
            lines.owners[node] = lines.owners[before]
        if acts_by_default(lineage.kind(node), vocabulary):
            lines.agents[node] = node
        elif start:
            agent = agent_above(registry, node)
            if agent != NONE:
                lines.agents[node] = agent
        elif before in lines.agents:
            lines.agents[node] = lines.agents[before]
    return lines


def owners_of(registry: Registry, node: int) -> tuple[str, ...]:
    """Owners in force on a node, by all authorities, sorted."""
    identifier = registry.lineage.identifier
    found = {owner for owners in registry.owners.of(node) for owner in owners}
    return tuple(sorted(str(identifier(owner)) for owner in found))


def agent_above(registry: Registry, node: int) -> int:
    """Nearest agent that a node hangs on, or NONE; agents before accounts."""
    lineage = registry.lineage
    vocabulary = lineage.vocabulary
    for names in levels_above((lineage.identifier(node),), registry):
        acting = [each for each in names if acts_by_default(each.kind, vocabulary)]
        if acting:
            return lineage.find(min(acting, key=lambda each: rank(each.kind)))
    return NONE
