"""The guards that are registered: in the stage closure, and on disk.

Receipts change memory alone. Who is registered, and whose the name is, is on disk
before the guard is told, so that a restart forgets no laggard; who left is forgotten
there a little later, and its name stays bound.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import orjson

from streams.stages.closure import results as rows
from streams.stages.closure.closure import GuardMode
from streams.stages.sentinel.points import said_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streams.engines.embedded.store import Store
    from streams.engines.embedded.transaction import Transaction
    from streams.services.feed_ports import ReceiptSender
    from streams.stages.closure.closure import Closure, Registration
    from streams.stages.closure.guard_names import Bearer, GuardNames
    from streams.stages.sentinel.points import EnforcementPoints

GuardRows = list[tuple[str, bytes | None]]


class GuardRegistry:
    """Who is registered.

    Attributes:
        departed: told the name of each guard that is no member any more.
        points: told what guards report, and kept here over restarts.
        names: which credential has which name.
        unsaved: names of those that left, or proved something, since they were saved.
    """

    def __init__(
        self,
        store: Store,
        closure: Closure,
        news: Callable[[], None],
        clocks: tuple[Callable[[], int], Callable[[], int]],
        points: EnforcementPoints,
        names: GuardNames,
    ) -> None:
        """Start empty; `load` brings the guards back.

        Args:
            store: keeps them.
            closure: counts them.
            news: called when a step of closure may find something.
            clocks: give the time, and that of a clock that nobody sets (ns).
            points: told what guards report.
            names: which credential has which name.
        """
        self.points = points
        self.names = names
        self.departed: list[Callable[[str], None]] = []
        self._store = store
        self._closure = closure
        self._news = news
        self._clock, self._boottime = clocks
        # What is to be on disk; read in the writer's thread too.
        self._wanted: dict[str, bytes] = {}
        self._written: dict[str, bytes] = {}
        self.unsaved: set[str] = set()
        self._registering: WeakValueDictionary[str, asyncio.Lock] = (
            WeakValueDictionary()
        )

    async def load(self) -> None:
        """Bring the guards back; they are taken for heard now."""
        for name, body in await self._store.read("SELECT name, body FROM witnesses"):
            plain = orjson.loads(body)
            if plain["genesis"] == self._store.genesis:
                self.points.restore(name, plain)
        for name, body in await self._store.read("SELECT name, body FROM guards"):
            self._wanted[name] = self._written[name] = body
            terms, proven = rows.guard_of(body)
            member = self._closure.register(terms, self._boottime())
            if proven:
                member.trial = None
            self._registered(terms)
        query = "SELECT name, credential FROM guard_names ORDER BY rowid"
        self.names.restore(dict(await self._store.read(query)))

    async def register(
        self,
        terms: Registration,
        bearer: Bearer,
        sender: ReceiptSender,  # noqa: ARG002 - one process is connected under a name
    ) -> None:
        """Make a guard a member; on return that is on disk.

        Args:
            terms: under which it serves.
            bearer: its credential, which the name is bound to from now on.
            sender: its process.

        Raises:
            NameRefusedError: the name is another credential's.
            StoreBusyError: the store is being closed.
            sqlite3.Error: the file cannot be written.
            LookupError: it left meanwhile.
        """
        # One at a time: who gives up takes back nothing that another waits for.
        lock = self._registering.setdefault(terms.guard, asyncio.Lock())
        async with lock:
            await self._register(terms, bearer)

    async def _register(self, terms: Registration, bearer: Bearer) -> None:
        name, known = terms.guard, self._closure.guards.get(terms.guard)
        was = self.names.holder(name)
        room = self.names.bind(name, bearer, self._wanted.keys())
        proven = known is not None and known.trial is None
        body, before = rows.guard_body(terms, proven=proven), self._wanted.get(name)
        self._wanted[name] = body
        if self._written.get(name) != body or was != bearer.name or room:

            def job(tx: Transaction) -> GuardRows:
                tx.stages.free_guards(room)
                tx.stages.bind_guard(name, bearer.name)
                # It may have proved something meanwhile, or left.
                return self.save([name], tx)

            try:
                self.saved(await self._store.write_in_time(job, urgent=True))
            except BaseException:
                self._take_back(name, before)
                raise
            if name not in self._wanted:
                self.unsaved.add(name)
                raise LookupError(name)
        self._closure.register(terms, self._boottime())
        self._registered(terms)
        self._news()

    def _take_back(self, name: str, before: bytes | None) -> None:
        """Undo a registration that failed: a member keeps its terms, and its proof."""
        member = self._closure.guards.get(name)
        if member is None or before is None:
            self._wanted.pop(name, None)
        else:
            terms, _ = rows.guard_of(before)
            proven = member.trial is None
            self._wanted[name] = rows.guard_body(terms, proven=proven)
        self._written.pop(name, None)  # the file may have either
        self.unsaved.add(name)

    def _registered(self, terms: Registration) -> None:
        enforces = terms.mode is not GuardMode.OBSERVE
        self.points.registered(terms.guard, self._clock(), enforces=enforces)

    def lease(self, guard: str) -> int:
        """Lease that a guard registered (ns); 0 where it is no member."""
        member = self._closure.guards.get(guard)
        return 0 if member is None else member.terms.lease

    def since(self, guard: str) -> int | None:
        """Begin of time: who is no member any more loses its connection.

        None, for one that fails open, until it is on disk that it proved something:
        after a crash the server would take it for one that never served.
        """
        member = self._closure.guards.get(guard)
        if member is None or member.terms.mode is not GuardMode.FAIL_OPEN:
            return 0
        saved = self._written.get(guard) == self._wanted.get(guard)
        return 0 if saved and member.trial is None else None

    def heard(self, guard: str) -> None:
        """Note that a guard gave a sign of life."""
        member = self._closure.guards.get(guard)
        if member is not None:
            member.heard = self._boottime()

    def applied(
        self, sender: ReceiptSender, genesis: str, offset: int, sent_at: int | None
    ) -> None:
        """Take a receipt; of another log, or beyond this one's end, it says nothing."""
        if genesis == self._store.genesis and offset <= self._store.end:
            guard = sender.guard
            member = self._closure.guards.get(guard)
            if member is not None and member.trial is not None:
                self._proved(guard)
            self._closure.apply(guard, offset, self._boottime())
            self.points.applied(guard, offset, said_at(sent_at, self._clock()))
            if self._closure.waiting:
                self._news()

    def _proved(self, guard: str) -> None:
        if (body := self._wanted.get(guard)) is not None:
            self._wanted[guard] = rows.guard_body(rows.guard_of(body)[0], proven=True)
            self.unsaved.add(guard)

    def parted(self, guard: str) -> None:
        """Take no note: closure hears of it when the guard is silent."""

    def leave(self, sender: ReceiptSender) -> None:
        """Let a guard go."""
        self._leave(sender.guard)

    def _leave(self, guard: str) -> None:
        if self._closure.leave(guard) or guard in self._wanted:
            self._depart(guard)

    async def remove(self, guard: str, actor: str) -> bool:
        """Let a guard go on an operator's word, and free its name.

        Returns:
            Whether there was such a guard or name; then that is on disk.

        Raises:
            StoreBusyError: too much waits to be written; it is a member as before.
            sqlite3.Error: the file cannot be written; it is a member as before.
        """
        known = guard in self._closure.guards or guard in self._closure.missed
        if not (known or self.names.is_bound(guard)):
            return False
        at = self._clock()

        def job(tx: Transaction) -> None:
            tx.stages.put_named("guards", [(guard, None)])
            tx.stages.free_guards([guard])
            tx.audit.add_act(
                at=at, actor=actor, action=f"remove guard {guard}", detail=[]
            )

        self._written.pop(guard, None)  # who registers meanwhile is written again
        try:
            await self._store.write(job, urgent=True)
        except BaseException:
            self.unsaved.add(guard)  # it may be gone from the file all the same
            raise
        self.names.free(guard)
        self._leave(guard)
        self.unsaved.add(guard)  # the file may know it again
        return True

    def expire(self) -> list[str]:
        """Let those go that were silent for too long, and name them."""
        gone = self._closure.expire(self._boottime())
        for guard in gone:
            self._depart(guard)
        return gone

    def take_unsaved(self) -> set[str]:
        """Names for `save`, since the last call."""
        names, self.unsaved = self.unsaved, set()
        return names

    def save(self, names: Iterable[str], tx: Transaction) -> GuardRows:
        """Bring guards to disk as they are by then; those that left are forgotten.

        Returns:
            Rows for `saved`, once they are committed.
        """
        saved = [(name, self._wanted.get(name)) for name in names]
        tx.stages.put_named("guards", saved)
        tx.stages.free_guards(
            [name for name, _ in saved if not self.names.is_bound(name)]
        )
        return saved

    def saved(self, saved: GuardRows) -> None:
        """Note what is on disk of guards that are still wanted so."""
        for name, body in saved:
            if body is not None and self._wanted.get(name) == body:
                self._written[name] = body

    def take_witnesses(self) -> list[tuple[str, bytes | None]]:
        """Return the changes of reported positions since the last call, to be saved."""
        of = {"genesis": self._store.genesis}
        return [
            (name, None if plain is None else orjson.dumps(plain | of))
            for name, plain in self.points.take_unsaved()
        ]

    def _depart(self, guard: str) -> None:
        self._wanted.pop(guard, None)
        self._written.pop(guard, None)
        self.unsaved.add(guard)
        self.points.left(guard, self._clock())
        for told in self.departed:
            told(guard)
        self._news()
