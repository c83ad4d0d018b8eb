"""ASGI 3: check each request, and end what stays open once its credential dies.

Works with whatever speaks ASGI on asyncio: FastAPI, Starlette, Litestar under uvicorn
or Hypercorn; it imports none of them. Each response is watched from its start to its
last byte, each WebSocket from its acceptance. When the credential dies, nothing passes
any more, the application is cancelled, and then

- a WebSocket is closed with code 1008;
- an HTTP response stays incomplete, on which servers cut the connection, so that its
  client cannot take the part for the whole. Uvicorn logs "returned without completing
  response" then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import define

from enforcement.refusal import (
    POLICY_VIOLATION,
    is_ending,
    must_watch,
    refusal,
    shown,
)

if TYPE_CHECKING:
    from agents_registry.presentation import Presented
    from enforcement.loops import AskedInLoop, Watched
    from enforcement.names import Names
    from enforcement.refusal import Asks, Presents
    from enforcement.verdict import Verdict

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

SECOND: Final = 1_000_000_000
_BEGINS: Final = frozenset({"http.response.start", "websocket.accept"})


class GuardMiddleware:
    """Let a guard decide about all requests of an ASGI application.

    What needs no credential (health) belongs beside it: put it around the part that
    does.
    """

    def __init__(
        self,
        app: App,
        guard: AskedInLoop,
        presented: Presents[Scope],
        *,
        scope: Asks[Scope] | None = None,
        route: Asks[Scope] | None = None,
    ) -> None:
        """Stand before an application.

        Args:
            app: the application. The guard runs while it serves: enter it in the
                application's lifespan.
            guard: of any kind.
            presented: gives what a connection (its ASGI scope) presents, after its
                signature was verified; None where there is nothing (401). May be
                async.
            scope: gives the ``namespace|value`` that a request asks for, or None.
            route: gives the name of the guard's route with a mode of its own, or
                None.

        Raises:
            ValueError: the guard was made without ``live_sessions``.
        """
        must_watch(guard)
        self._app = app
        self._guard = guard
        self._presented = presented
        self._scope = scope
        self._route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        names = await shown(self._presented, scope)
        if names is None:
            await _refuse(scope, receive, send, None)
            return
        wanted = None if self._scope is None else self._scope(scope)
        through = None if self._route is None else self._route(scope)
        verdict = await self._guard.check_in_turns(names, scope=wanted, route=through)
        if not verdict.allowed:
            await _refuse(scope, receive, send, verdict)
            return
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine on asyncio runs in one
        exchange = AllowedConnection(
            self._guard, names, wanted, through, task, receive, send
        )
        await exchange.serve(self._app, scope)


@define(slots=True, eq=False)
class AllowedConnection:
    """A connection that was allowed, while the application serves it.

    Attributes:
        task: runs the application.
        accepted: a WebSocket is open.
        verdict: what ended it.
    """

    guard: AskedInLoop
    presented: Presented | Names
    scope: str | None
    route: str | None
    task: asyncio.Task[Any]
    _receive: Receive
    _send: Send
    accepted: bool = False
    session: Watched | None = None
    verdict: Verdict | None = None

    async def serve(self, app: App, scope: Scope) -> None:
        """Run the application."""
        failed: BaseException | None = None
        try:
            await app(scope, self.receive, self.send)
        except BaseException as error:
            # Everything passes: what is raised here is sorted, never swallowed.
            if self.verdict is None:
                raise
            failed = error
        finally:
            if self.session is not None:
                self.session.cancel()
        if self.verdict is not None:
            await self._finish(self.verdict, failed)

    def end(self, verdict: Verdict) -> None:
        """Let nothing pass any more, and stop the application."""
        self.verdict = verdict
        self.task.cancel()

    async def receive(self) -> Message:
        """Receive for the application."""
        if self.verdict is None:
            return await self._receive()
        if self.accepted:
            return {"type": "websocket.disconnect", "code": POLICY_VIOLATION}
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Send for the application.

        Raises:
            ConnectionAbortedError: the session was ended.
        """
        if self.verdict is not None:
            raise ConnectionAbortedError("the credential of this session is dead")
        kind = message["type"]
        if kind in _BEGINS and self.session is None:
            self.session = self.guard.on_deny(
                self.presented, self.end, scope=self.scope, route=self.route
            )
        self.accepted = kind == "websocket.accept" or (
            self.accepted and kind != "websocket.close"
        )
        await self._send(message)

    async def _finish(self, verdict: Verdict, error: BaseException | None) -> None:
        """Say goodbye for a session that was ended, once its application is through.

        Raises:
            CancelledError: others want the task to end as well.
        """
        if self.task.uncancel() > 0:
            raise asyncio.CancelledError
        if self.accepted:
            await self._close(verdict)
        if error is not None and not is_ending(error):
            raise error

    async def _close(self, verdict: Verdict) -> None:
        reason = verdict.reason.value
        close = {"type": "websocket.close", "code": POLICY_VIOLATION, "reason": reason}
        try:
            async with asyncio.timeout(self.guard.standing.lease.length / SECOND / 4):
                await self._send(close)
        except (TimeoutError, OSError, RuntimeError):
            pass  # it is gone, or does not read: the server drops it when we return


async def _refuse(
    scope: Scope, receive: Receive, send: Send, verdict: Verdict | None
) -> None:
    """Answer a connection that is not served."""
    answer = refusal(verdict)
    headers = [
        (name.encode(), value.encode()) for name, value in answer.headers.items()
    ]
    kind = "http"
    if scope["type"] == "websocket":
        await receive()  # websocket.connect comes first
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        kind = "websocket.http"
    start = {"status": answer.status, "headers": headers}
    await send({"type": f"{kind}.response.start", **start})
    await send({"type": f"{kind}.response.body", "body": answer.body})
