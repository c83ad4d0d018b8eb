"""Random worlds, rules and findings: no rule goes beyond what its settings say.

What a rule contains it names, below its limits, and nothing but an enforcing rule
writes a fact.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from agents_registry.facts import Effect
from agents_registry.identifiers import NodeClass
from agents_registry.inventory import ancestors, blast_radius
from agents_registry.registry import Registry
from streams.model.findings import FindingKind
from streams.stages.containment.containment import Containment
from streams.stages.containment.rules import (
    CONTAINABLE,
    ContainedName,
    ContainmentMode,
    ContainmentRule,
)
from streams.stages.ingest.entitlement import CONTAINMENT
from streams.stages.ingest.ingress import Origin
from tests.property.agreement import EXAMPLES, SEED
from tests.property.worlds import STEP, make
from tests.unit.containing import HOUR, a_finding, settle

if TYPE_CHECKING:
    from agents_registry.identifiers import Identifier
    from streams.model.findings import Finding
    from streams.stages.containment.decision import ContainmentDecision

pytestmark = [pytest.mark.property, pytest.mark.timeout(0), pytest.mark.worlds]

KINDS = sorted(CONTAINABLE, key=lambda kind: kind.value)
ORIGIN = Origin("rescind", "r", 0, "rescind")


def rules(random: Random) -> list[ContainmentRule]:
    """Give some rules; none of them wants everything."""
    return [
        ContainmentRule(
            name=f"rule-{number}",
            kinds=frozenset(random.sample(KINDS, 5)),
            contain=random.choice(list(ContainedName)),
            mode=random.choice(list(ContainmentMode)),
            effect=random.choice((Effect.SUSPEND, Effect.NARROW)),
            lasts=random.choice((None, HOUR)),
            blast_limit=random.randint(0, 3),
            per_hour=random.randint(1, 3),
            identifiers=random.choice(((), ("vault.*", "jwt.*"))),
        )
        for number in range(4)
    ]


def finding(random: Random, names: list[Identifier], number: int) -> Finding:
    """Give a finding on a name of the world, which may name an agent besides."""
    agent = random.choice((None, None, *names))
    return a_finding(
        random.choice(names),
        id=f"f{number}",
        kind=random.choice(KINDS),
        agent=None if agent is None else str(agent),
    )


def is_named(
    rule: ContainmentRule, about: Finding, found: ContainmentDecision, table: Registry
) -> bool:
    """Tell whether a rule on a finding speaks of a name, by its settings alone."""
    target = found.target
    if target is None or about.kind not in rule.kinds:
        return False
    above = {about.presented, *(name for name, _ in ancestors(table, about.presented))}
    kind = table.lineage.vocabulary.get(target.kind)
    match rule.contain:
        case ContainedName.CREDENTIAL:
            return target == about.presented and kind is NodeClass.CREDENTIAL
        case ContainedName.PRINCIPAL:
            return target in above and kind is NodeClass.PRINCIPAL
    return target in above


ENOUGH = 20  # acts of rules; by chance a few worlds have fewer


@pytest.mark.parametrize("share", range(4))
def test_no_rule_goes_beyond_its_settings(share: int) -> None:
    """Limit of reach, limit of an hour, mode, target and aspect."""
    random = Random(f"{SEED}containment{share}")
    contained, least = 0, max(20, EXAMPLES // 20)
    for tried in range(20 * least):
        if tried >= least and contained > ENOUGH:
            break
        world = make(random.randrange(1 << 48), "lineage")
        table = Registry.build(world.facts)
        stage = Containment(tuple(rules(random)))
        of_name = {rule.name: rule for rule in stage.rules}
        acted: dict[str, list[int]] = {name: [] for name in of_name}
        now = 20 * STEP
        for number in range(12):
            now += random.choice((0, STEP, HOUR // 2))
            about = finding(random, list(world.nodes), number)
            for each in settle(stage, about, table, now):
                rule = of_name[each.rule]
                cause = each.cause(ORIGIN)
                assert (cause is not None) <= (rule.mode is ContainmentMode.ENFORCE)
                assert (cause is not None) <= each.contains
                if not each.contains or each.target is None:
                    continue
                contained += 1
                assert is_named(rule, about, each, table), (world, about, each)
                assert blast_radius(table, each.target).total <= rule.blast_limit
                acted[rule.name].append(now)
                assert sum(now - at < HOUR for at in acted[rule.name]) <= rule.per_hour
                if cause is not None:
                    assert (CONTAINMENT, rule.name, each.target) == (
                        cause.authority, cause.aspect, cause.target,
                    )  # fmt: skip
                    assert cause.effect is rule.effect
                    assert cause.until == (None if rule.lasts is None else now + HOUR)
    assert contained > ENOUGH


def test_every_kind_that_a_rule_may_be_about_exists() -> None:
    """And none of containment itself: a rule never acts on what rules say."""
    assert FindingKind.CONTAINMENT not in CONTAINABLE
