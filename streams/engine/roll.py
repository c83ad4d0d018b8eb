"""The guards that are registered: in the stage closure, and on disk.

Receipts change memory alone. Who is registered is on disk before the guard is told, so
that a restart forgets no laggard; who left is forgotten there a little later.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import orjson

from streams.stages import closure_results as rows
from streams.stages.closure import Mode
from streams.stages.points import said_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streams.engine.store import Store
    from streams.engine.transaction import Transaction
    from streams.stages.closure import Closure, Registration
    from streams.stages.points import Points


class Roll:
    """Who is registered.

    Attributes:
        departed: told the name of each guard that is no member any more.
        points: told what guards report, and kept here over restarts.
    """

    def __init__(
        self,
        store: Store,
        closure: Closure,
        news: Callable[[], None],
        clock: Callable[[], int],
        boottime: Callable[[], int],
        points: Points,
    ) -> None:
        """Start empty; `load` brings the guards back.

        Args:
            store: keeps them.
            closure: counts them.
            news: called when a step of closure may find something.
            clock: gives the time (ns).
            boottime: gives ns of a clock that nobody sets.
            points: told what guards report.
        """
        self.points = points
        self.departed: list[Callable[[str], None]] = []
        self._store = store
        self._closure = closure
        self._news = news
        self._clock = clock
        self._boottime = boottime
        self._wanted: dict[str, bytes] = {}  # what is to be on disk
        self._written: dict[str, bytes] = {}
        self._gone: set[str] = set()

    async def load(self) -> None:
        """Bring the guards back; they are taken for heard now."""
        for name, body in await self._store.read("SELECT name, body FROM witnesses"):
            plain = orjson.loads(body)
            if plain["genesis"] == self._store.genesis:
                self.points.restore(name, plain)
        for name, body in await self._store.read("SELECT name, body FROM guards"):
            self._wanted[name] = self._written[name] = body
            terms = rows.terms_of(body)
            self._closure.register(terms, self._boottime())
            self._registered(terms)

    async def register(self, terms: Registration) -> None:
        """Make a guard a member; on return that is on disk.

        Raises:
            StoreBusyError: the store is being closed.
            sqlite3.Error: the file cannot be written.
            LookupError: it left meanwhile.
        """
        name, body = terms.guard, rows.guard_body(terms)
        self._wanted[name] = body
        if self._written.get(name) != body:
            await self._store.write_in_time(
                lambda tx: tx.put_guard(name, body), urgent=True
            )
            if name not in self._wanted:
                raise LookupError(name)
            self._written[name] = body
        self._closure.register(terms, self._boottime())
        self._registered(terms)
        self._news()

    def _registered(self, terms: Registration) -> None:
        enforces = terms.mode is not Mode.OBSERVE
        self.points.registered(terms.guard, self._clock(), enforces=enforces)

    def heard(self, guard: str) -> None:
        """Note that a guard gave a sign of life."""
        member = self._closure.guards.get(guard)
        if member is not None:
            member.heard = self._boottime()

    def applied(
        self, guard: str, genesis: str, offset: int, sent_at: int | None = None
    ) -> None:
        """Take a receipt; of another log, or beyond this one's end, it says nothing.

        Args:
            guard: who sent it.
            genesis: of the log that it speaks of.
            offset: every fact below it is applied.
            sent_at: the guard's clock (ns), where it says.
        """
        if genesis == self._store.genesis and offset <= self._store.end:
            self._closure.apply(guard, offset, self._boottime())
            self.points.applied(guard, offset, said_at(sent_at, self._clock()))
            if self._closure.waiting:
                self._news()

    def leave(self, guard: str) -> bool:
        """Let a guard go; tell whether it was a member."""
        known = self._closure.leave(guard)
        if known:
            self._depart(guard)
        return known

    async def remove(self, guard: str, actor: str) -> bool:
        """Let a guard go on an operator's word; on return that is on disk."""
        if not self.leave(guard):
            return False
        at = self._clock()

        def job(tx: Transaction) -> None:
            self.forget([guard], tx)
            tx.add_audit(at=at, actor=actor, action=f"remove guard {guard}", detail=[])

        await self._store.write(job, urgent=True)
        return True

    def expire(self) -> list[str]:
        """Let those go that were silent for too long, and name them."""
        gone = self._closure.expire(self._boottime())
        for guard in gone:
            self._depart(guard)
        return gone

    @property
    def unforgotten(self) -> bool:
        """Tell whether guards that left may still be on disk."""
        return bool(self._gone)

    def take_gone(self) -> set[str]:
        """Give who left since the last call, to `forget` them on disk."""
        gone, self._gone = self._gone, set()
        return gone

    def forget(self, guards: Iterable[str], tx: Transaction) -> None:
        """Forget guards on disk, those apart that came back meanwhile."""
        for guard in guards:
            if guard not in self._wanted:
                tx.forget_guard(guard)

    def take_witnesses(self) -> list[tuple[str, bytes | None]]:
        """Give what changed of what guards reported, to be saved."""
        of = {"genesis": self._store.genesis}
        return [
            (name, None if plain is None else orjson.dumps(plain | of))
            for name, plain in self.points.take_unsaved()
        ]

    def standing(self) -> Counter[tuple[Mode, str]]:
        """Count guards by mode, and by whether they were heard within their lease."""
        now = self._boottime()
        return Counter(
            (each.terms.mode, "held" if each.is_heard(now) else "lapsed")
            for each in self._closure.guards.values()
        )

    def _depart(self, guard: str) -> None:
        self._wanted.pop(guard, None)
        self._written.pop(guard, None)
        self._gone.add(guard)
        self.points.left(guard, self._clock())
        for told in self.departed:
            told(guard)
        self._news()
