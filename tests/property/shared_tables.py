"""A table in a file, held against the rules while facts are written into it.

A step is a fact that is merged and written, or a question. What a reader finds must be
what the rules say of all facts so far; while facts are written, what they say of those
up to one of them, or nothing.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import attrs

from agents_registry import clearance, clearing
from agents_registry.registry import Registry
from enforcement.shared import finding, host, judging, writing
from enforcement.shared.agent import LookAhead
from enforcement.shared.guard import SharedGuard
from enforcement.shared.judging import judged_by
from enforcement.shared.layout import CLOCK, DEADLINE, STATE
from enforcement.shared.publishing import SharedReplica
from enforcement.shared.viewing import MappedTable
from enforcement.shared.writing import TableWriter
from tests.property.agreement import arrival
from tests.property.clearings import MIXED, by_the_rules, policy_of, presented_in
from tests.property.worlds import STEP, TOPICS, Maker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agents_registry.facts import Fact
    from agents_registry.presentation import Presented
    from agents_registry.verdict import Judgement
    from tests.property.worlds import Question, World

ASKED = 3  # questions between two facts
LOOKS = 50  # amid writes at least: of a few all may be torn
# Scopes are declared at several levels, and little else denies.
LAYERED: dict[str, float] = {
    "edge": 25, "node": 25, "scope_set": 30, "cause": 0, "not_before": 0,
    "owner_set": 0, "renewal": 0, "alias": 0, "withdraw": 0, "horizon": 0,
}  # fmt: skip
WEIGHTS = {"scopes": (*MIXED, *[LAYERED] * len(MIXED))}
SAID = {
    **host.described(),
    "genesis": "g",
    "partition": 0,
    "mode": "fail_closed",
    "lease": 1 << 62,
}


class Hooked:
    """A column around whose reads and writes something is done."""

    def __init__(self, column: Any, hook: Callable[[], None]) -> None:
        self._column, self._hook = column, hook

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, at: Any) -> Any:
        self._hook()
        return self._column[at]

    def __setitem__(self, at: Any, value: Any) -> None:
        self._hook()
        self._column[at] = value
        self._hook()


class Beside:
    """Work in a thread that goes on as far as it is let."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._go, self._stands = threading.Semaphore(0), threading.Semaphore(0)
        self._over = False
        self._work = work
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self._go.acquire()
        try:
            self._work()
        finally:
            self._over = True
            self._stands.release()

    def stand(self) -> None:
        """Wait until it is let go on; the work calls it."""
        if threading.current_thread() is self._thread:
            self._stands.release()
            self._go.acquire()

    def advance(self) -> None:
        """Let it go on to where it stands next."""
        if not self._over:
            self._go.release()
            self._stands.acquire()

    def finish(self) -> None:
        """Let it go on to its end."""
        while not self._over:
            self.advance()
        self._thread.join()


class Sharing:
    """A table that is written while it is asked."""

    def __init__(self, world: World, random: Random, folder: Path) -> None:
        self.random = random
        self.questions = world.questions
        self.folder = folder
        self.facts: list[Fact] = []
        self.replica = SharedReplica()
        self.shadow = Registry()
        self.files = 0
        self.steps = 0
        self.looks = 0
        self.torn = 0
        self.complaint: str | None = None
        self.share()

    @property
    def registry(self) -> Registry:
        """Table that the agent has."""
        return self.replica.registry

    def share(self) -> None:
        """Write the table to a new file; a part of it later than facts that come."""
        self.files += 1
        path = self.folder / f"table.{self.files}"
        self.writer = TableWriter(self.registry, path, SAID)
        self.replica.writers = (self.writer,)
        self._building = self.writer.building()
        for _ in range(self.random.choice((0, 1, 100))):
            if next(self._building, self) is self:
                break

    def written(self) -> None:
        """Have all of the table written, and begin to read it."""
        for _ in self._building:
            pass
        self.writer.enforce()
        words = self.writer.file.words
        words[STATE], words[DEADLINE], words[CLOCK] = 7, 1 << 62, 0
        self.ahead = LookAhead(self)  # type: ignore[arg-type]
        self.table = MappedTable(self.writer.path)
        self.now = 0
        self.guard = SharedGuard(self.writer.path, clock=lambda: self.now)

    def merge(self, fact: Fact) -> None:
        """Merge a fact, and write it."""
        self.shadow.apply(fact)
        self._merge(fact)

    def _merge(self, fact: Fact) -> None:
        self.steps += 1
        self.facts.append(fact)
        self.replica._apply(fact, 0)

    def merge_beside(self, facts: list[Fact]) -> None:
        """Merge facts while questions are answered, entry by entry."""
        question = self.random.choice(self.questions)
        right = [by_the_rules(self.shadow, question)]
        for fact in facts:
            self.shadow.apply(fact)
            right.append(by_the_rules(self.shadow, question))
        writing = Beside(partial(self._merge_all, facts))
        with self._hooked(writing):
            for _ in range(self.random.randint(0, 12)):
                writing.advance()
            for _ in range(self.random.randint(1, 3)):
                found = self.asked(question)
                self.looks += 1
                self.torn += found is None
                if found is not None and found not in right:
                    self.complaint = f"{question}\ntorn: {found}\n{right}\n{facts}"
                self.hold_others(question, right, torn=True)
            writing.finish()
        assert not self.replica.failed

    def _merge_all(self, facts: list[Fact]) -> None:
        for fact in facts:
            self._merge(fact)

    @contextmanager
    def _hooked(self, writing: Beside) -> Iterator[None]:
        """Stop the writer at each entry, and let it go on while others are read."""
        file, known, lineage = (
            self.writer.file,
            self.registry.clearance,
            self.table.lineage,
        )
        often = self.random.choice((0.02, 0.2, 0.5))

        def advance() -> None:
            while self.random.random() < often:
                writing.advance()

        def hooked(column: Any) -> Any:
            return Hooked(column, writing.stand)

        plain = file.words, file.columns, file.buckets, known.values
        read = {
            n: getattr(lineage, n) for n in ("flags", "parent", "expires", "issued")
        }
        file.words, file.buckets = hooked(file.words), hooked(file.buckets)
        file.columns = {name: hooked(column) for name, column in file.columns.items()}
        known.values = hooked(known.values)
        for name, column in read.items():
            setattr(lineage, name, Hooked(column, advance))
        with patch.object(judging, "TRIES", 2):
            yield
        file.words, file.columns, file.buckets, known.values = plain
        for name, column in read.items():
            setattr(lineage, name, column)

    def asked(self, question: Question) -> Judgement | None:
        """Ask the file."""
        return judged_by(
            self.table,
            presented_in(question),
            question.now,
            question.scope,
            policy_of(question),
        )

    def ask(self) -> None:
        """Ask something; note where the answer is not the rules'."""
        self.steps += 1
        question = self.random.choice(self.questions)
        if self.random.random() < 0.5:
            now = self.random.randint(0, 9) * STEP + self.random.randint(-1, 1)
            question = attrs.evolve(question, now=now)
        found, right = self.asked(question), by_the_rules(self.registry, question)
        if found != right:
            self.complaint = f"{question}\nfile: {found}\nright: {right}\n{self.facts}"
        self._check(question)
        self.hold_others(question, [right], torn=False)

    def hold_others(
        self, question: Question, right: list[Judgement], *, torn: bool
    ) -> None:
        """Hold readers in other languages against the rules; there is none here.

        Args:
            question: what they are asked.
            right: each of these is.
            torn: no verdict is right, too.
        """

    def _check(self, question: Question) -> None:
        """Ask the guard, by text and by what a question presents."""
        plain = attrs.evolve(
            question,
            identifiers=question.identifiers[:1],
            issued_at=None,
            chain=(),
            scope=None,
            lenient=False,
        )
        self._hold(plain, str(plain.identifiers[0]))
        strict = attrs.evolve(question, lenient=False)
        self._hold(strict, presented_in(strict))

    def _hold(self, question: Question, presented: str | Presented) -> None:
        """Ask twice: the second time the numbers of names are known."""
        right = by_the_rules(self.registry, question)
        self.now = question.now
        for _ in range(2):
            verdict = self.guard.check(presented, scope=question.scope)
            told = (verdict.allowed, verdict.reason, verdict.path, verdict.cause)
            if told != (right.allowed, right.reason, right.path, right.cause):
                self.complaint = f"{question}\nguard: {verdict}\nright: {right}"

    def look_ahead(self) -> None:
        """Let the agent find out a part of what is clear."""
        now = self.random.randint(0, 9) * STEP
        steps = self.ahead.looking(now)
        for _ in range(self.random.choice((1, 3, 1000))):
            if next(steps, self) is self:
                break


def walked(
    world: World, seed: int, folder: Path, sharing_of: Callable[..., Sharing] = Sharing
) -> Sharing:
    """Go through a world."""
    random = Random(seed)
    with (
        patch.object(clearance, "UNDONE_AT_ONCE", random.choice((0, 3, 9, 4096))),
        patch.object(clearance, "LOOKS_OF_A_FACT", random.choice((1, 4096))),
        patch.object(clearing, "STEP", 0),
        patch.object(writing, "SPARE_NAMES", 4096),
        patch.object(writing, "MOST_AGAIN", (0, 1, 3, 8)[seed % 4]),
        patch.object(writing, "CHUNK", random.choice((1, 3))),
        patch.object(finding, "MOST_KNOWN", random.choice((1, 8192))),
        patch.object(finding, "ONE_OF", random.choice((1, 2, 8))),
    ):
        waiting = arrival(world.facts, random)
        sharing = sharing_of(world, random, folder)
        for _ in range(random.randint(0, len(waiting))):
            sharing.merge(waiting.pop())
        sharing.written()
        while waiting and sharing.complaint is None:
            if sharing.registry.needs_rebuild and random.random() < 0.5:
                sharing.replica.registry = Registry.build(sharing.facts)
                sharing.shadow = Registry.build(sharing.facts)
                sharing.share()
                sharing.written()
            if random.random() < 0.5:
                sharing.look_ahead()
            if random.random() < 0.3:
                some = range(min(len(waiting), random.randint(1, 4)))
                sharing.merge_beside([waiting.pop() for _ in some])
            else:
                sharing.merge(waiting.pop())
            for _ in range(ASKED):
                sharing.ask()
        return sharing


def campaign(
    seed: int,
    steps: int,
    *topics: str,
    sharing_of: Callable[..., Sharing] = Sharing,
) -> tuple[int, float, str | None]:
    """Go through worlds until so many steps, and enough looks to say how many are torn.

    Returns:
        The steps, the part of looks amid writes that gave no verdict, a complaint.
    """
    random, taken, topics = Random(seed), 0, topics or tuple(TOPICS)
    looks = torn = 0
    while taken < steps or looks < LOOKS:
        topic, number = random.choice(topics), random.randrange(1 << 48)
        maker = Maker(Random(number), topic)
        maker.weights |= random.choice(WEIGHTS.get(topic, MIXED))
        with tempfile.TemporaryDirectory() as folder:
            sharing = walked(maker.world(), number, Path(folder), sharing_of)
        taken, looks = taken + sharing.steps, looks + sharing.looks
        torn += sharing.torn
        if sharing.complaint is not None:
            found = f"{topic}, world {number}: {sharing.complaint}"
            return taken, torn / max(1, looks), found
    return taken, torn / looks, None


if __name__ == "__main__":  # of `tests.planted.test_planted_shared_table`
    steps_taken, _, complaint = campaign(
        int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]
    )
    core = judging.__file__
    print(json.dumps({"core": core, "steps": steps_taken, "complaint": complaint}))  # noqa: T201
