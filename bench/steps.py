"""The longest step of each stage, and all that it takes, on lineages that are hostile.

The stages are driven as the embedded engine drives them, without a store; a guard's
table as its feed and its checks in turns do. A step is
what no other work of the event loop can interrupt; times are CPU time of the thread,
without the collector of garbage.
"""

from __future__ import annotations

import gc
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, TypeVar

from agents_registry.facts import (
    Alias,
    Cause,
    Edge,
    Effect,
    Fact,
    Node,
    OwnerSet,
    Relation,
)
from agents_registry.identifiers import VOCABULARY, Identifier
from agents_registry.life import Reason
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.verdict import Policy, judging
from bench.report import Row
from streams.pipeline.access_partition import AccessPartition
from streams.pipeline.access_records import Accesses
from streams.pipeline.facts_partition import FactsPartition
from streams.stages.access.columns import AccessColumns
from streams.stages.access.uses import AccessEvent
from streams.stages.sentinel.tolerances import Tolerances

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.steps import Steps

Result = TypeVar("Result")

S: Final = 1_000_000_000
NOW: Final = 1_800_000_000 * S
LATER: Final = NOW + 500 * S
SAID: Final[dict[str, Any]] = {"authority": "a", "version": NOW, "received_at": NOW}
DIVISOR: Final = {"tiny": 100, "small": 10, "full": 1}
BATCH: Final = 200  # facts
ANY: Final = Policy(dict.fromkeys(VOCABULARY, "allow_and_report"))
TOO_LARGE: Final = Reason.LINEAGE_TOO_LARGE
LONGEST: Final = 0.02  # seconds, of one step

# What is told before the end, the end, and whose use is looked at.
World = tuple[list[Fact], Fact, Identifier]


def rows(scale: str) -> list[Row]:
    """Measure each lineage; a row for each stage that took time at all."""
    found = []
    _Run().play(*_chain(2))  # what is loaded at the first use is no step of a lineage
    for what, make, full in LINEAGES:
        size = full // DIVISOR[scale]
        run = _Run()
        gc.collect()
        gc.disable()
        try:
            run.play(*make(size))
        finally:
            gc.enable()
        found += run.rows(what.format(size))
    for what, make, full in OF_A_GUARD:
        size = full // DIVISOR[scale]
        table = _Table()
        gc.collect()
        gc.disable()
        try:
            table.play(*make(size))
        finally:
            gc.enable()
        found += table.rows(f"a guard, {what.format(size)}")
    return found


class _NothingKept:
    """What a start finds that is the first."""

    def episodes(self) -> list[tuple[str, bytes]]:
        return []

    def uses(self) -> dict[str, list[tuple[str, bytes]]]:
        return {}

    def used_scopes(self, realm: str) -> list[tuple[str, bytes]]:  # noqa: ARG002
        return []


class _Timed:
    """What the steps of each stage took."""

    def __init__(self) -> None:
        self.longest: dict[str, float] = defaultdict(float)
        self.total: dict[str, float] = defaultdict(float)

    def rows(self, what: str) -> list[Row]:
        """Give a row for each stage."""
        return [
            Row(
                f"{what}: {stage}, longest step",
                f"{self.longest[stage] * 1000:.1f} ms",
                total,
                target="<= 20 ms",
                met=self.longest[stage] <= LONGEST,
            )
            for stage, total in self.total.items()
        ]

    def steps(self, stage: str, steps: Steps[Result]) -> Result:
        """Time each step."""
        while True:
            before = time.thread_time()
            try:
                next(steps)
            except StopIteration as end:
                result: Result = end.value
                return result
            finally:
                self._note(stage, time.thread_time() - before)

    def timed(self, stage: str, function: Callable[..., object], *given: Any) -> None:
        """Time what is one step."""
        before = time.thread_time()
        function(*given)
        self._note(stage, time.thread_time() - before)

    def _note(self, stage: str, seconds: float) -> None:
        self.longest[stage] = max(self.longest[stage], seconds)
        self.total[stage] += seconds


class _Table(_Timed):
    """The table of a guard, and its checks in turns."""

    def play(self, before: list[Fact], end: Fact, used: Identifier) -> None:
        """Check what is used twice before the end and twice after it."""
        registry = Registry()
        for fact in before:
            self.timed("facts", registry.apply, fact)
        for allowed in (True, False):
            for stage in ("first check", "next check"):
                asked = Presented((used,))
                answering = judging(registry, asked, now=LATER, policy=ANY)
                judged = self.steps(stage, answering)
                assert judged.allowed is allowed or judged.reason is TOO_LARGE
            if allowed:
                self.timed("end", registry.apply, end)


class _Run(_Timed):
    """Stages over one lineage, and what their steps took."""

    def __init__(self) -> None:
        super().__init__()
        self._facts = FactsPartition(dict(VOCABULARY))
        self._realm = self._facts.realm("r")
        tolerances = Tolerances(S, S, 86_400 * S, 600 * S)
        self._access = AccessPartition(_NothingKept(), tolerances, self._facts.realm)
        self._posture = self._access.postures.of("r")

    def play(self, before: list[Fact], end: Fact, used: Identifier) -> None:
        """Tell the facts, then the end; a use comes before it and one after it."""
        self._follow(before)
        self._use(used, "before")
        self._follow([end])
        self._use(used, "after")

    def _follow(self, facts: list[Fact]) -> None:
        waiting = list(reversed(facts))
        now = LATER + S
        while waiting or self._facts.waiting or self._posture.waiting(now):
            if waiting and not self._facts.exclusive:
                for _ in range(min(BATCH, len(waiting))):
                    self.timed("facts", self._take, waiting.pop())
            if self._facts.waiting:
                self._slice(now)
            self.steps("posture", self._access.inspect("r", now))

    def _take(self, fact: Fact) -> None:
        self._facts.apply(self._realm, fact, self._facts.position)
        self._facts.position += 1

    def _slice(self, now: int) -> None:
        listed = self.steps("cascade", self._facts.slices())
        for realm, (found, _) in listed:
            self._realm.note_dead(found, self._facts.position)
            names = [each.identifier for each in found]
            self.steps("sentinel", self._access.reconsider(realm, names, now))
        self._facts.finish(listed)

    def _use(self, name: Identifier, event: str) -> None:
        use = AccessEvent((name,), "p", "allowed", LATER, event)
        block = Accesses("r", 0, AccessColumns.of([use]))
        self.steps("sentinel", self._access.judge([block], LATER + S))


def _names(kind: str, number: int) -> list[Identifier]:
    return [Identifier(kind, str(each)) for each in range(number)]


def _chain(number: int, kind: str = "vault.accessor") -> World:
    names, owner = _names(kind, number), Identifier("person.id", "owner")
    links = zip(names[1:], names, strict=False)
    facts = [_node(owner), _owned(names[0], owner), *map(_node, names)]
    return [*facts, *(_edge(child, of) for child, of in links)], _end(owner), names[-1]


def _agents(number: int) -> World:
    facts, end, last = _chain(number, "agent.id")
    return facts[::-1], end, last


def _aliases(number: int) -> World:
    first = Identifier("vault.accessor", "first")
    names = _names("vault.token_hmac", number)
    same = [Alias(first=first, second=name, **SAID) for name in names]
    return [_node(first), *same], _end(first), names[-1]


def _children(number: int) -> World:
    parent, names = Identifier("vault.accessor", "top"), _names("vault.lease", number)
    facts = [_node(parent), *(_edge(name, parent) for name in names)]
    return [*facts, *map(_node, names)], _end(parent), names[-1]


def _owns(number: int) -> World:
    owner, names = Identifier("person.id", "owner"), _names("agent.id", number)
    facts = [_node(owner), *(_owned(name, owner) for name in names)]
    return [*facts, *map(_node, names)], _end(owner), names[-1]


def _parents(number: int) -> World:
    child, names = Identifier("agent.id", "child"), _names("vault.accessor", number)
    facts = [_node(child), *map(_node, names), *(_edge(child, of) for of in names)]
    return facts, _end(names[0]), child


def _grid(number: int) -> World:
    child, above = Identifier("agent.id", "child"), _names("vault.accessor", number)
    names = _names("vault.lease", number)
    facts = [*map(_node, (child, *above, *names)), *(_edge(child, of) for of in names)]
    edges = [_edge(name, of) for name in names for of in above]
    return [*facts, *edges], _end(above[0]), child


def _node(name: Identifier) -> Node:
    return Node(node=name, issued_at=NOW, **SAID)


def _edge(child: Identifier, parent: Identifier) -> Edge:
    return Edge(child=child, parent=parent, relation=Relation.REQUIRES, **SAID)


def _owned(name: Identifier, owner: Identifier) -> OwnerSet:
    return OwnerSet(node=name, owners=(owner,), **SAID)


def _end(target: Identifier) -> Cause:
    return Cause(target=target, effect=Effect.REVOKE, at=NOW + S, **SAID)


LINEAGES: Final[tuple[tuple[str, Callable[[int], World], int], ...]] = (
    ("chain of {:,} under one owner", _chain, 1_000),
    ("chain of {:,} under one owner", _chain, 4_000),
    ("chain of {:,} agents told from its end", _agents, 5_000),
    ("{:,} names of one node", _aliases, 16_000),
    ("{:,} children of one node", _children, 1_000_000),
    ("owner of {:,} agents", _owns, 100_000),
    ("{:,} parents of one node", _parents, 100_000),
    ("{0:,} names below each of {0:,}", _grid, 300),
)
OF_A_GUARD: Final[tuple[tuple[str, Callable[[int], World], int], ...]] = (
    ("chain of {:,} under one owner", _chain, 4_000),
    ("{:,} names of one node", _aliases, 4_095),
    ("{:,} children of one node", _children, 1_000_000),
    ("owner of {:,} agents", _owns, 100_000),
    ("{:,} parents of one node", _parents, 100_000),
    ("{0:,} names below each of {0:,}", _grid, 300),
)
