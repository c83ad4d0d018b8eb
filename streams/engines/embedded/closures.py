"""Closure over the log of a store: what became of each cause is kept in the file.

It is written a little later, and so is how far the log was read; a crash repeats what
lies between.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import structlog

from agents_registry.facts import Effect
from streams.engines.embedded.guard_registry import GuardRegistry
from streams.model.times import SECOND
from streams.pipeline.closure import ClosureTally, RealmCauses, judge
from streams.stages.closure import results as rows
from streams.stages.closure.closure import CauseOutcome, Closure, ProofState
from streams.stages.closure.guard_names import GuardNames
from streams.stages.closure.results import Result, Revocation
from streams.stages.sentinel.points import EnforcementPoints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streams.engines.embedded.guard_registry import GuardRows
    from streams.engines.embedded.log_rows import Written
    from streams.engines.embedded.store import Commit, Store
    from streams.engines.embedded.transaction import Transaction

SAVE: Final = 0.1  # seconds for which outcomes are gathered into one transaction
WITNESSED: Final = 5  # seconds for which what guards reported is gathered
LOADED: Final = 5000
SLICE: Final = 500  # facts read in one go
RECENT: Final = 1000

log = structlog.get_logger()


class Closures:
    """The causes that guards have yet to enforce, and how it went with the others.

    Attributes:
        causes: of the realm.
        closure: the stage.
        tally: of causes, and of receipts.
        roll: the guards.
        recent: the last revocations, to probe guards with.
    """

    def __init__(
        self,
        store: Store,
        deadline: float,
        clock: Callable[[], int],
        boottime: Callable[[], int],
        points: EnforcementPoints | None = None,
        names: GuardNames | None = None,
    ) -> None:
        """Start empty; `load` brings the state back.

        Args:
            store: holds the log; closure listens to its commits.
            deadline: seconds after which a cause that is not closed is a finding.
            clock: gives the time (ns).
            boottime: gives ns of a clock that nobody sets.
            points: told what guards report.
            names: which credential has which guard's name.
        """
        names = GuardNames() if names is None else names
        points = EnforcementPoints() if points is None else points
        self.closure = Closure(round(deadline * SECOND), names.longest_lease)
        self.tally = ClosureTally()
        self.causes = RealmCauses(self.closure, deadline, points.placed, self.tally)
        self.recent: deque[Revocation] = deque(maxlen=RECENT)
        self._store = store
        self._clock = clock
        self._boottime = boottime
        self._signals: list[dict[str, Any]] = []
        self._refusals = rows.GuardRefusals()
        self._unread: deque[Written] = deque()
        self._end = self._read = self._saved = store.end
        self._saving = asyncio.Lock()
        self._news = asyncio.Event()
        clocks = clock, boottime
        self.roll = GuardRegistry(
            store, self.closure, self._news.set, clocks, points, names
        )
        self._witnessed = 0

    async def load(self) -> None:
        """Bring guards and open causes back; call it before anything is written."""
        await self.roll.load()
        query = "SELECT position FROM positions WHERE stage = 'closure'"
        ((position,),) = await self._store.read(query)
        self._saved = position
        query = f"SELECT body FROM closures ORDER BY offset DESC LIMIT {RECENT}"  # noqa: S608
        known = [rows.result_of(body) for (body,) in await self._store.read(query)]
        closed = (
            e.cause for e in reversed(known) if e.outcome.state is ProofState.CLOSED
        )
        self.recent += (e for e in closed if e.effect == Effect.REVOKE.value)
        query = (
            "SELECT body FROM closures WHERE state IN ('pending', 'partial')"
            " AND offset > ? ORDER BY offset LIMIT 5000"
        )
        last = -1
        while found := await self._store.read(query, last):
            results = [rows.result_of(body) for (body,) in found]
            for each in results:
                late = each.outcome.state is ProofState.PARTIAL
                self._follow([each.cause], late=late)
            last = results[-1].cause.offset
        while position < self._store.end:
            facts = await self._store.facts(position, LOADED)
            self._follow(rows.revocations(facts))
            position = facts[-1].offset + 1
        self._end = self._read = position
        self._store.listeners.append(self._on_commit)

    def _on_commit(self, commit: Commit) -> None:
        self._unread.extend(commit.facts)
        self._end = commit.end
        if len(commit.facts) <= SLICE:
            self._read_slice()
        self._news.set()

    def _read_slice(self) -> None:
        """Read the next facts of the commits that came in; no pong waits for many."""
        count = min(SLICE, len(self._unread))
        self._follow(rows.revocations(self._unread.popleft() for _ in range(count)))
        self._read = self._unread[0].offset if self._unread else self._end

    def _follow(self, causes: Iterable[Revocation], *, late: bool = False) -> None:
        """Read causes, and only then ask for the end of the receipts."""
        found = list(causes)
        if not found:
            return
        self.recent += (each for each in found if each.effect == Effect.REVOKE.value)
        self.causes.follow(found, self._boottime(), late=late)
        # Receipts are applied as they come in, so all below their end are.
        self.closure.ask(self.closure.receipts)
        self._news.set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._save_forever())
            await judge(self._news, self._step_all)

    async def _step_all(self) -> list[Closure]:
        while True:
            self._read_slice()
            self._step()
            if not self._unread:
                return [self.closure]
            await asyncio.sleep(0)

    def _step(self) -> None:
        boottime, now = self._boottime(), self._clock()
        for guard in self.roll.expire():
            log.info("guard_left", guard=guard)
        changes = self.causes.step(boottime, now)
        self._signals += (signal for _, signal in changes if signal is not None)
        self._signals += self._refusals.take(now, self.roll.names.holder)

    async def _save_forever(self) -> None:
        while True:
            await asyncio.sleep(SAVE)
            changed = self.causes.results or self._signals or self.roll.unsaved
            if changed or self._is_due or self._read - self._saved > LOADED:
                async with self._saving:
                    await self._save()

    async def save(self) -> None:
        """Bring to disk what is known by now, for those who count there."""
        await self._read_all()
        async with self._saving:
            if self.causes.results or self._read > self._saved:
                await self._save()

    @property
    def _is_due(self) -> bool:
        """Whether it is time to save what guards reported."""
        since = self._boottime() - self._witnessed
        return self.roll.points.unsaved and since >= WITNESSED * SECOND

    async def _save(self) -> None:
        """Write what changed, and what is still open of what was read."""
        results, position = dict(self.causes.results), self._read
        new = itertools.takewhile(
            lambda offset: offset >= self._saved, reversed(self.causes.open)
        )
        pending = [
            Result(cause, CauseOutcome(offset, ProofState.PENDING), cause.accepted_at)
            for offset in new
            if offset not in results
            for cause in (self.causes.open[offset],)
        ]
        changed = (*results.values(), *pending)
        guards = self.roll.take_unsaved()
        signals, self._signals = self._signals, []
        witnesses = []
        if self._is_due:
            self._witnessed = self._boottime()
            witnesses = self.roll.take_witnesses()

        def job(tx: Transaction) -> GuardRows:
            tx.stages.put_closures(map(rows.row, changed))
            tx.log.add_signals(signals)
            tx.stages.set_position("closure", position)
            tx.stages.put_named("witnesses", witnesses)
            return self.roll.save(guards, tx)

        self.roll.saved(await self._store.write_in_time(job))
        self._saved = position
        for each in results.values():
            self.causes.forget(each)

    def refuse(self, guard: str, credential: str, why: str) -> None:
        """Have a finding made of a guard that uses another's name, now and then."""
        self._refusals.add(guard, credential, why, self._clock())
        self._news.set()

    async def result(self, identity: str) -> Result | None:
        """Cause by its id, and what is known of it now."""
        await self._read_all()  # it may lie there
        found = self.causes.result(identity, self._boottime(), self._clock())
        if found is not None:
            return found
        query = "SELECT body FROM closures WHERE id = ? ORDER BY offset LIMIT 1"
        for (body,) in await self._store.read(query, identity):
            return rows.result_of(body)
        return None

    async def latest(
        self, before: int | None, limit: int, *, is_open: bool
    ) -> list[Result]:
        """List causes before an offset, the newest first; all that are open are here.

        Args:
            before: an offset; None: list from the last cause on.
            limit: most causes.
            is_open: only what is not settled.
        """
        await self._read_all()
        clocks = self._boottime(), self._clock()
        known = self.causes.latest(before, limit, *clocks, is_open=is_open)
        if is_open:
            return known
        query = (
            "SELECT body FROM closures WHERE offset < ? ORDER BY offset DESC LIMIT ?"
        )
        end = self._store.end if before is None else before
        stored = [
            rows.result_of(b) for (b,) in await self._store.read(query, end, limit)
        ]
        found = {each.cause.offset: each for each in (*stored, *known)}
        return [found[offset] for offset in heapq.nlargest(limit, found)]

    async def _read_all(self) -> None:
        while self._unread:
            self._read_slice()
            await asyncio.sleep(0)
