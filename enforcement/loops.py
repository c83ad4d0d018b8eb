"""A guard for an event loop that may be busy: its feed has a thread of its own.

`Guard` runs in the application's loop. Whatever holds that loop for a lease, such as
work that should have been in a thread, costs the lease, and everything is denied.
`LoopGuard` asks a `ThreadedGuard` instead; middlewares and tasks take either.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol, Self

from attrs import define

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.presentation import Presented
    from enforcement.names import Names
    from enforcement.standing import AnyStanding
    from enforcement.threads import ThreadedGuard
    from enforcement.token import Token
    from enforcement.verdict import Verdict
    from enforcement.watchlist import LiveSession


class Watched(Protocol):
    """A session that is watched, see `LiveSession`."""

    def cancel(self) -> None:
        """Watch it no longer."""
        ...


class AskedInLoop(Protocol):
    """What middlewares and tasks ask in an event loop; see `enforcement.guard`.

    Attributes:
        live_sessions: it may watch sessions on routes that fail closed.
    """

    live_sessions: bool

    @property
    def standing(self) -> AnyStanding[Any, Any]:
        """Replica and lease."""
        ...

    async def check_in_turns(
        self,
        presented: Presented | Names,
        *,
        scope: str | None = None,
        at_least: Token | str | None = None,
        route: str | None = None,
    ) -> Verdict:
        """Judge a credential now."""
        ...

    async def commit(
        self,
        presented: Presented | Names,
        *,
        scope: str | None = None,
        route: str | None = None,
    ) -> Token | None:
        """Ask once more before an effect becomes durable."""
        ...

    def on_deny(
        self,
        presented: Presented | Names,
        callback: Callable[[Verdict], object],
        *,
        scope: str | None = None,
        route: str | None = None,
    ) -> Watched:
        """Have a running session ended when its credential dies."""
        ...


@define(eq=False)
class LoopSession:
    """A session whose end is told in the loop that opened it.

    Attributes:
        active: neither ended nor cancelled.
    """

    _callback: Callable[[Verdict], object]
    active: bool = True
    _watched: LiveSession | None = None

    def watched_by(self, session: LiveSession) -> None:
        """Note the guard's own session."""
        self._watched = session

    def cancel(self) -> None:
        """Watch it no longer; the callback will not be called. Repeating is fine."""
        self.active = False
        if self._watched is not None:
            self._watched.cancel()

    def end(self, verdict: Verdict) -> None:
        """Call the callback, unless that is over; in the loop."""
        if self.active:
            self.active = False
            self._callback(verdict)


class LoopGuard:
    """Asks a guard in a thread as if it ran in this loop.

    An async context manager, which starts the guard and ends it. The guard must be made
    with ``live_sessions=True``.
    """

    live_sessions = True

    def __init__(self, guard: ThreadedGuard) -> None:
        """Ask a guard."""
        self._guard = guard

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._guard.__enter__)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._guard.close)

    @property
    def standing(self) -> AnyStanding[Any, Any]:
        """Replica and lease."""
        return self._guard.standing

    async def check_in_turns(
        self,
        presented: Presented | Names,
        *,
        scope: str | None = None,
        at_least: Token | str | None = None,
        route: str | None = None,
    ) -> Verdict:
        """Judge a credential as `Guard.check` does; what takes long in a thread."""
        verdict = self._guard.check_at_once(
            presented, scope=scope, at_least=at_least, route=route
        )
        if verdict is not None:
            return verdict
        return await asyncio.to_thread(
            self._guard.check, presented, scope=scope, at_least=at_least, route=route
        )

    async def commit(
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
        return await asyncio.to_thread(
            self._guard.commit, presented, scope=scope, route=route
        )

    async def ready(self, timeout: float, *, required: bool = True) -> bool:  # noqa: ASYNC109
        """Wait until the guard holds a lease; see `Guard.ready`."""
        return await asyncio.to_thread(self._guard.ready, timeout, required=required)

    def on_deny(
        self,
        presented: Presented | Names,
        callback: Callable[[Verdict], object],
        *,
        scope: str | None = None,
        route: str | None = None,
    ) -> LoopSession:
        """Have a running session ended when its credential dies; see `Guard.on_deny`.

        The callback is called in the loop that runs now.
        """
        loop = asyncio.get_running_loop()
        session = LoopSession(callback)

        def end(verdict: Verdict) -> None:
            loop.call_soon_threadsafe(session.end, verdict)

        watched = self._guard.on_deny(presented, end, scope=scope, route=route)
        session.watched_by(watched)
        return session
