"""A registry that lives through arrivals, asked at every moment."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)  # fmt: skip

from agents_registry.registry import Registry
from tests.property.agreement import EXAMPLES, SEED, answer, right_answers, wrong
from tests.property.worlds import EVERY_TOPIC, Maker, Question
from tests.standing import standing

seeds = st.integers(0, 2**32 - 1)


class Arrivals(RuleBasedStateMachine):
    """Facts arrive, some again; the realm is re-read when the registry asks."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = Registry()

    @initialize(start=seeds, topic=st.sampled_from(sorted(EVERY_TOPIC)))
    def begin(self, start: int, topic: str) -> None:
        """Take nodes and a topic."""
        self.maker = Maker(Random(start), topic)
        self.question = self.maker.question((self.maker.node(),))

    @rule(start=seeds)
    def a_fact_arrives(self, start: int) -> None:
        """Apply a new fact."""
        self.maker.random = Random(start)
        self.maker.facts.append(self.maker.fact())
        self.registry.apply(self.maker.facts[-1])

    @precondition(lambda self: self.maker.facts)
    @rule(start=seeds)
    def a_fact_arrives_again(self, start: int) -> None:
        """Apply an old fact once more."""
        self.registry.apply(Random(start).choice(self.maker.facts))

    @precondition(lambda self: self.registry.needs_rebuild)
    @rule()
    def the_realm_is_read_again(self) -> None:
        """Build the registry anew."""
        self.registry = Registry.build(self.maker.facts)

    @rule(start=seeds)
    def somebody_asks(self, start: int) -> None:
        """Change the question."""
        self.maker.random = Random(start)
        self.question = self.maker.question(self.maker.some(2))

    @invariant()
    def the_verdict_is_right(self) -> None:
        """Equal the model, or deny while a rebuild is due."""
        if hasattr(self, "maker"):
            self.check(self.question)

    def check(self, question: Question) -> None:
        """Compare one answer with the model's."""
        verdict = answer(self.registry, question)
        reasons = right_answers(standing(self.maker.facts), question)
        if self.registry.needs_rebuild:
            return
        assert not wrong(verdict, reasons), (
            f"RESCIND_SEED={SEED}: {verdict}, the model: {sorted(reasons) or 'lives'}"
        )


TestArrivals = pytest.mark.property(
    pytest.mark.timeout(0)(seed(SEED)(Arrivals.TestCase))
)
TestArrivals.settings = settings(
    database=None,
    deadline=None,
    max_examples=max(20, EXAMPLES // 50),
    stateful_step_count=25,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
