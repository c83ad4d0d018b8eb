"""Contains what findings name, by the rules of the settings, on either engine.

One process of a realm does it at a time. It reads the list of findings from where it
was. The decision itself is made where the table belongs, never in the loop that
accepts or that serves leases.

A decision is durable before anything is done; in a storm of findings many become so
together, and those of one kind that contain nothing share an audit entry. So a process
that takes over after a crash does what was decided with the times that were decided: it
writes the same fact under the same id, and a repeated audit entry at worst. A finding
on which a rule has decided is not looked at again by that rule.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from itertools import starmap
from typing import TYPE_CHECKING, Final

import attrs
import structlog
from attrs import define, field

from agents_registry.facts import HOUR
from enforcement.turns import undisturbed
from schemas.entries import Act
from streams.ports.findings_log import BehindError
from streams.ports.keyed_store import CONTAINMENT as KIND
from streams.process.aside import collected, walked
from streams.services.intake import NotWrittenError, not_applied, tell
from streams.stages.containment.decision import ContainmentDecision, action_of
from streams.stages.ingest.entitlement import CONTAINMENT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from streams.model.findings import Finding
    from streams.ports.findings_log import FindingsLog, ListedFinding
    from streams.ports.keyed_store import KeyedStore
    from streams.process.aside import Aside
    from streams.services.blast_limit import ReachTables
    from streams.services.ingest import Intake
    from streams.stages.containment.containment import Containment
    from streams.stages.ingest.ingress import Origin

LOOK_SECONDS: Final = 0.5
FORGET_EVERY: Final = HOUR
PAGE: Final = 500  # findings
TOGETHER: Final = 64  # decisions that are written together
OF_A_LINE: Final = 16  # decisions that one audit entry tells of
UNWRITTEN: Final = "not contained: it does not fit the log's schema"
CURSOR: Final = "cursor"  # no decision has this name: theirs have a slash

log = structlog.get_logger()


class NoTableError(Exception):
    """The table is not there now; nothing is contained without it."""


@define(eq=False, kw_only=True)
class ContainmentWorker:
    """Reads findings, has the rules decide, and does what they decided.

    Attributes:
        stage: the rules.
        findings: of the realm.
        kept: keeps the decisions, and where it was.
        intake: writes facts, audit entries and signals.
        tables: the table that reach is counted in.
        aside: runs the decision in the event loop of the table.
        own: gives the origin of what we say ourselves, now.
        counts: decisions by rule, mode and result.
        looked: when it last had looked at all there was (ns); None: never.
    """

    _stage: Containment
    _findings: FindingsLog
    _kept: KeyedStore
    _intake: Intake
    _tables: ReachTables
    _aside: Aside
    _own: Callable[[], Origin]
    counts: Counter[tuple[str, str, str]] = field(factory=Counter, init=False)
    looked: int | None = field(default=None, init=False)
    _after: int | None = field(default=None, init=False)
    _unkept: dict[str, ContainmentDecision] = field(factory=dict, init=False)
    _undone: dict[str, ContainmentDecision] = field(factory=dict, init=False)
    _forgot: int = field(default=0, init=False)

    async def run(self) -> None:
        """Contain until cancelled."""
        loaded = False
        try:
            while True:
                try:
                    if not loaded:
                        await self.load()
                        loaded = True
                    more = await self.look()
                except (NotWrittenError, BehindError, NoTableError) as error:
                    log.warning("containment_waits", error=str(error))
                    more = False
                if not more:
                    await asyncio.sleep(LOOK_SECONDS)
        finally:
            self.looked = None  # another process may have the work from now on

    async def load(self) -> None:
        """Take up what was decided before.

        Raises:
            NotWrittenError: that cannot be told now.
        """
        await self._kept.catch_up()
        self._undone.clear()  # another process may have done them meanwhile
        bodies = self._kept.items(KIND)
        for name in self._unkept.keys() & bodies.keys():
            del self._unkept[name]
        await walked(starmap(self._take_up, bodies.items()))

    def _take_up(self, name: str, body: bytes) -> None:
        if name == CURSOR:
            self._after = int(body)
            return
        try:
            decision = ContainmentDecision.load(body)
        except ValueError as error:  # of another version
            log.warning("decision_not_read", name=name, error=str(error))
            return
        self._stage.take(decision)
        if not decision.done:
            self._undone[decision.key] = decision

    async def look(self) -> bool:
        """Do what is decided, and decide on the next findings.

        Returns:
            Whether there may be more.

        Raises:
            NotWrittenError: something could not be written; it is tried again.
            BehindError, NoTableError: findings or table are not there now.
        """
        await self._write()
        if self._after is None:
            await self._begin()
        rows, _ = await self._findings.page(self._after or 0, PAGE)
        for each in rows:
            if each.open and self._stage.wanted(each.finding):
                await self._settle(each.finding)
            if len(self._unkept) >= TOGETHER:
                await self._write()
        await self._write()
        await self._move(rows)
        if len(rows) < PAGE:
            self.looked = self._own().received_at
        return len(rows) == PAGE

    async def _begin(self) -> None:
        """Start behind the findings that are there: nobody meant the rules for them."""
        after = 0
        while True:
            rows, _ = await self._findings.page(after, PAGE)
            if not rows:
                break
            after = rows[-1].changed
        await self._kept.put(KIND, CURSOR, str(after).encode())
        self._after = after

    async def _settle(self, finding: Finding) -> None:
        """Decide on a finding; what is decided stands here, and is not durable yet."""
        for decision in await self._decide(finding):
            self._stage.take(decision)
            self.counts[decision.rule, decision.mode.value, decision.result.value] += 1
            self._unkept[decision.key] = decision

    async def _decide(self, finding: Finding) -> list[ContainmentDecision]:
        now = self._own().received_at

        async def decided() -> list[ContainmentDecision]:
            table = await self._tables.current()
            if table is None:
                raise NoTableError("the table is not there yet, or is behind")
            stage = self._stage
            return await undisturbed(table, lambda: stage.decide(finding, table, now))

        return await self._aside(decided)

    async def _write(self) -> None:
        """Keep what is decided, and do it then: what contains first."""
        await all_of(map(self._keep, list(self._unkept.values())))
        undone = sorted(self._undone.values(), key=lambda each: not each.contains)
        for some in portions(undone, TOGETHER):
            await all_of(self._do([each]) for each in some if each.contains)
            await all_of(map(self._do, _alike(some)))

    async def _keep(self, decision: ContainmentDecision) -> None:
        await self._kept.put(KIND, decision.key, decision.dump())
        self._undone[decision.key] = decision
        del self._unkept[decision.key]

    async def _do(self, decisions: Sequence[ContainmentDecision]) -> None:
        """Do what is decided, and note that."""
        await self._carry_out(decisions)
        await all_of(map(self._note_done, decisions))

    async def _note_done(self, decision: ContainmentDecision) -> None:
        done = attrs.evolve(decision, done=True)
        await self._kept.put(KIND, done.key, done.dump())
        self._stage.take(done)
        del self._undone[done.key]

    async def _carry_out(self, decisions: Sequence[ContainmentDecision]) -> None:
        """Write what decisions ask for; a repeat writes the same fact.

        Args:
            decisions: one, or several that are alike and contain nothing.
        """
        own, decision = self._own(), decisions[0]
        cause = decision.cause(own)
        if cause is None:
            act = Act(
                realm=own.realm,
                at=own.received_at,
                actor=CONTAINMENT,
                action=action_of(decisions),
            )
            await self._intake.record_act(act)
        else:
            origin = attrs.evolve(own, authority=CONTAINMENT, received_at=decision.at)
            written = await self._intake.facts(
                [cause], origin, actor=CONTAINMENT, action=decision.action()
            )
            if written.dead_letters:
                await self._refused(decision, own)
                return
            log.info("contained", rule=decision.rule, finding=decision.finding)
        signals = [each.signal() for each in decisions]
        await tell(self._intake, [each for each in signals if each is not None], own)

    async def _refused(self, decision: ContainmentDecision, own: Origin) -> None:
        """Say that nothing was contained: the fact is none."""
        detail = f"{UNWRITTEN}: containment rule {decision.rule}"
        act = Act(realm=own.realm, at=own.received_at, actor=CONTAINMENT, action=detail)
        await self._intake.record_act(act)
        target = [] if decision.target is None else [*decision.target]
        await tell(self._intake, [not_applied(target, own.received_at, detail)], own)

    async def _move(self, rows: Sequence[ListedFinding]) -> None:
        """Note how far the findings are read, and let old decisions go."""
        if not rows:
            return
        now = self._own().received_at
        if now - self._forgot >= FORGET_EVERY or self._stage.is_crowded:
            await self._forget(now)
        await self._kept.put(KIND, CURSOR, str(rows[-1].changed).encode())
        self._after = rows[-1].changed

    async def _forget(self, now: int) -> None:
        """Let go of old decisions, in slices: there may be many."""
        names = [name for name in await collected(self._stage.old(now)) if name]
        for name in names:
            await self._kept.forget(KIND, name)
        self._stage.forget(names, now)
        self._forgot = now


async def all_of(writes: Iterable[Awaitable[None]]) -> None:
    """Wait for writes that go together; the first error after all of them ended."""
    for failed in await asyncio.gather(*writes, return_exceptions=True):
        if failed is not None:
            raise failed


def portions(
    decisions: Sequence[ContainmentDecision], size: int
) -> Iterator[Sequence[ContainmentDecision]]:
    """Yield decisions in parts of a size."""
    for start in range(0, len(decisions), size):
        yield decisions[start : start + size]


def _alike(
    decisions: Iterable[ContainmentDecision],
) -> Iterator[Sequence[ContainmentDecision]]:
    """Yield those that contain nothing, in parts that one audit entry tells of."""
    found = defaultdict(list)
    for each in decisions:
        if not each.contains:
            found[each.rule, each.mode, each.result, each.kind].append(each)
    for some in found.values():
        yield from portions(some, OF_A_LINE)
