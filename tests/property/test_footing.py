"""What a verdict rests on is all of it: over random worlds, fact by fact.

Judging anew only what a fact shakes must miss no denial. The same seeds catch footings
that leave something out (the planted ones below).
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, TypeAlias

import attrs
import pytest

from agents_registry.facts import Alias, Cause, Fact
from agents_registry.footing import footing, shaken
from agents_registry.registry import Registry
from agents_registry.verdict import Presented
from tests.property.agreement import EXAMPLES, SEED, answer
from tests.property.worlds import TOPICS, make

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.footing import Footing
    from agents_registry.identifiers import Identifier
    from tests.property.worlds import Question

pytestmark = [pytest.mark.property, pytest.mark.timeout(0)]

Shaken: TypeAlias = "Callable[[Fact], tuple[Identifier, ...] | None]"
Cut: TypeAlias = "Callable[[Footing, Registry, Presented], Footing]"


def whole(rests_on: Footing, registry: Registry, presented: Presented) -> Footing:
    """Leave the footing as it is."""
    del registry, presented
    return rests_on


def missed(
    seed: int, topic: str, shaken: Shaken = shaken, cut: Cut = whole
) -> str | None:
    """Apply a world's facts one by one; tell of a denial that nothing announced."""
    world = make(seed, topic)
    registry = Registry()
    for number, fact in enumerate(world.facts):
        living = [
            (question, presented(question), rests(registry, question, cut))
            for question in world.questions
            if answer(registry, question).allowed
        ]
        registry.apply(fact)
        if registry.needs_rebuild:
            return None  # the successor's table has everything judged anew
        for question, _, rests_on in living:
            if not answer(registry, question).allowed and not announced(
                registry, fact, rests_on, shaken
            ):
                return f"seed {seed}, {topic}: fact {number} {fact} ends {question}"
    return None


def presented(question: Question) -> Presented:
    """Give what a question presents."""
    return Presented(question.identifiers, question.issued_at, question.chain)


def rests(registry: Registry, question: Question, cut: Cut) -> Footing:
    """Give what its verdict rests on."""
    said = presented(question)
    return cut(footing(registry, said, question.now), registry, said)


def announced(
    registry: Registry, fact: Fact, rests_on: Footing, shaken: Shaken
) -> bool:
    """Tell whether a fact shakes a footing."""
    names = shaken(fact)
    if names is None:
        return True
    keys = {key for name in names for key in (name, registry.lineage.find(name))}
    return bool(keys & rests_on.names)


@pytest.mark.parametrize("topic", TOPICS)
def test_no_denial_comes_unannounced(topic: str) -> None:
    """Whatever ends a presentation shakes what its verdict rested on."""
    random = Random(SEED)
    for _ in range(max(20, EXAMPLES // 20 // len(TOPICS))):
        found = missed(random.randrange(1 << 48), topic)
        assert found is None, f"RESCIND_SEED={SEED}: {found}"


def test_many_facts_shake_nothing_that_stands_apart() -> None:
    """Else judging everything anew would do as well."""
    world = make(1, "lineage")
    registry = Registry.build(world.facts)
    footings = [footing(registry, Presented((node,)), 0) for node in world.nodes]
    spared = [
        not announced(registry, fact, rests_on, shaken)
        for fact in world.facts
        for rests_on in footings
    ]

    assert sum(spared) > len(spared) / 4


def no_ancestors(rests_on: Footing, registry: Registry, said: Presented) -> Footing:
    """Keep the presented identifiers alone."""
    names = {registry.lineage.find(name) for name in said.identifiers}
    return attrs.evolve(rests_on, names=frozenset(names & rests_on.names))


def no_strangers(rests_on: Footing, registry: Registry, said: Presented) -> Footing:
    """Leave out what no fact named."""
    del registry, said
    return attrs.evolve(
        rests_on, names=frozenset(n for n in rests_on.names if isinstance(n, int))
    )


def no_attributes(rests_on: Footing, registry: Registry, said: Presented) -> Footing:
    """Leave out the attributes that nodes hold."""
    del said
    names = rests_on.names - set(registry.holders)
    return attrs.evolve(rests_on, names=frozenset(names))


def but(kind: type[Fact]) -> Shaken:
    """Say of one kind of facts that they end nothing."""
    return lambda fact: () if isinstance(fact, kind) else shaken(fact)


def first_name_only(fact: Fact) -> tuple[Identifier, ...] | None:
    """Forget the second name of an alias."""
    return (fact.first,) if isinstance(fact, Alias) else shaken(fact)


@pytest.mark.parametrize(
    ("topic", "wrong", "cut"),
    [
        ("lineage", shaken, no_ancestors),
        ("everything", shaken, no_strangers),
        ("attributes", shaken, no_attributes),
        ("aliases", first_name_only, whole),
        ("everything", but(Cause), whole),
    ],
)
def test_a_footing_that_leaves_something_out_is_caught(
    topic: str, wrong: Shaken, cut: Cut
) -> None:
    """The property above can fail."""
    assert any(missed(seed, topic, wrong, cut) for seed in range(3_000))
