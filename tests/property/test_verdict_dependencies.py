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
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.verdict_dependencies import dependencies, shaken
from enforcement import Mode, watchlist
from enforcement.watchlist import LiveSession, Watchlist
from tests.property.agreement import EXAMPLES, SEED, answer
from tests.property.worlds import EVERY_TOPIC, make

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.identifiers import Identifier
    from agents_registry.verdict_dependencies import VerdictDependencies
    from tests.property.worlds import Question

pytestmark = [pytest.mark.property, pytest.mark.timeout(0)]

Shaken: TypeAlias = "Callable[[Fact], tuple[Identifier, ...] | None]"
Cut: TypeAlias = (
    "Callable[[VerdictDependencies, Registry, Presented], VerdictDependencies]"
)


def whole(
    rests_on: VerdictDependencies, registry: Registry, presented: Presented
) -> VerdictDependencies:
    """Leave the dependencies as they are."""
    del registry, presented
    return rests_on


def missed(seed: int, topic: str, cut: Cut = whole) -> str | None:
    """Apply a world's facts one by one; tell of a denial that nothing announced.

    A session rests on what was found when it was judged last, facts ago.
    """
    world = make(seed, topic)
    registry = Registry()
    watched = Watchlist()
    questions: dict[LiveSession, Question] = {}
    for number, fact in enumerate(world.facts):
        registry.apply(fact)
        if registry.needs_rebuild:
            return None  # the successor's table has everything judged anew
        watched.applied(fact, registry)
        watched.suspect(now=-1)
        suspects = watched.take()
        for session, question in questions.items():
            if session.active and not answer(registry, question).allowed:
                if session not in suspects:
                    return f"seed {seed}, {topic}: fact {number} {fact} ends {question}"
                session.cancel()
        for question in world.questions:
            if number % 3 == 0 and answer(registry, question).allowed:
                session = watched.add(
                    presented(question), print, scope=None, mode=Mode.FAIL_CLOSED
                )
                questions[session] = question
                suspects.append(session)
        for session in suspects:
            if session.active:
                rest(watched, session, registry, questions[session], cut)
        watched.take()
    return None


def presented(question: Question) -> Presented:
    """Give what a question presents."""
    return Presented(question.identifiers, question.issued_at, question.chain)


def rest(
    watched: Watchlist,
    session: LiveSession,
    registry: Registry,
    question: Question,
    cut: Cut,
) -> None:
    """Note what a verdict rests on, as a guard does when it judges."""
    said = presented(question)
    watched.rest(
        session, cut(dependencies(registry, said, question.now), registry, said)
    )


@pytest.mark.parametrize("topic", EVERY_TOPIC)
def test_no_denial_comes_unannounced(topic: str) -> None:
    """Whatever ends a presentation shakes what its verdict rested on."""
    random = Random(SEED)
    for _ in range(max(20, EXAMPLES // 20 // len(EVERY_TOPIC))):
        found = missed(random.randrange(1 << 48), topic)
        assert found is None, f"RESCIND_SEED={SEED}: {found}"


def test_what_stands_apart_is_not_judged_anew() -> None:
    """Else judging everything anew would do as well."""
    world = make(1, "lineage")
    registry = Registry.build(world.facts)
    watched = Watchlist()
    for name in world.nodes:
        session = watched.add(
            (Presented((name,))), print, scope=None, mode=Mode.OBSERVE
        )
        watched.rest(session, dependencies(registry, Presented((name,)), 0))
    watched.take()
    suspects = 0
    for fact in world.facts:
        watched.applied(fact, registry)
        watched.suspect(now=-1)
        suspects += len(watched.take())

    assert 0 < suspects < len(world.facts) * len(world.nodes) * 3 / 4


def no_ancestors(
    rests_on: VerdictDependencies, registry: Registry, said: Presented
) -> VerdictDependencies:
    """Keep the presented identifiers alone."""
    names = {registry.lineage.find(name) for name in said.identifiers}
    return attrs.evolve(rests_on, names=frozenset(names & rests_on.names))


def no_strangers(
    rests_on: VerdictDependencies, registry: Registry, said: Presented
) -> VerdictDependencies:
    """Leave out what no fact named."""
    del registry, said
    return attrs.evolve(
        rests_on, names=frozenset(n for n in rests_on.names if isinstance(n, int))
    )


def no_attributes(
    rests_on: VerdictDependencies, registry: Registry, said: Presented
) -> VerdictDependencies:
    """Leave out the attributes that nodes hold."""
    del said
    names = rests_on.names - set(registry.holders)
    return attrs.evolve(rests_on, names=frozenset(names))


def first_name_only(fact: Fact) -> tuple[Identifier, ...] | None:
    """Forget the second name of an alias."""
    return (fact.first,) if isinstance(fact, Alias) else shaken(fact)


def no_causes(fact: Fact) -> tuple[Identifier, ...] | None:
    """Say of causes that they end nothing."""
    return () if isinstance(fact, Cause) else shaken(fact)


@pytest.mark.parametrize(
    ("topic", "wrong", "cut"),
    [
        ("lineage", shaken, no_ancestors),
        ("everything", shaken, no_strangers),
        ("attributes", shaken, no_attributes),
        ("aliases", first_name_only, whole),
        ("everything", no_causes, whole),
    ],
)
def test_a_footing_that_leaves_something_out_is_caught(
    topic: str, wrong: Shaken, cut: Cut, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The property above can fail."""
    monkeypatch.setattr(watchlist, "shaken", wrong)

    assert any(missed(seed, topic, cut) for seed in range(3_000))
