"""Live sessions: tell the application when a credential that it still serves dies.

A check protects the moment of the request. What stays open after it (a WebSocket, a
stream of events, a long download, an agent's run) is watched here instead:

- Each session knows the dependencies of its verdict. A fact that the replica applies
  costs one look-up, and only sessions that depend on its name are judged anew; a
  replica that takes another's place has all of them judged. Times of expiry are
  compared with the wall clock 16 times in a lease.
- Sessions are judged in slices of 16, and the event loop runs between them. Measured
  for 1,000 sessions with six ancestors each (one core, AMD EPYC): 17 ms in slices of
  0.3 ms where nothing was said against the lineage, 50 ms in slices of 0.8 ms where
  an ancestor has owners. A fact that concerns nobody costs 0.8 us.
- Without a lease nothing more is known, yet a stream need not break off at every
  hiccup: one more lease later `Mode.FAIL_CLOSED` ends it. `Mode.FAIL_OPEN` goes on,
  and `Mode.OBSERVE` ends nothing at all.
- A guard that ends, for whatever reason, ends what it can no longer watch, in all
  modes that enforce.

Each session ends once. Everything here happens in the thread of the guard's loop.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import define, evolve, field

from agents_registry.verdict_dependencies import dependencies
from enforcement.lease import NO_LEASE
from enforcement.verdict import Lapse, Mode, Verdict
from enforcement.watchlist import LiveSession, Watchlist

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from agents_registry.facts import Fact
    from agents_registry.life import Reason
    from agents_registry.presentation import Presented
    from agents_registry.verdict import Judgement
    from enforcement.replica import Replica
    from enforcement.standing import AnyStanding

    Judge: TypeAlias = Callable[[Presented, str | None], Judgement]

SECOND: Final = 1_000_000_000
SLICE: Final = 16  # sessions judged in one go
TURNS: Final = 16  # looks in a lease at most


@define(slots=True)
class Ended:
    """What became of sessions, for metrics.

    Attributes:
        denied: sessions that were ended, by reason.
        observed: sessions of observing routes that would have been ended, by reason.
        failed: callbacks that raised.
    """

    denied: Counter[str] = field(factory=Counter)
    observed: Counter[str] = field(factory=Counter)
    failed: int = 0


class Sessions:
    """The watched sessions of one guard.

    Attributes:
        ended: what became of those that are over.
    """

    def __init__(
        self,
        standing: AnyStanding[Any, Any],
        judge: Judge,
        *,
        clock: Callable[[], int],
        wall_clock: Callable[[], int],
    ) -> None:
        """Watch nothing yet.

        Args:
            standing: the guard's replica and lease.
            judge: judges what was presented, for a scope or None.
            clock: nanoseconds of CLOCK_BOOTTIME.
            wall_clock: nanoseconds UTC, for expiry.
        """
        self.ended = Ended()
        self._standing = standing
        self._judge = judge
        self._clock = clock
        self._wall = wall_clock
        self._replica: Replica | None = None
        self._watchlist = Watchlist()
        self._held_until = NO_LEASE
        self._wake = asyncio.Event()
        self._runs = False

    def __len__(self) -> int:
        return len(self._watchlist.sessions)

    def watch(
        self,
        presented: Presented | None,
        callback: Callable[[Verdict], object],
        *,
        scope: str | None,
        mode: Mode,
    ) -> LiveSession:
        """Watch a session; it is judged for the first time a moment later.

        Raises:
            RuntimeError: nobody would look after it.
            TypeError: the callback is a coroutine function.
        """
        if not self._runs:
            raise RuntimeError("sessions are watched within the guard's context only")
        if inspect.iscoroutinefunction(callback):
            raise TypeError("nobody would await the callback: give a plain function")
        self._mind_the_lease()  # the new session has its lease, not that of the others
        self._wake.set()
        return self._watchlist.add(presented, callback, scope=scope, mode=mode)

    def run(self) -> Coroutine[Any, Any, None]:
        """Watch until cancelled; then end what needs a guard."""
        self._runs = True
        return self._run()

    async def _run(self) -> None:
        try:
            while True:
                await self._woken()
                self._mind_the_lease()
                self._mind_the_replica()
                self._watchlist.suspect(self._wall())
                if self._watchlist.suspects:
                    await self._look()
                    await asyncio.sleep(self._pause())  # what comes is one look
        finally:
            self._runs = False
            self._attach(None)
            # It says goodbye, which means that it lets nobody through any more.
            self._end_those_of(Mode.FAIL_CLOSED, Mode.FAIL_OPEN)

    def _pause(self) -> float:
        """Seconds until the next look: at most a part of the lease's remainder."""
        length = self._standing.lease.length
        left = self._held_until + length - self._clock()
        seconds: float = min(left if left > 0 else length, length // TURNS) / SECOND
        return seconds

    async def _woken(self) -> None:
        """Wait for something to look at, for ever while there is no session."""
        try:
            async with asyncio.timeout(self._pause() if len(self) else None):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    def _mind_the_lease(self) -> None:
        # Judged by what held before: a process that was stopped for longer may hold
        # a lease again, and has served without one.
        if self._clock() >= self._held_until + self._standing.lease.length:
            self._end_those_of(Mode.FAIL_CLOSED)
        self._held_until = max(self._held_until, self._standing.deadline)

    def _mind_the_replica(self) -> bool:
        """See to it that the replica in force reports; tell whether it is another."""
        replica = self._standing.replica if len(self) else None
        if replica is self._replica:
            return False
        self._attach(replica)
        return True

    def _attach(self, replica: Replica | None) -> None:
        """Listen to a replica; nodes have other numbers in it."""
        if self._replica is not None:
            self._replica.observer = None
        if replica is not None:
            replica.observer = self._applied
        self._replica = replica
        self._watchlist.renumber()

    def _applied(self, fact: Fact) -> None:
        """Note what a fact may end; the replica calls it for each one."""
        if self._watchlist.applied(fact, self._standing.replica.registry):
            self._wake.set()

    async def _look(self) -> None:
        """Judge the suspects in slices; another replica makes all of them suspects."""
        for count, session in enumerate(self._watchlist.take(), 1):
            if session.active:
                self._examine(session)
            if count % SLICE == 0:
                await asyncio.sleep(0)
                self._mind_the_lease()
                if self._mind_the_replica():
                    return

    def _examine(self, session: LiveSession) -> None:
        presented, mode = session.presented, session.mode
        stale = self._clock() >= self._standing.deadline
        if presented is None:
            self._end(session, _denial(mode, Lapse.UNREADABLE, stale=stale))
            return
        judged = self._judge(presented, session.scope)
        if not judged.allowed:
            denial = _denial(mode, judged.reason, stale=stale)
            self._end(session, evolve(denial, path=judged.path, cause=judged.cause))
            return
        table = self._standing.replica.registry
        self._watchlist.rest(session, dependencies(table, presented, self._wall()))

    def _end_those_of(self, *modes: Mode) -> None:
        for session in list(self._watchlist.sessions):
            if session.active and session.mode in modes:
                self._end(session, _denial(session.mode, Lapse.NO_LEASE, stale=True))

    def _end(self, session: LiveSession, verdict: Verdict) -> None:
        self._watchlist.strike(session)
        if session.mode is Mode.OBSERVE:
            self.ended.observed[verdict.reason.value] += 1
            return
        self.ended.denied[verdict.reason.value] += 1
        try:
            outcome = session.callback(verdict)
            if inspect.iscoroutine(outcome):
                outcome.close()
                raise TypeError("nobody awaits what the callback returned")
        except Exception as error:  # noqa: BLE001
            # The boundary to the application: one faulty callback must not keep
            # other sessions alive. asyncio's handler logs it.
            self.ended.failed += 1
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a callback of on_deny failed", "exception": error}
            )


def _denial(mode: Mode, reason: Reason | Lapse, *, stale: bool) -> Verdict:
    return Verdict(allowed=False, reason=reason, mode=mode, stale=stale)
