"""Run the stage closure over the log: follow each cause until it is closed.

What became of a cause is written a little later, and so is how far the log was read; a
crash repeats what lies between.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog

from agents_registry.facts import Effect
from streams.engines.embedded.guard_registry import GuardRegistry
from streams.model.times import SECOND
from streams.observability import tracing
from streams.observability.metrics import PROPAGATION
from streams.services.traced_stages import trace_closure
from streams.stages.closure import results as rows
from streams.stages.closure.closure import CauseOutcome, Closure, ProofState
from streams.stages.closure.guard_names import GuardNames
from streams.stages.closure.results import Result, Revocation, seconds_between
from streams.stages.sentinel.points import EnforcementPoints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streams.engines.embedded.store import Commit, Store
    from streams.engines.embedded.transaction import Transaction

TICK: Final = 0.05  # seconds between two looks at the clock while a cause waits
IDLE: Final = 1.0
SAVE: Final = 0.1  # seconds for which outcomes are gathered into one transaction
WITNESSED: Final = 5  # seconds for which what guards reported is gathered
LOADED: Final = 5000
SLICE: Final = 500  # facts read in one go
PAUSE: Final = 0.002  # seconds between two steps, and a little for each guard
PAUSE_PER_GUARD: Final = 20e-6
RECENT: Final = 1000
REFUSED_AGAIN: Final = 60 * SECOND  # between two findings on one guard and credential
MOST_REFUSED: Final = 1000

log = structlog.get_logger()


class Closures:
    """The causes that guards have yet to enforce, and how it went with the others.

    Attributes:
        closure: the stage.
        states: how many causes reached a state since the start.
        propagation: seconds from acceptance until every guard had applied it, or could
            allow nothing without it.
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
        self.closure = Closure(round(deadline * SECOND), names.longest_lease)
        self.deadline = deadline
        self.states: Counter[ProofState] = Counter()
        self.propagation = PROPAGATION.histogram()
        self.recent: deque[Revocation] = deque(maxlen=RECENT)
        self._store = store
        self._clock = clock
        self._boottime = boottime
        self._followed: dict[int, Revocation] = {}
        self._offsets: dict[str, int] = {}
        self._results: dict[int, Result] = {}
        self._open = rows.Open()
        self._signals: list[dict[str, Any]] = []
        self._refused: dict[tuple[str, str], int] = {}
        self._unread: deque[Commit] = deque()
        self._taken = 0  # facts of the first of them
        self._read = store.end
        self._saved = store.end
        self._news = asyncio.Event()
        points = EnforcementPoints() if points is None else points
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
        self._read = position
        self._store.listeners.append(self._on_commit)

    def _on_commit(self, commit: Commit) -> None:
        self._unread.append(commit)
        if len(commit.facts) <= SLICE:
            self._read_slice()
        self._news.set()

    def _read_slice(self) -> None:
        """Read the next facts of the commits that came in; no pong waits for many."""
        left = SLICE
        while self._unread and left > 0:
            facts = self._unread[0].facts
            part = facts[self._taken : self._taken + left]
            self._follow(rows.revocations(part))
            self._taken += len(part)
            left -= max(1, len(part))
            if self._taken == len(facts):
                self._read = self._unread.popleft().end
                self._taken = 0

    def _follow(self, causes: Iterable[Revocation], *, late: bool = False) -> None:
        """Read causes, and only then ask for the end of the receipts."""
        found = list(causes)
        if not found:
            return
        self.recent += (each for each in found if each.effect == Effect.REVOKE.value)
        for each in found:
            self._followed[each.offset] = each
            self._open.add(each.target, late=late)
            self._offsets.setdefault(each.id, each.offset)
        offsets = [each.offset for each in found]
        self.closure.read(offsets, self._boottime(), late=late)
        # Receipts are applied as they come in, so all below their end are.
        self.closure.ask(self.closure.receipts)
        self._news.set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._save_forever())
            while True:
                self._news.clear()
                self._read_slice()
                self._step()
                if self._unread:
                    await asyncio.sleep(0)
                    continue
                # Receipts of many guards come together; one step takes them all.
                await asyncio.sleep(PAUSE + PAUSE_PER_GUARD * len(self.closure.guards))
                seconds = TICK if self.closure.waiting else IDLE
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._news.wait()

    def _step(self) -> None:
        boottime, now = self._boottime(), self._clock()
        for guard in self.roll.expire():
            log.info("guard_left", guard=guard)
        for outcome in self.closure.step(boottime):
            cause = self._followed[outcome.offset]
            result = Result(cause, outcome, now)
            self._results[outcome.offset] = result
            self.states[outcome.state] += 1
            trace_closure(result)
            if outcome.state is ProofState.PARTIAL:
                self._open.late(cause.target)
                self._signals.append(
                    rows.signal(result, self.deadline, self.roll.points.placed)
                )
                continue
            del self._followed[outcome.offset]
            if self._open.settle(cause.target):
                self._signals.append(rows.over(result))
            if outcome.state is ProofState.CLOSED and (
                outcome.applied or outcome.fenced
            ):
                seconds = seconds_between(cause.accepted_at, now)
                self.propagation.observe(seconds, tracing.exemplar_of(cause.id))

    async def _save_forever(self) -> None:
        while True:
            await asyncio.sleep(SAVE)
            changed = (
                self._results or self._signals or self.roll.unforgotten or self._is_due
            )
            if changed or self._read - self._saved > LOADED:
                await self._save()

    @property
    def _is_due(self) -> bool:
        """Whether it is time to save what guards reported."""
        since = self._boottime() - self._witnessed
        return self.roll.points.unsaved and since >= WITNESSED * SECOND

    async def _save(self) -> None:
        """Write what changed, and what is still open of what was read."""
        results, position = dict(self._results), self._read
        new = itertools.takewhile(
            lambda offset: offset >= self._saved, reversed(self._followed)
        )
        pending = [
            Result(cause, CauseOutcome(offset, ProofState.PENDING), cause.accepted_at)
            for offset in new
            if offset not in results
            for cause in (self._followed[offset],)
        ]
        changed = (*results.values(), *pending)
        gone, proven = self.roll.take_gone(), self.roll.take_proven()
        signals, self._signals = self._signals, []
        witnesses = []
        if self._is_due:
            self._witnessed = self._boottime()
            witnesses = self.roll.take_witnesses()

        def job(tx: Transaction) -> None:
            tx.put_closures(map(rows.row, changed))
            tx.add_signals(signals)
            tx.set_position("closure", position)
            tx.put_named("witnesses", witnesses)
            tx.put_named("guards", proven.items())
            self.roll.forget(gone, tx)

        await self._store.write_in_time(job)
        self._saved = position
        for offset, each in results.items():
            if self._results[offset] is each:
                del self._results[offset]
            settled = offset not in self._followed
            if settled and self._offsets.get(each.cause.id) == offset:
                del self._offsets[each.cause.id]

    def refuse(self, guard: str, credential: str, why: str) -> None:
        """Have a finding made of a guard that uses another's name, now and then."""
        now = self._clock()
        key = guard, credential
        if now - self._refused.get(key, -REFUSED_AGAIN) < REFUSED_AGAIN:
            return
        while len(self._refused) >= MOST_REFUSED:
            del self._refused[next(iter(self._refused))]
        self._refused[key] = now
        self._signals.append(
            rows.refusal(guard, credential, why, now, self.roll.names.holder(guard))
        )

    async def result(self, identity: str) -> Result | None:
        """Cause by its id, and what is known of it now."""
        while self._unread:  # it may lie there
            self._read_slice()
            await asyncio.sleep(0)
        offset = self._offsets.get(identity)
        if offset in self._followed:
            outcome = self.closure.look(offset, self._boottime())
            if outcome is not None:
                return Result(self._followed[offset], outcome, self._clock())
        if offset in self._results:
            return self._results[offset]
        query = "SELECT body FROM closures WHERE id = ? ORDER BY offset LIMIT 1"
        for (body,) in await self._store.read(query, identity):
            return rows.result_of(body)
        return None
