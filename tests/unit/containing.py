"""Rules, findings and tables for tests of containment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agents_registry.facts import Alias, Edge, Lift, Node, OwnerSet
from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from agents_registry.steps import finish
from streams.model.findings import SEVERITY, Finding, FindingKind
from streams.model.times import SECOND
from streams.stages.containment.containment import Containment
from streams.stages.containment.rules import (
    ContainedName,
    ContainmentMode,
    ContainmentRule,
)
from streams.stages.ingest.entitlement import CONTAINMENT

if TYPE_CHECKING:
    from agents_registry.facts import Fact
    from streams.stages.containment.decision import ContainmentDecision

NOW: Final = 1_772_445_600 * SECOND
HOUR: Final = 3600 * SECOND
TOKEN: Final = Identifier("jwt.jti", "t1")
AGENT: Final = Identifier("agent.id", "planner")
SAID: Final[dict[str, Any]] = {"authority": "idp", "version": 1, "received_at": 1}


def a_rule(name: str = "leaked", **more: Any) -> ContainmentRule:
    """Give an enforcing rule on leaks."""
    given: dict[str, Any] = {
        "kinds": frozenset({FindingKind.LEAK}),
        "contain": ContainedName.CREDENTIAL,
        "mode": ContainmentMode.ENFORCE,
        "lasts": 2 * HOUR,
        "blast_limit": 5,
        "per_hour": 3,
    }
    return ContainmentRule(name=name, **given | more)


def a_finding(presented: Identifier = TOKEN, **more: Any) -> Finding:
    """Give a finding on a leak."""
    kind = more.pop("kind", FindingKind.LEAK)
    given: dict[str, Any] = {
        "id": f"f-{presented.value}",
        "severity": SEVERITY[kind],
        "realm": "r",
        "authority": "idp",
        "first_seen": NOW,
        "last_seen": NOW,
        "message": "",
    }
    return Finding(kind=kind, presented=presented, **given | more)


def edge(child: Identifier, parent: Identifier) -> Edge:
    """Give the fact that one requires another."""
    return Edge(**SAID, child=child, parent=parent)


def alias(first: Identifier, second: Identifier) -> Alias:
    """Give the fact that two are one."""
    return Alias(**SAID, first=first, second=second)


def known(node: Identifier) -> Node:
    """Give the fact that one exists."""
    return Node(**SAID, node=node, issued_at=1)


def owned(node: Identifier, *owners: Identifier) -> OwnerSet:
    """Give the fact that one is owned."""
    return OwnerSet(**SAID, node=node, owners=owners)


def lifted(target: Identifier, rule: str, at: int) -> Lift:
    """Give an operator's lift of what a rule suspended."""
    return Lift(
        authority=CONTAINMENT, version=at, received_at=at, target=target, aspect=rule
    )


def table_of(*facts: Fact) -> Registry:
    """Give a table that holds facts."""
    registry = Registry()
    for fact in facts:
        registry.apply(fact)
    return registry


def settle(
    stage: Containment, finding: Finding, registry: Registry, now: int = NOW
) -> list[ContainmentDecision]:
    """Have a stage decide, and give it back what it decided."""
    decided = finish(stage.decide(finding, registry, now))
    for each in decided:
        stage.take(each)
    return decided
