"""The worker of containment: what it writes, once, whatever breaks in between."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from agents_registry.facts import Cause, Fact, fact_id
from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from streams.http.containment_metrics import ContainmentMetrics
from streams.model.findings import FindingKind
from streams.ports.findings_log import ListedFinding
from streams.ports.keyed_store import CONTAINMENT, KeyedStore
from streams.process.aside import here
from streams.services.containment import (
    CURSOR,
    PAGE,
    ContainmentWorker,
    NoTableError,
)
from streams.services.intake import Acceptance, NotWrittenError
from streams.stages.containment import containment
from streams.stages.containment.containment import Containment
from streams.stages.containment.decision import ContainmentDecision
from streams.stages.containment.rules import ContainmentMode, ContainmentRule
from streams.stages.ingest.ingress import Origin
from tests.unit.containing import HOUR, NOW, a_finding, a_rule

pytestmark = pytest.mark.unit

CURSOR_BODY = b"3"


class Kept(KeyedStore):
    """Keeps bodies in memory, and breaks where it is told to."""

    def __init__(self, engine: Engine) -> None:
        """Start empty."""
        super().__init__()
        self._engine = engine

    async def catch_up(self) -> None:
        """Wait for nothing."""

    async def put(
        self, kind: str, name: str, body: bytes | None, *, patient: bool = False
    ) -> None:
        """Keep a body."""
        assert not patient
        self._engine.write("put")
        self._hear(kind, name, body)


class Engine:
    """A log, a store and a list of findings; a write breaks when its turn comes."""

    def __init__(self) -> None:
        """Start with a log of three findings that nobody meant a rule for."""
        self.kept = Kept(self)
        self.facts_written: list[Fact] = []
        self.acts: list[str] = []
        self.signals: list[dict[str, Any]] = []
        self.listed: list[ListedFinding] = []
        self.table: Registry | None = Registry()
        self.breaks_at: int | None = None
        self.unfit = False
        self.writes = 0
        self.now = NOW

    def write(self, what: str) -> None:
        """Count a write, or break."""
        del what
        self.writes += 1
        if self.writes == self.breaks_at:
            raise NotWrittenError("full")

    async def facts(
        self, facts: Sequence[Fact], origin: Origin, *, actor: str, action: str
    ) -> Acceptance:
        """Write facts with an act."""
        assert {origin.authority} == {each.authority for each in facts} == {actor}
        if self.unfit:
            return Acceptance(0, len(facts), 0, "")
        self.write("facts")
        self.facts_written += facts
        self.acts.append(action)
        return Acceptance(len(facts), 0, 0, "")

    async def record_act(self, act: Any) -> None:
        """Write an act."""
        self.write("act")
        self.acts.append(act.action)

    async def records(self, batch: Any) -> None:
        """Write signals."""
        self.write("signals")
        self.signals += batch.signals

    async def page(self, after: int, limit: int) -> tuple[Sequence[ListedFinding], int]:
        """List findings."""
        return [each for each in self.listed if each.changed > after][:limit], 0

    async def current(self) -> Registry | None:
        """Give the table."""
        return self.table

    def own(self) -> Origin:
        """Give the origin of our own word; each look at the clock is later."""
        self.now += 1
        return Origin("rescind", "r", self.now, "rescind")

    def find(self, name: str, *, is_open: bool = True) -> None:
        """List a finding."""
        finding = a_finding(Identifier("jwt.jti", name))
        self.listed.append(ListedFinding(len(self.listed) + 1, is_open, finding))

    def worker(self, *rules: ContainmentRule) -> ContainmentWorker:
        """Start a process anew."""
        made: Any = self
        return ContainmentWorker(
            stage=Containment(rules or (a_rule(),)),
            findings=made, kept=self.kept, intake=made, tables=made, aside=here,
            own=self.own,
        )  # fmt: skip

    async def again(self, worker: ContainmentWorker) -> int:
        """Look once more; how many writes that took."""
        before = self.writes
        await worker.look()
        return self.writes - before

    async def begun(self, *rules: ContainmentRule) -> ContainmentWorker:
        """Give a worker that was there before the next finding."""
        worker = self.worker(*rules)
        await worker.load()
        await worker.look()
        return worker


async def test_what_was_found_before_the_rules_is_left_alone() -> None:
    """Nobody meant them for it; what comes later is contained, once."""
    engine = Engine()
    engine.find("old")
    worker = await engine.begun()
    engine.find("t1")
    engine.find("closed", is_open=False)
    assert not await worker.look()
    assert not await worker.look()

    (cause,) = engine.facts_written
    assert isinstance(cause, Cause)
    assert Identifier("jwt.jti", "t1") == cause.target
    assert [str(cause.target)] == [
        ":".join(each["presented"]) for each in engine.signals
    ]
    assert 1 == len(engine.acts)
    assert CURSOR_BODY == engine.kept.get(CONTAINMENT, CURSOR)
    assert {("leaked", "enforce", "contained"): 1} == worker.counts


@pytest.mark.parametrize("turn", range(1, 7))
async def test_a_crash_between_any_two_writes_repeats_the_same_fact(turn: int) -> None:
    """The decision is durable first, with its times; nothing of it is lost."""
    engine = Engine()
    await engine.begun()
    engine.find("t1")
    worker = engine.worker()
    await worker.load()
    engine.breaks_at = engine.writes + turn
    for _ in range(3):
        try:
            await worker.look()
        except NotWrittenError:
            engine.now += HOUR
            worker = engine.worker()  # another process
            await worker.load()

    assert 1 == len({fact_id(each) for each in engine.facts_written})
    assert engine.signals
    assert len(engine.acts) <= 2
    bodies = engine.kept.items(CONTAINMENT)
    assert all(
        ContainmentDecision.load(b).done for n, b in bodies.items() if n != CURSOR
    )


async def test_a_process_that_waits_goes_on_where_it_was() -> None:
    """Nothing that it decided is forgotten in memory either."""
    engine = Engine()
    worker = await engine.begun()
    engine.find("t1")
    engine.breaks_at = engine.writes + 2  # the fact itself
    with pytest.raises(NotWrittenError):
        await worker.look()
    assert [] == engine.facts_written
    await worker.look()
    assert 1 == len(engine.facts_written)


@pytest.mark.parametrize("mode", [ContainmentMode.SHADOW, ContainmentMode.WARN])
async def test_shadow_and_warn_write_an_audit_entry_and_no_fact(
    mode: ContainmentMode,
) -> None:
    """Warn also tells people."""
    engine = Engine()
    worker = await engine.begun(a_rule(mode=mode))
    engine.find("t1")
    await worker.look()

    assert [] == engine.facts_written
    assert 1 == len(engine.acts)
    assert (mode is ContainmentMode.WARN) is bool(engine.signals)


async def test_without_a_table_nothing_is_decided_and_nothing_passed_over() -> None:
    """It is decided once the table is there."""
    engine = Engine()
    worker = await engine.begun()
    engine.find("t1")
    engine.table = None
    with pytest.raises(NoTableError):
        await worker.look()
    assert [] == engine.acts
    engine.table = Registry()
    await worker.look()
    assert 1 == len(engine.facts_written)


async def test_a_long_list_is_read_in_pages_and_a_rate_holds_over_them() -> None:
    """Whoever has more of a page waiting says so."""
    engine = Engine()
    worker = await engine.begun(a_rule(per_hour=2))
    for number in range(PAGE + 1):
        engine.find(f"n{number}")
    assert await worker.look()
    assert not await worker.look()

    assert 2 == len(engine.facts_written)
    assert PAGE - 1 == worker.counts["leaked", "enforce", "over_rate"]


async def test_bodies_of_another_version_are_passed_over() -> None:
    """They are said, and the rest is taken up."""
    engine = Engine()
    await engine.begun()
    await engine.kept.put(CONTAINMENT, "leaked/x", b"{}")
    engine.find("t1")
    worker = engine.worker()
    await worker.load()
    await worker.look()
    assert 1 == len(engine.facts_written)


async def test_old_decisions_are_let_go() -> None:
    """Where something new is read."""
    engine = Engine()
    worker = await engine.begun()
    engine.find("t1")
    await worker.look()
    engine.now += 91 * 24 * HOUR
    engine.find("t2")
    await worker.look()
    assert {CURSOR, "leaked/f-t2"} == set(engine.kept.items(CONTAINMENT))


async def test_metrics_tell_decisions_and_the_age_of_the_last_look() -> None:
    """Where no rule is set, or nothing was looked at yet, there are no series."""
    engine = Engine()
    for worker in (None, engine.worker()):
        metrics = ContainmentMetrics(worker, lambda: engine.now + HOUR)
        _, behind = metrics.collect()
        assert [] == behind.samples
    metrics = ContainmentMetrics(await engine.begun(), lambda: engine.now + HOUR)
    _, behind = metrics.collect()
    assert 3600 <= behind.samples[0].value < 3601


async def test_a_fact_that_fits_no_schema_is_told_as_not_applied() -> None:
    """Nothing says that it is suspended."""
    engine = Engine()
    worker = await engine.begun()
    engine.unfit = True
    engine.find("t1")
    await worker.look()

    (signal,) = engine.signals
    assert FindingKind.REVOCATION_NOT_APPLIED.value == signal["kind"]
    assert "not contained" in signal["detail"]
    (act,) = engine.acts
    assert "not contained" in act
    assert 0 == (await engine.again(worker))


async def test_a_storm_is_settled_together_and_told_in_few_entries() -> None:
    """What contains is done first; each finding is named in the audit chain."""
    engine = Engine()
    worker = await engine.begun(a_rule(per_hour=2))
    for number in range(100):
        engine.find(f"n{number}")
    await worker.look()

    assert 2 == len(engine.facts_written)
    told = [act for act in engine.acts if "over_rate" in act]
    assert len(told) <= 10
    assert all(any(f"(f-n{number})" in act for act in told) for number in range(2, 100))
    assert "contained" in engine.acts[0]
    assert 100 == len(engine.signals)
    assert 0 == (await engine.again(worker))


@pytest.mark.parametrize("turn", range(1, 40, 3))
async def test_a_storm_that_breaks_somewhere_loses_nothing(turn: int) -> None:
    """The same process goes on, or another one."""
    for anew in (False, True):
        engine = Engine()
        worker = await engine.begun(a_rule(per_hour=5))
        for number in range(10):
            engine.find(f"n{number}")
        engine.breaks_at = engine.writes + turn
        with suppress(NotWrittenError):
            await worker.look()
        if anew:
            worker = engine.worker(a_rule(per_hour=5))
        await worker.load()
        await worker.look()
        bodies = engine.kept.items(CONTAINMENT)
        del bodies[CURSOR]
        assert 10 == len(bodies)
        assert all(ContainmentDecision.load(body).done for body in bodies.values())
        assert 5 == len({fact_id(each) for each in engine.facts_written})


async def test_of_many_decisions_that_did_nothing_the_oldest_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The store does not grow with a storm."""
    monkeypatch.setattr(containment, "MOST_NOTED", 5)
    monkeypatch.setattr(containment, "CROWDED", 8)
    engine = Engine()
    worker = await engine.begun(a_rule(per_hour=1))
    for number in range(20):
        engine.find(f"n{number}")
    await worker.look()

    kept = engine.kept.items(CONTAINMENT)
    left = {f"leaked/f-n{number}" for number in (0, *range(15, 20))}
    assert {CURSOR} | left == set(kept)
