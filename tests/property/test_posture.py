"""What is open of posture is a function of the table and the time alone."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from agents_registry.steps import finish
from streams.model.findings import POSTURE, FindingKind
from streams.stages.posture import agenda as posture_agenda
from streams.stages.posture.posture import LOOK_AGAIN, Limits, Posture
from tests.property.agreement import EXAMPLES, SEED
from tests.property.worlds import STEP, TOPICS, Maker

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from agents_registry.facts import Fact

pytestmark = pytest.mark.property

WORLDS = 2 * EXAMPLES // 5
MOST = 3200  # within so many a planted bug shows
KINDS = (
    "agent.id", "agent.id", "service_account.id", "jwt.jti", "jwt.jti", "person.id",
    "vault.path",
)  # fmt: skip
SHARING = ("agent.id", "agent.id", "agent.id", "service_account.id", "jwt.jti")
Open = set[tuple[Identifier, FindingKind]]


def heard(opened: Open, signals: Iterable[Mapping[str, Any]]) -> None:
    """Take signals as the sentinel does; each must say something new."""
    for signal in signals:
        key = Identifier(*signal["presented"]), FindingKind(signal["kind"])
        assert (key in opened) == signal.get("over", False)
        (opened.discard if signal.get("over") else opened.add)(key)


def drained(stage: Posture, now: int, opened: Open) -> Open:
    """Have all looked at that waits."""
    while stage.waiting(now):
        heard(opened, finish(stage.step(now, most=7)))
    return opened


def at_once(facts: Iterable[Fact], now: int) -> Open:
    """Give what a start finds in the table of some facts."""
    stage = Posture(Limits(settle=0))
    stage.follow(Registry.build(facts))
    return drained(stage, now, set())


def as_they_came(facts: tuple[Fact, ...], random: Random, *, clock: bool) -> Open:
    """Give what is open after facts that came one by one, with a restart among them."""
    stage, registry, opened, now = Posture(Limits(settle=0)), Registry(), Open(), 0
    stage.follow(registry)
    restart = random.randrange(len(facts))
    for number, fact in enumerate(facts):
        registry.apply(fact)
        stage.note(fact)
        if registry.needs_rebuild:
            registry = Registry.build(facts[: number + 1])
            stage.follow(registry)
        if number == restart:
            stage = Posture(Limits(settle=0))
            stage.restore(sorted(opened, key=str))
            stage.follow(registry)
        heard(opened, finish(stage.step(now, most=random.choice((0, 1, 3, 50)))))
        now += clock * random.choice((0, STEP // 2))
    later = now + 2 * LOOK_AGAIN if clock else now
    return drained(stage, later, drained(stage, now, opened))


def a_world(random: Random, *topics: str) -> tuple[Fact, ...]:
    """Give the facts of a world about agents, accounts and tokens."""
    maker = Maker(random, random.choice(topics or list(TOPICS)))
    kinds = random.choice((KINDS, SHARING))
    maker.nodes = tuple(
        Identifier(random.choice(kinds), f"n{n}") for n in range(len(maker.nodes))
    )
    return maker.world().facts


def differs(seed: int) -> str:
    """Compare both ways for one world; say how they differ, "" where they do not."""
    random = Random(seed)
    facts = a_world(random)
    clock = random.random() < 0.5
    opened = as_they_came(facts, Random(seed), clock=clock)
    now = len(facts) * STEP + 2 * LOOK_AGAIN if clock else 0
    found = at_once(facts, now)
    return "" if opened == found else f"{opened - found} {found - opened}"


@pytest.mark.timeout(180)
def test_what_is_open_does_not_depend_on_how_the_facts_came() -> None:
    """Incremental equals a scan of all there is, over restarts and rebuilt tables."""
    for seed in range(SEED, SEED + WORLDS):
        assert not differs(seed), f"RESCIND_SEED={seed}"


@pytest.mark.long
def test_the_worlds_have_all_that_facts_alone_tell() -> None:
    """Else the comparison would say nothing of a kind."""
    seeds, topics = range(1500), ("scopes", "lineage", "lifts")
    worlds = (at_once(a_world(Random(seed), *topics), 0) for seed in seeds)
    kinds = {kind for world in worlds for _, kind in world}

    told = POSTURE | {FindingKind.REVOCATION_NOT_APPLIED}  # of attributes
    assert kinds == told - {FindingKind.EXCESS_SCOPE}


@pytest.mark.parametrize("rule", ["_BELOW", "_NAMES"])
def test_a_fact_that_marks_too_little_is_caught(
    rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted bug: what hangs on a changed node is not looked at, or not itself."""
    monkeypatch.setattr(posture_agenda, rule, {})

    # One world in a hundred shows it: of so many, all but one run in 10^13 has one.
    assert any(differs(seed) for seed in range(SEED, SEED + MOST))
