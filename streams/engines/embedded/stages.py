"""Run registry and sentinel over the log, in one task, in slices.

Order of work: facts are applied first; accesses are judged once every fact that was
committed with or before them is applied; what a fact condemned is listed slice by
slice in between. The outputs, the state and the position of a slice are one
transaction, so a crash repeats a slice and never loses or half-writes one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
import structlog
from attrs import define

from agents_registry.facts import HOUR
from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from enforcement.turns import in_turns, resting_tables
from streams.engines.embedded.crossing import Bell, Latch, Watermark
from streams.engines.embedded.shared_points import SharedPoints
from streams.observability.failpoints import failpoint
from streams.observability.progress import Progress
from streams.services.traced_stages import trace_applied, trace_finding
from streams.stages.access.uses import AccessEvent
from streams.stages.posture.posture import SLICE, Posture
from streams.stages.registry.cascade import Cascade
from streams.stages.registry.registry import dead
from streams.stages.sentinel import saved_episodes
from streams.stages.sentinel.revocation_offsets import MOST
from streams.stages.sentinel.scope_use import scoped
from streams.stages.sentinel.sentinel import Sentinel
from streams.stages.sentinel.tolerances import Tolerances

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from agents_registry.facts import Fact
    from agents_registry.identifiers import Vocabulary
    from agents_registry.steps import Steps
    from streams.engines.embedded.reading import Stored
    from streams.engines.embedded.store import Commit, Store
    from streams.engines.embedded.transaction import Transaction
    from streams.model.findings import FindingKind
    from streams.stages.sentinel.step import Outputs

FACTS: Final = 200  # read from the file at once
FEW_NODES: Final = 16
ACCESS_SECONDS: Final = 0.05  # of accesses between two other pieces of work
LOADED: Final = 5000
TIDY_SECONDS: Final = 5.0
# Positions are saved with outputs; without any, only this often.
IDLE_FACTS: Final = 10_000

log = structlog.get_logger()


class Invalidation(NamedTuple):
    """An identifier that a cause condemned, as of an offset of the log."""

    offset: int
    identifier: str
    cause: str
    as_of: int


@define
class LogEnds:
    """Next offsets of the logs, as the last commit left them."""

    facts: int
    access: int
    signals: int


class Stages:
    """The in-memory state of the embedded stages and the loop that moves it.

    It belongs to the event loop that it was made in. Other threads may wait, ring, and
    read single numbers; whoever looks into the table does so in that loop.

    Attributes:
        progress: for health.
        rebuilding: a table is built anew, which takes as long as it takes.
        in_flight: uses within the grace since the start.
        undated: uses of principals alone, after a ``not_before`` on them, likewise.
        opened: findings opened since the start, by kind.
    """

    def __init__(
        self,
        store: Store,
        realm: str,
        vocabulary: Vocabulary,
        tolerances: Tolerances,
        clock: Callable[[], int],
    ) -> None:
        """Start empty; `load` brings the state back.

        Args:
            store: where log, outputs and state lie.
            realm: whose table this is.
            vocabulary: kind to class.
            tolerances: of the sentinel.
            clock: gives the time (ns).
        """
        self.progress = Progress()
        self.rebuilding = False
        self.posture = Posture(tolerances.posture)
        self.sentinel = Sentinel(realm, tolerances)
        self.sentinel.points = SharedPoints(tolerances.points)
        self.loaded = Latch()
        self.in_flight = 0
        self.undated = 0
        self.opened: Counter[FindingKind] = Counter()
        self._store = store
        self._tolerances = tolerances
        self._vocabulary = vocabulary
        self._clock = clock
        self._ends = LogEnds(store.end, store.access_end, store.signals_end)
        self._target: LogEnds | None = None
        self._cascade = Cascade(vocabulary)
        self._saved = 0
        self._access = 0
        self._signals = 0
        self._pieces = 0  # of what takes many turns
        self._tidied = 0
        self._untold = False  # what was found of posture and is not saved
        self._rechecking = False
        self._telling = False
        self._unweighed = True
        self._news = Bell()
        self._applied = Watermark()
        store.listeners.append(self._on_commit)
        self.sentinel.points.listeners.append(self._news.set)

    @property
    def registry(self) -> Registry:
        """Give the table."""
        return self._cascade.registry

    @property
    def applied(self) -> int:
        """Give the offset below which every fact is in the table."""
        return self._applied.value

    def _on_commit(self, commit: Commit) -> None:
        """Note how far the logs go; runs in the main event loop."""
        self._ends = LogEnds(commit.end, commit.access_end, commit.signals_end)
        self._news.set()

    async def load(self) -> None:
        """Bring the table and the sentinel back from the file."""
        query = "SELECT stage, position FROM positions"
        positions = dict(await self._store.read(query))
        self._saved = positions.get("registry", 0)
        self._access = positions.get("sentinel", 0)
        self._signals = positions.get("signals", 0)
        uses = [row async for row in self._rows("uses", "key", "key, body")]
        self.sentinel.restore(uses)
        async for (body,) in self._rows("findings", "id", "body"):
            self.sentinel.episodes.restore(saved_episodes.load(orjson.loads(body)))
        async for name, body in self._rows("used_scopes", "name", "name, body"):
            self.posture.book.restore(Identifier.parse(name), body)
        end = self._ends.facts
        while self.applied < end:
            await in_turns(self._load(await self._store.facts(self.applied, LOADED)))
        if self.registry.needs_rebuild:
            await self._rebuild()
        # All that is applied, not `end`: more came in while the file was read, and
        # what comes after is listed as it is applied.
        await self._restore_known()
        position = self._saved
        while position < self.applied:
            limit = min(LOADED, self.applied - position)
            stored_facts = await self._store.facts(position, limit)
            await in_turns(self._relist(stored_facts))
            position = stored_facts[-1].offset + 1
        self.posture.restore(self.sentinel.episodes.open_ones())
        self.posture.follow(self.registry)
        failpoint("start.loaded")
        self.loaded.set()

    def _load(self, stored_facts: list[Stored]) -> Steps[None]:
        for stored in stored_facts:
            self._apply(stored)
            self._applied.raise_to(stored.offset + 1)
            yield

    async def _restore_known(self) -> None:
        """Take back from where on the log tells of the dead, as far as it is kept."""
        query = (
            "SELECT offset, identifier, cause, as_of FROM invalidations"
            " WHERE offset > (SELECT ifnull(max(offset), 0) - ? FROM invalidations)"
            " AND offset > ? ORDER BY offset LIMIT ?"
        )
        last = 0
        while rows := await self._store.read(query, MOST, last, LOADED):
            self.sentinel.known.restore(
                (
                    (Identifier.parse(name), cause, as_of)
                    for _, name, cause, as_of in rows
                ),
                self.applied,
            )
            last = rows[-1][0]

    async def _rows(
        self, table: str, key: str, columns: str
    ) -> AsyncIterator[tuple[Any, ...]]:
        last = ""
        while True:
            query = (
                f"SELECT {key}, {columns} FROM {table} WHERE {key} > ?"  # noqa: S608
                f" ORDER BY {key} LIMIT {LOADED}"
            )
            rows = await self._store.read(query, last)
            for row in rows:
                yield row[1:]
            if len(rows) < LOADED:
                return
            last = rows[-1][0]

    async def run(self) -> None:
        """Work until cancelled."""
        tidy_at = 0
        while True:
            self._news.clear()
            self._turn()
            if await self._step():
                continue
            now = self._clock()
            if now >= tidy_at:
                await self._tidy(now)
                tidy_at = now + int(TIDY_SECONDS * 1e9)
            try:
                async with asyncio.timeout(TIDY_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                continue

    def _turn(self) -> None:
        done = {0: self.done}
        self.progress.turn(
            now=asyncio.get_running_loop().time(),
            assigned=frozenset(done),
            ready=True,
            waiting=self._cascade.waiting,
            positions=done,
            committed=done,
        )

    @property
    def done(self) -> int:
        """Count what was worked off, in records and pieces; it only grows."""
        return self.applied + self._access + self._signals + self._pieces

    @property
    def backlog(self) -> int:
        """Count what was committed and is not worked off; 1 while loading."""
        ends = self._ends
        waiting = ends.facts - self.applied + ends.access - self._access
        waiting += ends.signals - self._signals + self._cascade.waiting
        waiting += self.posture.waiting(self._clock()) + self._untold
        waiting += self._rechecking or self.sentinel.points.news
        waiting += self._telling or self.sentinel.unsettled(self._clock())
        return waiting + (not self.loaded.is_set())

    @property
    def idle(self) -> bool:
        """Tell whether everything that was committed is worked off."""
        return self.backlog == 0

    async def invalidations(self, after: int, limit: int) -> list[Invalidation]:
        """Give the notifications from an offset on, for subscribers that know ids."""
        query = (
            "SELECT offset, identifier, cause, as_of FROM invalidations"
            " WHERE offset > ? ORDER BY offset LIMIT ?"
        )
        rows = await self._store.read(query, after, limit)
        return [Invalidation(*row) for row in rows]

    async def wait_applied(self, offset: int) -> None:
        """Wait until every fact below an offset is in the table."""
        await self._applied.reached(offset)

    async def _step(self) -> bool:
        """Give every kind of work one turn; tell whether there was any."""
        if self._target is None:
            self._target = self._ends
        worked = False
        if not self._cascade.alone:
            worked = await self._take_facts()
        worked |= await self._take_slice()
        worked |= await self._take_signals()
        # Uses go first: posture waits for one that waits for facts of its round.
        uses_wait = self._access < self._ends.access
        if not uses_wait or self.applied >= self._target.facts:
            worked |= await self._take_posture(FEW_NODES if uses_wait else SLICE)
        await self._take_receipts()
        if self.applied >= self._target.facts:
            worked |= await self._take_accesses(self._target.access)
            worked |= await self._take_unsettled()
            if self._access >= self._target.access:
                worked |= self._target is not self._ends
                self._target = None
        return worked

    async def _take_facts(self) -> bool:
        if self.applied >= self._ends.facts:
            return False
        stored_facts = await self._store.facts(self.applied, FACTS)
        async with resting_tables():
            await in_turns(self._take(stored_facts))
        if self.registry.needs_rebuild:
            await self._rebuild()
        self._applied.raise_to(stored_facts[-1].offset + 1)
        return True

    def _take(self, stored_facts: list[Stored]) -> Steps[None]:
        for stored in stored_facts:
            self._apply(stored)
            self._list(stored)
            self.posture.note(stored.fact)
            failpoint("stages.fact_applied")
            yield

    def _apply(self, stored: Stored) -> None:
        self._cascade.apply(stored.fact)
        self.sentinel.note(stored.fact, stored.offset)

    def _list(self, stored: Stored) -> None:
        self._cascade.enlist(stored.offset, stored.fact)
        trace_applied(stored.fact)

    def _relist(self, stored_facts: list[Stored]) -> Steps[None]:
        for stored in stored_facts:
            self._list(stored)
            yield

    async def _rebuild(self) -> None:
        """Build the table anew; the old one answers meanwhile."""

        def build() -> Registry:
            facts: list[Fact] = []
            while chunk := self._store.facts_now(len(facts), LOADED):
                facts += [stored.fact for stored in chunk]
            return Registry.build(facts, self._vocabulary)

        self.rebuilding = True
        self._cascade.replace(await asyncio.to_thread(build))
        self.rebuilding = False
        if self.loaded.is_set():
            self.posture.follow(self.registry)
        self.sentinel.known.rebuilt(self._ends.facts)
        outputs = await in_turns(self.sentinel.follow(self.registry, self._clock()))
        if outputs.uses or outputs.episodes:
            await self._store.write_in_time(lambda tx: _save(tx, outputs))
        self._count(outputs)

    async def _take_slice(self) -> bool:
        """List the next identifiers that the oldest waiting fact condemned."""
        oldest = self._cascade.oldest
        if oldest is None:
            return await self._save_idle_position()
        found, done = await in_turns(self._cascade.next_slice())
        now = self._clock()
        names = [each.identifier for each in found]
        as_of = self.applied
        pairs = [(name, why.cause.fact_id) for name, why in dead(found)]
        self.sentinel.known.note(pairs, as_of)
        outputs = await in_turns(self.sentinel.reconsider(names, self.registry, now))
        rows = [(str(identifier), cause) for identifier, cause in pairs]
        position = oldest
        if done:
            following = self._cascade.following
            position = self.applied if following is None else following
        failpoint("stages.before_slice")

        def job(tx: Transaction) -> None:
            tx.add_invalidations(rows, as_of)
            _save(tx, outputs)
            tx.set_position("registry", position)

        if rows or outputs.uses or outputs.episodes:
            await self._store.write_in_time(job)
            self._saved = position
        failpoint("stages.after_slice")
        self._pieces += 1
        self._count(outputs)
        if done:
            self._cascade.finish()
        return True

    async def _save_idle_position(self) -> bool:
        if self.applied - self._saved < IDLE_FACTS:
            return False
        position = self.applied
        await self._store.write_in_time(
            lambda tx: tx.set_position("registry", position)
        )
        self._saved = position
        return False

    async def _take_signals(self) -> bool:
        query = (
            "SELECT offset, body FROM signals WHERE offset >= ? AND offset < ?"
            " ORDER BY offset LIMIT 100"
        )
        if self._signals >= self._ends.signals:
            return False
        rows = await self._store.read(query, self._signals, self._ends.signals)
        signals = [orjson.loads(body) for _, body in rows]
        report = self.sentinel.report(signals, self.registry, self._clock())
        outputs = await in_turns(report)
        position = rows[-1][0] + 1

        def job(tx: Transaction) -> None:
            _save(tx, outputs)
            tx.set_position("signals", position)
            tx.forget_signals(position)

        await self._store.write_in_time(job)
        failpoint("stages.after_signals")
        self._count(outputs)
        self._signals = position
        return True

    async def _take_posture(self, most: int) -> bool:
        """Look at the next nodes that may stand otherwise than before, so many."""
        now = self._clock()
        if not self.posture.waiting(now):
            return False
        signals = await in_turns(self.posture.step(now, most))
        self._untold = True
        outputs = await in_turns(self.sentinel.report(signals, self.registry, now))
        self._pieces += 1
        watched = [(str(name), body) for name, body in self.posture.take_news()]

        def job(tx: Transaction) -> None:
            _save(tx, outputs)
            tx.put_used_scopes(watched)

        if outputs.episodes or watched:
            await self._store.write_in_time(job)
            failpoint("stages.after_posture")
        self._untold = False
        self._count(outputs)
        return True

    async def _take_receipts(self) -> None:
        """See whether what guards reported shows that lags were failures."""
        first, self._unweighed = self._unweighed, False
        if not (first or self.sentinel.points.news):
            return
        self._rechecking = True
        # What was saved of receipts may not have been weighed before the start.
        news = self.sentinel.points.take_news()
        points = None if first else news
        outputs = await in_turns(self.sentinel.recheck(points, self._clock()))
        if outputs.episodes:
            await self._store.write_in_time(lambda tx: _save(tx, outputs))
        self._count(outputs)
        self._rechecking = False

    async def _take_accesses(self, end: int) -> bool:
        """Judge accesses for a moment; tell whether there were any."""
        loop = asyncio.get_running_loop()
        until = loop.time() + ACCESS_SECONDS
        took = False
        while await self._take_access(end):
            took = True
            if loop.time() >= until:
                break
        return took

    async def _take_access(self, end: int) -> bool:
        """Judge the next block of accesses."""
        if self._access >= end:
            return False
        query = (
            "SELECT offset, block FROM access WHERE offset >= ? ORDER BY offset LIMIT 1"
        )
        ((offset, block),) = await self._store.read(query, self._access)
        batch = [AccessEvent.from_plain(plain) for plain in orjson.loads(block)]
        now = self._clock()
        outputs = await in_turns(self.sentinel.observe(batch, self.registry, now))
        await self._see_agents(outputs, now)
        told = ((u.identifiers[0], u.scopes, u.at) for u in scoped(batch))
        used = [
            (str(name), body)
            for name, scopes, at in told
            if (body := self.posture.used(name, scopes or (), at)) is not None
        ]
        failpoint("stages.before_access")

        def job(tx: Transaction) -> None:
            _save(tx, outputs)
            tx.put_used_scopes(used)
            tx.set_position("sentinel", offset + 1)

        await self._store.write_in_time(job)
        failpoint("stages.after_access")
        self._count(outputs)
        self._access = offset + 1
        return True

    async def _see_agents(self, outputs: Outputs, now: int) -> None:
        """Take in what a step found of agents; add what that changed to its outputs."""
        if outputs.acted:
            steps = self.sentinel.see_agents(outputs.acted, self.registry, now)
            told = await in_turns(steps)
            outputs.episodes.update(told.episodes)
            outputs.opened += told.opened

    async def _take_unsettled(self) -> bool:
        """Ask about the next uses again whose time has come."""
        now = self._clock()
        if not self.sentinel.unsettled(now):
            return False
        self._telling = True
        outputs = await in_turns(self.sentinel.settle(self.registry, now))
        await self._see_agents(outputs, now)
        if outputs.uses or outputs.episodes:
            await self._store.write_in_time(lambda tx: _save(tx, outputs))
        self._count(outputs)
        self._telling = False
        return True

    async def _tidy(self, now: int) -> None:
        """Forget old uses and judged access blocks; close what is silent or over."""
        outputs = await in_turns(self.sentinel.expire(now))
        denied = await in_turns(self.sentinel.end_denied(self.registry, now))
        outputs.episodes.update(denied.episodes)
        ended = self.sentinel.end_declared(self.registry, now)
        declared = await in_turns(ended)
        outputs.episodes.update(declared.episodes)
        if outputs.forgotten:
            log.warning("uses_forgotten_early", count=outputs.forgotten)
        judged, old = self._access, now - self.sentinel.remember
        hourly = now - self._tidied >= HOUR
        unused = self.posture.forget(now) if hourly else []
        if not (outputs.uses or outputs.episodes or outputs.dropped or hourly):
            return

        def job(tx: Transaction) -> None:
            _save(tx, outputs)
            tx.put_used_scopes((str(name), None) for name in unused)
            tx.forget_access(judged, old)

        await self._store.write_in_time(job)
        self._tidied = now

    def _count(self, outputs: Outputs) -> None:
        self.in_flight += outputs.in_flight
        self.undated += outputs.undated
        self.opened += outputs.opened


def _save(tx: Transaction, outputs: Outputs) -> None:
    for episode in outputs.episodes.values():
        trace_finding(episode)
    tx.put_uses(outputs.uses.items())
    tx.put_findings(
        (identity, episode.open, orjson.dumps(saved_episodes.save(episode)))
        for identity, episode in outputs.episodes.items()
    )
    if outputs.dropped:
        tx.drop_findings(outputs.dropped)
