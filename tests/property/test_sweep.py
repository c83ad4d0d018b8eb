"""What is judged together comes out as if judged alone, wherever it is cut."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from agents_registry.closure import closure_of
from agents_registry.death import Fate, death
from agents_registry.flaws import flaws_of
from agents_registry.identifiers import ATTRIBUTE, VOCABULARY
from agents_registry.lineage import CAUSED
from agents_registry.registry import Registry
from agents_registry.steps import finish
from agents_registry.sweep import Sweep
from agents_registry.uncaused import Uncaused
from streams.stages.registry import registry as stage
from streams.stages.registry.cascade import Cascade
from tests.property.agreement import EXAMPLES, SEED
from tests.property.worlds import EVERY_TOPIC, STEP, Maker

if TYPE_CHECKING:
    from agents_registry.death import Death
    from agents_registry.facts import Fact
    from agents_registry.identifiers import Identifier

pytestmark = pytest.mark.property

WORLDS = EXAMPLES // 2
MOST = 500  # within so many a planted bug shows


def facts_of(random: Random) -> list[Fact]:
    """Give the facts of a world in any order."""
    facts = list(Maker(random, random.choice(list(EVERY_TOPIC))).world().facts)
    random.shuffle(facts)
    return facts


def some_of(registry: Registry, random: Random) -> list[int]:
    """Give some nodes, at least one where there are any."""
    kind = registry.lineage.kind
    nodes = [
        node
        for node in range(len(registry.lineage))
        if not kind(node).startswith(ATTRIBUTE)
    ]
    return random.sample(nodes, random.randint(1, len(nodes))) if nodes else []


def fact_id(why: Death | None) -> str | None:
    """Give the cause that counts."""
    return None if why is None else why.cause.fact_id


def sweep_differs(seed: int) -> str:
    """Judge some nodes of a world together, and each alone; say what differs."""
    random = Random(seed)
    registry = Registry.build(facts_of(random))
    nodes, identifier = some_of(registry, random), registry.lineage.identifier
    causes = Sweep(registry)
    finish(causes.include(nodes))
    finish(causes.judge())
    ends = finish(causes.ends())
    now = random.randint(0, 8) * STEP
    doubts = Sweep(registry, now)
    finish(doubts.include(nodes))
    finish(doubts.judge())
    reasons = finish(doubts.reasons())
    for node in nodes:
        alone = fact_id(death(registry, identifier(node)))
        together = ends[node].cause.fact_id if node in ends else None
        if alone != together:
            return f"{identifier(node)} is dead by {together}, alone by {alone}"
        why = {flaw.reason for flaw in flaws_of(registry, identifier(node), now)}
        if why != reasons.get(node, set()):
            return f"{identifier(node)}: {reasons.get(node)}, alone {why}"
    return ""


class Lister:
    """A cascade whose slices are held against a judgement of each name alone."""

    def __init__(self) -> None:
        self.cascade = Cascade(dict(VOCABULARY))
        self.listed: set[Identifier] = set()
        self.wrong = ""
        self.rebuilt = False
        self.heard = 0
        self.applied: list[Fact] = []

    def apply(self, fact: Fact) -> None:
        """Apply a fact once that is allowed."""
        while self.cascade.exclusive:
            self.take()
        self.cascade.apply(fact)
        self.heard = max(self.heard, fact.received_at)
        self.applied.append(fact)
        self.cascade.enlist(len(self.applied), fact)
        if self.cascade.registry.needs_rebuild:
            self.cascade.replace(Registry.build(self.applied))
            self.rebuilt = True

    def take(self) -> None:
        """Take the next slice."""
        found, done = finish(self.cascade.next_slice())
        for name, why in found:
            self.listed.add(name)
            if fact_id(why) != fact_id(self.death(name)):
                self.wrong = f"{name} is listed by {why}"
        if done:
            self.cascade.finish()

    def death(self, name: Identifier) -> Death | None:
        """Judge a name alone, by causes that are not over when facts come."""
        return Fate(self.cascade.registry, name, self.heard).death()

    def missing(self) -> list[Identifier]:
        """Give what is dead and was not listed.

        Where something was taken back the sentinel judges everything anew.
        """
        registry = self.cascade.registry
        nodes = () if self.rebuilt else range(len(registry.lineage))
        names = {registry.lineage.identifier(node) for node in nodes} - self.listed
        return [
            name
            for name in names
            if not name.kind.startswith(ATTRIBUTE) and self.death(name)
        ]


def cascade_differs(seed: int) -> str:
    """Cut lists wherever facts may come; say what was listed wrongly or not at all."""
    random, lister = Random(seed), Lister()
    for fact in facts_of(random):
        lister.apply(fact)
        if lister.cascade.waiting and random.random() < 0.3:
            lister.take()
    while lister.cascade.waiting:
        lister.take()
    missing = lister.missing()
    return lister.wrong or (f"not listed: {missing}" if missing else "")


def clear_differs(seed: int) -> str:
    """Hold the bits against a walk after every fact; say which node is wrong."""
    random = Random(seed)
    registry = Registry()
    uncaused = Uncaused(registry)
    for fact in facts_of(random):
        registry.apply(fact)
        uncaused.note(fact)
        lineage = registry.lineage
        for node in some_of(registry, random):
            nodes = closure_of(registry, node).nodes
            clear = not any(lineage.flags[each] & CAUSED for each in nodes)
            # What an owner set that is replaced had ended may stay in doubt.
            if uncaused.is_clear(node) and not clear:
                return f"{lineage.identifier(node)} is taken for clear after {fact}"
    return ""


@pytest.mark.timeout(120)
def test_together_is_as_each_alone() -> None:
    """Causes, and the reasons at a time, over random worlds."""
    for seed in range(SEED, SEED + WORLDS):
        assert not sweep_differs(seed), f"RESCIND_SEED={seed}"


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("size", "together"), [(1, 1), (2, 3), (1000, 1000)])
def test_lists_are_right_wherever_they_are_cut(
    size: int, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each list is right as of its slice, and nothing dead is left out in the end."""
    monkeypatch.setattr("streams.stages.registry.cascade.SLICE", size)
    monkeypatch.setattr(stage, "TOGETHER", together)
    for seed in range(SEED, SEED + WORLDS):
        assert not cascade_differs(seed), f"RESCIND_SEED={seed}"


@pytest.mark.timeout(120)
def test_what_is_clear_has_no_cause_above() -> None:
    """A bit that is wrong would be a revocation that nobody is told of."""
    for seed in range(SEED, SEED + WORLDS):
        assert not clear_differs(seed), f"RESCIND_SEED={seed}"


@pytest.mark.parametrize("method", ["_hang", "_join", "_undo"])
def test_a_bit_that_is_not_undone_is_caught(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted bug: a fact that hangs a clear node on a cause changes nothing."""
    monkeypatch.setattr(Uncaused, method, lambda *_: None)

    assert any(clear_differs(seed) for seed in range(SEED, SEED + MOST))


@pytest.mark.parametrize(
    "method", ["_find_too_old", "_find_orphans", "_end_selves", "_find_limited"]
)
def test_a_flaw_that_is_not_found_is_caught(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted bug: one of the ways to die is left out."""
    monkeypatch.setattr(Sweep, method, lambda *_: iter(()))

    assert any(sweep_differs(seed) for seed in range(SEED, SEED + MOST))
