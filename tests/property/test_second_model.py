"""The core gives what the second model gives, which was written from the design alone.

`make campaign` judges 100,000 worlds; RESCIND_WORLDS sets the number, RESCIND_SEED the
first world.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice, pairwise
from random import Random
from typing import Any, Final

import pytest

from agents_registry.facts import (
    Alias,
    Edge,
    Fact,
    Node,
    OwnerSet,
)
from agents_registry.identifiers import Identifier
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.verdict import Judgement, Policy, judge
from tests.campaigns import some
from tests.second_model import LIMIT, PRECEDENCE, Answer, decide
from tests.second_realm import Question
from tests.second_worlds import SECOND, World, as_python, draw, shrink

QUICK: Final = 1500
PARTS: Final = 3
QUESTIONS: Final = 3
UNTOLD_ORDER: Final = {"unknown_credential", "narrowed", "scope"}
WORLDS: Final = int(os.environ.get("RESCIND_WORLDS", "100000"))


def answer_of_core(registry: Registry, question: Question) -> Judgement:
    """Let the core judge."""
    presented = Presented(question.identifiers, question.issued_at, question.chain)
    policy = Policy(unknown=question.unknown)
    return judge(
        registry, presented, now=question.now, scope=question.scope, policy=policy
    )


def agree(answer: Answer, verdict: Judgement) -> bool:
    """Compare: allowed alike, and dead for the reason that `Reason` puts first.

    Of what else denies (unknown, narrowed, scope) any that holds may be told.
    """
    if verdict.allowed or answer.allowed:
        return verdict.allowed and answer.allowed
    told = verdict.reason.value
    return told == answer.reason or (
        answer.reason in UNTOLD_ORDER and told in answer.reasons
    )


def differs(world: World) -> bool:
    """Tell whether core and model differ over a world."""
    verdict = answer_of_core(Registry.build(world.facts), world.question)
    return not agree(decide(world.facts, world.question), verdict)


def in_any_order(seed: int, facts: tuple[Fact, ...]) -> list[Fact]:
    """Shuffle the facts and say some of them again."""
    random = Random(seed)
    repeated = [*facts, *random.choices(facts, k=len(facts) // 4)]
    random.shuffle(repeated)
    return repeated


def compare(seeds: Iterable[int]) -> Iterator[str]:
    """Judge the worlds of these seeds, and give the kinds of reasons that came up.

    Raises:
        AssertionError: core and model differ; the message is the shrunk world.
    """
    for seed in seeds:
        worlds = draw(seed, QUESTIONS)
        registry = Registry.build(in_any_order(seed, worlds[0].facts))
        for world in worlds:
            answer = decide(world.facts, world.question)
            verdict = answer_of_core(registry, world.question)
            assert agree(answer, verdict), report(seed, world)
            yield answer.reason


def report(seed: int, world: World) -> str:
    """Describe a difference by the smallest world that shows it."""
    small = shrink(world, differs) if differs(world) else world
    verdict = answer_of_core(Registry.build(small.facts), small.question)
    answer = decide(small.facts, small.question)
    return (
        f"world {seed}: the core says {verdict.reason.value}, "
        f"the model {sorted(answer.reasons) or 'lives'}\n{as_python(small)}"
    )


T: Final = 500 * SECOND


def said(kind: type[Fact], **content: Any) -> Fact:
    """Say something as the identity provider, at T."""
    return kind(**{"authority": "idp", "version": T, "received_at": T, **content})


# ----------------------------------------------------------------------- random worlds


@pytest.mark.no_cover
@pytest.mark.parametrize("part", some(range(PARTS), (0,), pytest.mark.long))
def test_core_agrees_with_the_model_written_from_the_design(part: int) -> None:
    """Thousands of small worlds are judged alike, and all kinds of reasons come up."""
    reasons = Counter(compare(range(part, QUICK, PARTS)))
    assert {*PRECEDENCE, "lives"} - {"lineage_too_large"} == set(reasons)
    assert min(reasons.values()) > 5
    assert reasons["lives"] > sum(reasons.values()) / 4


@pytest.mark.no_cover
def test_order_and_repetition_of_facts_change_nothing() -> None:
    """Five orders of a world's facts, some of them repeated, give one verdict."""
    for seed in range(QUICK, QUICK + 200):
        for world in draw(seed, questions=1):
            orders = [in_any_order(n, world.facts) for n in range(5)]
            verdicts = {
                answer_of_core(Registry.build(facts), world.question).reason
                for facts in orders
            }
            answers = {decide(facts, world.question) for facts in orders}
            assert len(verdicts) == len(answers) == 1, as_python(world)


@pytest.mark.campaign
def test_campaign() -> None:
    """RESCIND_WORLDS random worlds are judged alike."""
    first = int(os.environ.get("RESCIND_SEED") or Random().randrange(1 << 32))
    print(f"RESCIND_SEED={first} RESCIND_WORLDS={WORLDS}")  # noqa: T201
    judged: Counter[str] = Counter()
    seeds = count(first)
    while sum(judged.values()) < WORLDS:
        judged.update(compare(islice(seeds, 1000)))
    print(dict(judged))  # noqa: T201


# -------------------------------------------------------------------------- the limit


def chain(nodes: list[Identifier]) -> list[Fact]:
    """Let each node require the next."""
    return [said(Edge, child=c, parent=p) for c, p in pairwise(nodes)]


def owned(nodes: list[Identifier]) -> list[Fact]:
    """Let each node be owned by the next."""
    return [said(OwnerSet, node=n, owners=(o,)) for n, o in pairwise(nodes)]


def renamed(nodes: list[Identifier]) -> list[Fact]:
    """Let all nodes be one."""
    return [said(Alias, first=nodes[0], second=other) for other in nodes[1:]]


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("shape", [chain, owned, renamed])
def test_limit_of_a_lineage_is_the_same_in_each_shape(
    shape: Callable[[list[Identifier]], list[Fact]], more: int
) -> None:
    """4,096 nodes are judged, one more is denied; the model shows it at 12."""
    size, small = LIMIT + more, 12
    nodes = [Identifier("application.id", f"{n}") for n in range(size)]
    known = said(Node, node=nodes[0])
    question = Question((nodes[0],), now=T)
    verdict = answer_of_core(Registry.build([known, *shape(nodes)]), question)
    facts = [known, *shape(nodes[: small + more])]
    answer = decide(facts, question, limit=small)
    assert agree(answer, verdict)
    assert answer.reason == ("lineage_too_large" if more else "lives")
