"""A guard for applications with threads: its feed has a thread and a loop of its own.

`ThreadedGuard.check` answers from any thread, without an event loop and without
waiting for the network. However busy the application is, the feed keeps its lease:
it needs a few milliseconds of the interpreter in each.

Table and lease have one lock. The loop's thread holds it whenever it works and gives
it up while it waits for the network, so a check never meets a half merged fact, and
nothing below the loop knows of threads. A check holds it for a millisecond at most at
a time: what hangs on thousands of ancestors costs the feed no lease.

Each process has a guard of its own, started by its first check. So a server that forks
its workers (gunicorn, uWSGI) may make a `ThreadedGuard` before it does.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import selectors
import threading
import time
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias, TypeVar
from weakref import WeakSet

from attrs import define, field

from agents_registry.steps import finish
from enforcement.guard import AnyGuard
from enforcement.thread_tasks import ThreadTask

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from agents_registry.presentation import Presented
    from agents_registry.steps import Steps
    from enforcement.counters import Counters
    from enforcement.names import Names
    from enforcement.standing import AnyStanding
    from enforcement.token import Token
    from enforcement.verdict import Verdict
    from enforcement.watchlist import LiveSession

    Make: TypeAlias = Callable[[], AnyGuard[Any, Any]]

Done = TypeVar("Done")

TURN_SECONDS: Final = 0.001  # for which a check may keep the feed waiting
PAUSE_SECONDS: Final = 0.0002  # between two turns
TRIES: Final = 2  # of a check that facts disturb, before facts wait for it
PATIENCE: Final = 2.0  # seconds, for a first lease
STOP_SECONDS: Final = 5.0


class _YieldingSelector(selectors.DefaultSelector):
    """Gives a lock up while its loop has nothing to do."""

    def __init__(self, lock: threading.RLock) -> None:
        super().__init__()
        self._lock = lock

    def select(self, timeout: float | None = None) -> Any:
        self._lock.release()
        try:
            return super().select(timeout)
        finally:
            self._lock.acquire()


@define(eq=False)
class _GuardThread:
    """A thread that runs a guard.

    Attributes:
        lock: held by whoever uses the guard; the thread while its loop works.
        guard: set once it runs.
    """

    make: Make
    lock: threading.RLock = field(factory=threading.RLock)
    guard: AnyGuard[Any, Any] = field(init=False)
    _started: Future[AnyGuard[Any, Any]] = field(factory=Future)
    _loop: asyncio.AbstractEventLoop | None = None
    _end: asyncio.Event | None = None
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Run the guard; raises what its making raised."""
        thread = threading.Thread(target=self._run, name="rescind-guard", daemon=True)
        self._thread = thread
        thread.start()
        self.guard = self._started.result()

    def _run(self) -> None:
        with self.lock:
            try:
                with asyncio.Runner(loop_factory=self._new_loop) as runner:
                    runner.run(self._serve())
            except BaseException as error:
                if self._started.done():
                    raise  # printed; the guard denies from now on
                self._started.set_exception(error)

    def _new_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(_YieldingSelector(self.lock))

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with self.make() as guard:
            self._started.set_result(guard)
            await self._end.wait()

    def run(self, work: Coroutine[Any, Any, Done]) -> Done:
        """Run a coroutine in the guard's loop, and wait for its result."""
        assert self._loop is not None  # noqa: S101 - it is started
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def wake(self) -> None:
        """Have the loop look at what another thread gave it to do."""
        assert self._loop is not None  # noqa: S101 - it is started
        self._loop.call_soon_threadsafe(int)

    def stop(self) -> None:
        """End the guard, and wait until it said goodbye."""
        if self._thread is None or self._loop is None or self._end is None:
            return
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(STOP_SECONDS)


class ThreadedGuard:
    """A guard that any thread of any process may ask.

    A context manager; without it the first check starts the guard, and the end of the
    process ends it.
    """

    def __init__(self, make: Make, *, patience: float = PATIENCE) -> None:
        """Start nothing yet.

        Args:
            make: gives the guard to run, such as ``lambda: Guard(url, credential,
                name=f"orders-{os.getpid()}")``; called once in each process, so that
                each may have a name of its own.
            patience: seconds that the first check of a process waits for its first
                lease.
        """
        self._make = make
        self._patience = patience
        self._starting = threading.Lock()
        self._heavy = threading.Lock()
        self._thread: _GuardThread | None = None
        _all.add(self)

    def __enter__(self) -> Self:
        self._started()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(
        self,
        presented: Presented | Names,
        *,
        scope: str | None = None,
        at_least: Token | str | None = None,
        route: str | None = None,
    ) -> Verdict:
        """Judge a credential now; see `Guard.check`.

        Only the first check of a process waits, for the guard to catch up.

        Raises:
            KeyError: no route of this name was declared.
            ValueError: ``at_least`` is not a token.
        """
        verdict = self.check_at_once(
            presented, scope=scope, at_least=at_least, route=route
        )
        if verdict is not None:
            return verdict
        thread = self._started()
        guard = thread.guard
        asked = partial(
            guard.checking, presented, scope=scope, at_least=at_least, route=route
        )
        with self._heavy:  # one such check at a time, or the feed starves
            for _ in range(TRIES):
                verdict = _undisturbed(thread.lock, guard, asked())
                if verdict is not None:
                    return verdict
            with thread.lock:
                return finish(asked())

    def check_at_once(
        self,
        presented: Presented | Names,
        *,
        scope: str | None = None,
        at_least: Token | str | None = None,
        route: str | None = None,
    ) -> Verdict | None:
        """Judge a credential now, where that takes a millisecond at most; else None."""
        thread = self._started()
        with thread.lock:
            return _turn(
                thread.guard.checking(
                    presented, scope=scope, at_least=at_least, route=route
                )
            )

    @property
    def standing(self) -> AnyStanding[Any, Any]:
        """Replica and lease of this process's guard."""
        guard = self._started().guard
        standing: AnyStanding[Any, Any] = guard.standing
        return standing

    def on_deny(
        self,
        presented: Presented | Names,
        callback: Callable[[Verdict], object],
        *,
        scope: str | None = None,
        route: str | None = None,
    ) -> LiveSession:
        """Have a running session ended when its credential dies; see `Guard.on_deny`.

        The callback is called in the guard's thread, and must not wait: an
        `threading.Event` that it sets is a good one.
        """
        thread = self._started()
        guard = thread.guard
        with thread.lock:
            session = guard.on_deny(presented, callback, scope=scope, route=route)
            session.lock = thread.lock
        thread.wake()
        return session

    def task(
        self,
        presented: Presented | Names,
        *,
        scope: str | None = None,
        route: str | None = None,
        end: Callable[[Verdict], object] | None = None,
        interrupt: bool = False,
    ) -> ThreadTask:
        """Run the body of ``with`` while a credential is allowed; see `ThreadTask`.

        The guard that runs must be made with ``live_sessions=True``.

        Args:
            presented: identifiers (``kind:value``), or those with verified claims.
            scope: the requested ``namespace|value``.
            route: the name of a route that has a mode of its own.
            end: called in the guard's thread when the credential dies; it may close
                what the work waits for, and must not wait.
            interrupt: raise `DeniedError` between any two steps of the body, as a
                KeyboardInterrupt is.
        """
        return ThreadTask(
            self, presented, scope=scope, route=route, end=end, interrupt=interrupt
        )

    def commit(
        self,
        presented: Presented | Names,
        *,
        scope: str | None = None,
        route: str | None = None,
    ) -> Token | None:
        """Ask once more before an effect becomes durable; see `Guard.commit`.

        Raises:
            DeniedError: it is denied.
            KeyError: no route of this name was declared.
        """
        thread = self._started()
        return thread.run(thread.guard.commit(presented, scope=scope, route=route))

    def ready(self, timeout: float, *, required: bool = True) -> bool:
        """Wait until the guard holds a lease; tell whether it does.

        Args:
            timeout: seconds.
            required: raise where it does not.

        Raises:
            NotReadyError: it does not, and is required to.
        """
        thread = self._started()
        guard = thread.guard
        return thread.run(guard.ready(timeout, required=required))

    def wait_for(self, token: Token | str, timeout: float) -> bool:
        """Wait until the facts of a token are applied; tell whether they are.

        Args:
            token: what the server answered to the revocation.
            timeout: seconds.

        Raises:
            ValueError: it is not a token.
        """
        thread = self._started()
        return thread.run(thread.guard.wait_for(token, timeout))

    @property
    def counters(self) -> Counters:
        """What this process's guard did."""
        return self._started().guard.counters

    def close(self) -> None:
        """End this process's guard; a later check starts another."""
        with self._starting:
            thread, self._thread = self._thread, None
        if thread is not None:
            atexit.unregister(thread.stop)
            thread.stop()

    def _started(self) -> _GuardThread:
        thread = self._thread
        if thread is not None:
            return thread
        with self._starting:
            if self._thread is None:
                thread = _GuardThread(self._make)
                thread.start()
                thread.run(thread.guard.ready(self._patience, required=False))
                atexit.register(thread.stop)
                self._thread = thread
            return self._thread

    def begin_anew(self) -> None:
        """Begin anew in a child of a fork, which calls it by itself.

        The thread, and maybe its lock, stayed behind.
        """
        if self._thread is not None:
            # Kept: its end would talk on connections that are the parent's.
            _inherited.append(self._thread)
            atexit.unregister(self._thread.stop)
        self._starting, self._heavy = threading.Lock(), threading.Lock()
        self._thread = None


_all: WeakSet[ThreadedGuard] = WeakSet()
_inherited: list[_GuardThread] = []


def _forked() -> None:
    for guard in list(_all):
        guard.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _undisturbed(
    lock: threading.RLock, guard: AnyGuard[Any, Any], judging: Steps[Verdict]
) -> Verdict | None:
    """Judge in turns; None where facts were merged between two of them."""
    seen: tuple[object, ...] | None = None
    while True:
        with lock:
            standing = guard.standing
            table = standing.replica.registry
            now = (table, table.changes, standing.kept)
            if seen is not None and seen != now:
                return None
            seen = now
            verdict = _turn(judging)
        if verdict is not None:
            return verdict
        time.sleep(PAUSE_SECONDS)  # a lock is not fair: whoever waits takes it now


def _turn(judging: Steps[Verdict]) -> Verdict | None:
    """Go on for a turn; the verdict where that is the end."""
    try:
        next(judging)
        until = time.monotonic() + TURN_SECONDS
        while time.monotonic() < until:
            next(judging)
    except StopIteration as end:
        verdict: Verdict = end.value
        return verdict
    return None
