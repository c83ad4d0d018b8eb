"""A piece of work in a thread, such as a task of Celery, while its credential lives.

Nothing can end a thread from outside. When the credential dies, the work is told: its
next `demand`, `wait` or `commit` raises `DeniedError`, and so does its end. What waits
elsewhere is ended by a callback that closes what it waits for.

Where the work asks for it, it is interrupted: `DeniedError` is raised between any two
of its steps (CPython's ``PyThreadState_SetAsyncExc``), and in the process's main thread
also out of a call that waits, such as ``time.sleep``.
"""

from __future__ import annotations

import ctypes
import signal
import threading
from typing import TYPE_CHECKING, Any, Final, Self

from enforcement.tasks import DeniedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from agents_registry.presentation import Presented
    from enforcement.names import Names
    from enforcement.threads import ThreadedGuard
    from enforcement.token import Token
    from enforcement.verdict import Verdict
    from enforcement.watchlist import LiveSession

# A process ignores it by default, so one that comes late does nothing.
WAKE: Final[int] = getattr(signal, "SIGURG", 0)


class ThreadTask:
    """A context manager: the work of one thread.

    Attributes:
        verdict: what ended the work, None while it is allowed.
        ended: set once it is not any more.
    """

    def __init__(
        self,
        guard: ThreadedGuard,
        presented: Presented | Names,
        *,
        scope: str | None,
        route: str | None,
        end: Callable[[Verdict], object] | None,
        interrupt: bool,
    ) -> None:
        """Ask nothing yet; see `ThreadedGuard.task`."""
        self.verdict: Verdict | None = None
        self.ended = threading.Event()
        self._guard = guard
        self._presented = presented
        self._scope = scope
        self._route = route
        self._callback = end
        self._interrupts = interrupt
        self._thread = 0
        self._session: LiveSession
        self._before: Any = None

    def __enter__(self) -> Self:
        verdict = self._guard.check(
            self._presented, scope=self._scope, route=self._route
        )
        if not verdict.allowed:
            raise DeniedError(verdict)
        self._thread = threading.get_ident()
        if self._interrupts and _in_main_thread():
            self._before = signal.signal(WAKE, _nothing)
        try:
            self._session = self._guard.on_deny(
                self._presented, self._end, scope=self._scope, route=self._route
            )
        except BaseException:  # the interruption as well
            self._restore()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._leave()
        except DeniedError:  # the interruption, which comes once, and here at last
            self._leave()
        if self.verdict is not None and (error is None or isinstance(error, Exception)):
            interrupted = isinstance(error, DeniedError)
            raise DeniedError(self.verdict) from None if interrupted else error

    def demand(self) -> None:
        """Go on only while the credential lives.

        Raises:
            DeniedError: it does not.
        """
        if self.verdict is not None:
            raise DeniedError(self.verdict)

    def wait(self, seconds: float) -> None:
        """Sleep while the credential lives.

        Raises:
            DeniedError: it died.
        """
        self.ended.wait(seconds)
        self.demand()

    def commit(self) -> Token | None:
        """Ask once more before an effect becomes durable; see `Guard.commit`.

        Raises:
            DeniedError: it is denied.
        """
        return self._guard.commit(self._presented, scope=self._scope, route=self._route)

    def _end(self, verdict: Verdict) -> None:
        """End the work; called in the guard's thread."""
        self.verdict = verdict
        self.ended.set()
        if self._interrupts:
            _raise_in(self._thread, _interruption(verdict))
            if self._before is not None:
                signal.pthread_kill(self._thread, WAKE)
        if self._callback is not None:
            self._callback(verdict)

    def _leave(self) -> None:
        self._session.cancel()  # no interruption is sent any more
        self._restore()

    def _restore(self) -> None:
        if self._before is not None:
            signal.signal(WAKE, self._before)
            self._before = None


def _in_main_thread() -> bool:
    return WAKE != 0 and threading.current_thread() is threading.main_thread()


def _nothing(*_: object) -> None:
    """Take a signal: the interruption is raised here, out of the call that waits."""


def _interruption(verdict: Verdict) -> type[DeniedError]:
    """Return what is raised by its class alone."""

    class InterruptionError(DeniedError):
        def __init__(self) -> None:
            super().__init__(verdict)

    return InterruptionError


def _raise_in(thread: int, kind: type[BaseException]) -> None:
    """Raise something in a thread, with the next function that it calls."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(kind)
    )
