"""What is kept of verdicts, held against the walk over everything, step by step.

A step is a fact that is merged or a question that is asked twice: of the table, which
keeps what it finds out, and of the rules alone. Clocks go forth and back, facts come
in any order and in the middle of an answer, tables are written down, taken up and
built anew, generations wrap, and what is undone at once is little.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING
from unittest.mock import patch

import attrs

from agents_registry import answers, clearance, clearing, kept, names, verdict
from agents_registry.clear import text_lives
from agents_registry.closure import closure_of
from agents_registry.presentation import Presented, claims_of
from agents_registry.registry import Registry
from agents_registry.steps import finish
from agents_registry.verdict import LIVES, Judgement, Policy, judge, judging
from enforcement import names as given
from enforcement.guard import Guard
from tests.property.agreement import LENIENT, again, arrival
from tests.property.worlds import STEP, TOPICS, Maker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agents_registry.facts import Fact
    from agents_registry.identifiers import Identifier
    from tests.property.worlds import Question, World

ASKED = (2, 4, 10)  # questions between two facts
UP = 1 << 40  # by the clock of the lease
MIXED: tuple[dict[str, float], ...] = (
    {},
    {},
    {"owner_set": 14, "renewal": 14, "edge": 16},
    {"withdraw": 6, "lift": 6},
    {"edge": 25, "node": 25, "scope_set": 8, "cause": 1, "owner_set": 1, "horizon": 0},
    {"edge": 25, "node": 25, "not_before": 5, "cause": 1, "owner_set": 1, "horizon": 0},
)


def by_the_rules(registry: Registry, question: Question) -> Judgement:
    """Judge without anything that was kept."""
    presented = presented_in(question)
    closure = closure_of(registry, None, claims_of(registry, presented))
    found = finish(verdict._closely(registry, closure, question.now, question.scope))
    if not found.allowed:
        return found
    names = presented.identifiers + presented.chain
    nodes = [registry.lineage.find(name) for name in names]
    return verdict._recognised(registry, presented, nodes, policy_of(question))


def presented_in(question: Question) -> Presented:
    """Presentation of a question."""
    return Presented(question.identifiers, question.issued_at, question.chain)


def policy_of(question: Question) -> Policy:
    """Policy that a question is judged by."""
    return Policy(LENIENT) if question.lenient else Policy()


class Asking:
    """A table that keeps what it finds out, asked all along."""

    def __init__(self, world: World, random: Random) -> None:
        self.random = random
        self.scopes = Random(0)  # of its own, so that the worlds stay as they are
        self.questions = world.questions
        self.facts: list[Fact] = []
        self.registry = Registry()
        self.steps = 0
        self.asked: dict[object, Presented] = {}
        self.last = random.choice(world.questions)
        self.guard = Guard(
            "http://localhost", "", name="g", clock=lambda: UP, wall_clock=lambda: 0
        )
        self.guard.standing.deadline = UP + 1
        self._wrap_soon()

    def _wrap_soon(self) -> None:
        self.registry.clearance.generation = clearance.GENERATION - 2

    def merge(self, fact: Fact) -> None:
        """Merge a fact."""
        self.steps += 1
        self.facts.append(fact)
        self.registry.apply(fact)

    def succeed(self) -> None:
        """Put another table of the same facts in the place of this one."""
        if self.registry.needs_rebuild:
            self.registry = Registry.build(self.facts)
        else:
            self.registry = again(self.registry)
        self._wrap_soon()

    def complaint(self) -> str | None:
        """Ask something; tell where the answer is not the rules'."""
        self.steps += 1
        if self.random.random() < 0.5:
            self.last = self.random.choice(self.questions)
        question = self.last
        if self.random.random() < 0.2:
            names, chain = question.identifiers, question.chain
            names, chain = (names + chain, ()) if chain else (names[:1], names[1:])
            question = attrs.evolve(question, identifiers=names, chain=chain)
        if self.random.random() < 0.5:
            now = self.random.randint(0, 9) * STEP + self.random.randint(-1, 1)
            question = attrs.evolve(question, now=now)
        if self.scopes.random() < 0.2:
            scope = self.scopes.choice(self.questions).scope
            question = attrs.evolve(question, scope=scope)
        as_text = self._lives_as_text(question)
        # The same object at each time and for each scope, as an application holds it.
        same = (question.identifiers, question.issued_at, question.chain)
        presented = self.asked.setdefault(same, presented_in(question))
        told = self._of_the_guard(question, presented)
        found = judge(
            self.registry,
            presented,
            now=question.now,
            scope=question.scope,
            policy=policy_of(question),
        )
        right = by_the_rules(self.registry, question)
        if found == right and (right == LIVES or not as_text) and told is None:
            return None
        said = f"{question}\nkept: {found}, as text: {as_text}\nright: {right}"
        return f"{said}\nof the guard: {told}\nafter {self.facts}"

    def _of_the_guard(self, question: Question, presented: Presented) -> str | None:
        """Ask a guard; tell where it does not say what the rules do."""
        guard, alone = self.guard, question.identifiers[0]
        guard.standing.replica.registry = self.registry
        guard.time._weighed, guard.time._weighed_at = question.now - 1, UP - 1
        asked: list[Presented | Identifier | str] = [presented]
        if presented == Presented((alone,)):
            asked += [alone, str(alone)]
        each = self.random.choice(asked)
        found = guard.check(each, scope=question.scope)
        right = by_the_rules(self.registry, attrs.evolve(question, lenient=False))
        said = (found.allowed, found.reason, found.path, found.cause)
        if said == (right.allowed, right.reason, right.path, right.cause):
            return None
        return f"{found} to {each!r}"

    def _lives_as_text(self, question: Question) -> bool:
        """Whether one name alone is known to live; what else is presented is not."""
        claims = question.chain or question.issued_at is not None
        if claims or len(question.identifiers) != 1:
            return False
        text = str(question.identifiers[0])
        return text_lives(self.registry, text, question.now, question.scope)

    def interrupt(self, facts: Sequence[Fact]) -> None:
        """Merge facts while a question is being answered."""
        question = self.random.choice(self.questions)
        answering = judging(
            self.registry,
            presented_in(question),
            now=question.now,
            scope=question.scope,
            policy=policy_of(question),
        )
        at = self.random.randint(0, 12)
        for number, _ in enumerate(answering):
            if number == at:
                for fact in facts:
                    self.merge(fact)
                return self._run_out(answering)
        for fact in facts:
            self.merge(fact)
        return None

    @staticmethod
    def _run_out(answering: Iterator[None]) -> None:
        with suppress(LookupError, RuntimeError, ValueError):  # as `undisturbed` does
            for _ in answering:
                pass


def walked(world: World, seed: int) -> tuple[int, str | None]:
    """Go through a world; give the steps that were taken, and a complaint."""
    random = Random(seed)
    with (
        patch.object(clearance, "UNDONE_AT_ONCE", random.choice((0, 3, 9, 4096))),
        patch.object(clearance, "LOOKS_OF_A_FACT", random.choice((1, 4096))),
        patch.object(clearance, "PORTION", random.choice((1, 4096))),
        patch.object(clearance, "MOST_SETS", random.choice((0, 1, 1 << 16))),
        patch.object(names, "MOST_TEXTS", random.choice((1, 4096))),
        patch.object(answers, "MOST_BYTES", random.choice((2000, 1 << 22))),
        patch.object(kept, "LEAST_SEALS", random.choice((2, 1 << 15))),
        patch.object(kept, "LOOKED_AT", 1 + seed % 2),
        patch.object(kept, "MOST_REFUSED", random.choice((2, 1 << 20))),
        patch.object(given, "PREPARED", random.choice((2, 4096))),
        patch.object(given, "PATIENCE", random.choice((2, 32))),
        patch.object(clearing, "STEP", 0),
        patch.object(clearing, "FEW_SCOPES", seed % 2 * clearing.FEW_SCOPES),
    ):
        asking = Asking(world, random)
        waiting = arrival(world.facts, random)
        while waiting:
            some = [
                waiting.pop()
                for _ in range(min(len(waiting), random.choice((1, 1, 2))))
            ]
            if random.random() < 0.3:
                asking.interrupt(some)
            else:
                for fact in some:
                    asking.merge(fact)
            for _ in range(random.choice(ASKED)):
                if (found := asking.complaint()) is not None:
                    return asking.steps, found
            if random.random() < 0.05:
                asking.succeed()
        return asking.steps, None


def campaign(seed: int, steps: int, *topics: str) -> tuple[int, str | None]:
    """Go through worlds of some topics, or of every one, until so many steps."""
    random, taken, topics = Random(seed), 0, topics or tuple(TOPICS)
    while taken < steps:
        topic, number = random.choice(topics), random.randrange(1 << 48)
        maker = Maker(Random(number), topic)
        maker.weights |= random.choice(MIXED)
        some, found = walked(maker.world(), number)
        taken += some
        if found is not None:
            return taken, f"{topic}, world {number}: {found}"
    return taken, None


if __name__ == "__main__":  # of `tests.planted.test_planted_clearance`
    steps_taken, complaint = campaign(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
    core = clearance.__file__
    print(json.dumps({"core": core, "steps": steps_taken, "complaint": complaint}))  # noqa: T201
