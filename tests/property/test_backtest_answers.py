"""What a test of rules on history keeps of names is what a fresh walk says."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.death import Fate
from agents_registry.facts import Effect
from agents_registry.registry import Registry
from agents_registry.steps import finish
from streams.model.findings import FindingKind
from streams.services.backtest_answers import BacktestAnswers
from streams.stages.containment.rules import ContainedName
from streams.stages.containment.subjects import subject_of
from tests.property.agreement import EXAMPLES, SEED
from tests.property.test_deaths import TIMES, dense
from tests.unit.containing import a_finding, a_rule

if TYPE_CHECKING:
    from agents_registry.identifiers import Identifier

pytestmark = pytest.mark.property

FINAL = (Effect.REVOKE, Effect.NOT_BEFORE)


def ended(registry: Registry, name: Identifier, at: int) -> bool:
    """Tell whether a name had ended for good, by a walk of its own."""
    causing = finish(Fate(registry, name).causing(at=at, inclusive=True))
    return any(each.effect in FINAL for each in causing)


@pytest.mark.parametrize("share", range(2))
def test_a_name_has_ended_for_good_when_a_walk_says_so(share: int) -> None:
    """At and between all times, in whatever order they are asked for."""
    random = Random(f"{SEED}{share}")
    for _ in range(EXAMPLES // 50):
        facts, nodes = dense(random)
        registry, known = Registry.build(facts), BacktestAnswers()
        asked = [(name, at) for name in nodes for at in random.sample(TIMES, 6)]
        random.shuffle(asked)

        found = [finish(known.ended(registry, *each)) for each in asked]
        assert [ended(registry, *each) for each in asked] == found


def test_what_shares_found_is_known_without_the_table() -> None:
    """Each finding is of one share, whatever it says of others."""
    random = Random(SEED)
    kinds = frozenset({FindingKind.LEAK})
    rules = [a_rule(each.value, contain=each, kinds=kinds) for each in ContainedName]
    for _ in range(EXAMPLES // 50):
        facts, nodes = dense(random)
        registry, known = Registry.build(facts), BacktestAnswers()
        findings = [
            a_finding(presented=name, kind=FindingKind.LEAK, first_seen=at)
            for name in nodes
            for at in random.sample(TIMES, 2)
        ]
        for share in random.sample(range(3), 3):
            told = BacktestAnswers().shared(rules, findings, registry, share, 3)
            known.take(told)
        for finding in findings:
            at = finding.first_seen
            for rule in rules:
                target = subject_of(finding, rule, registry)
                assert target == known.subject(finding, rule, Registry())
                if target is not None:
                    found = finish(known.ended(Registry(), target, at))
                    assert found == ended(registry, target, at)


def test_a_subject_is_that_of_the_finding_and_the_rule() -> None:
    """Rules that contain the same ask once."""
    random = Random(SEED)
    for _ in range(EXAMPLES // 50):
        facts, nodes = dense(random)
        registry, known = Registry.build(facts), BacktestAnswers()
        for name in nodes:
            finding = a_finding(presented=name)
            for contain in ContainedName:
                wanted: list[Any] = []
                found: list[Any] = []
                for points in (frozenset[str](), frozenset({"p"})):
                    rule = a_rule("r", contain=contain, points=points)
                    wanted.append(subject_of(finding, rule, registry))
                    found.append(known.subject(finding, rule, registry))

                assert wanted == found
