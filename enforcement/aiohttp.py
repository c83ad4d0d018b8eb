"""aiohttp.web: check each request, and end what stays open once its credential dies.

A response that streams (a WebSocket, events, a file) is watched from its first byte to
its last. When its credential dies, the handler is cancelled; a WebSocket is closed
with code 1008, and the connection of any other stream is cut, so that its client
cannot take the part for the whole. A plain response is not watched: it was allowed a
moment ago, and its handler may be in the middle of a change.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from attrs import define

from enforcement.refusal import (
    POLICY_VIOLATION,
    is_ending,
    must_watch,
    reason_of,
    refusal,
    shown,
)

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from agents_registry.presentation import Presented
    from enforcement.loops import AskedInLoop, Watched
    from enforcement.names import Names
    from enforcement.refusal import Asks, Presents
    from enforcement.verdict import Verdict

SECOND: Final = 1_000_000_000


@define(slots=True, eq=False)
class AllowedRequest:
    """A request that was allowed, while its handler runs.

    Attributes:
        task: runs the handler.
        patience: seconds for the closing handshake of a WebSocket.
        verdict: what ended it.
    """

    guard: AskedInLoop
    request: web.Request
    presented: Presented | Names
    scope: str | None
    route: str | None
    task: asyncio.Task[Any]
    patience: float
    session: Watched | None = None
    response: web.StreamResponse | None = None
    verdict: Verdict | None = None

    def watch(self, response: web.StreamResponse) -> None:
        """Have the response ended when the credential dies."""
        self.response = response
        self.session = self.guard.on_deny(
            self.presented, self.end, scope=self.scope, route=self.route
        )

    def end(self, verdict: Verdict) -> None:
        """Stop the handler and the data."""
        self.verdict = verdict
        self.task.cancel()
        if isinstance(self.response, web.WebSocketResponse):
            # Should the handler not give way, or the client not answer.
            self.task.get_loop().call_later(self.patience, self.abort)
        else:
            self.abort()

    def abort(self) -> None:
        """Cut the connection."""
        if self.request.transport is not None:
            self.request.transport.abort()

    async def finish(self, error: BaseException | None) -> web.StreamResponse:
        """Say goodbye for a session that was ended, once its handler is through.

        Raises:
            CancelledError: others want the task to end as well.
        """
        if self.task.uncancel() > 0:
            raise asyncio.CancelledError
        response = self.response
        assert response is not None  # noqa: S101 - only what is watched ends
        if isinstance(response, web.WebSocketResponse) and response.prepared:
            # Not for longer than `end` lets it: then the connection is cut.
            reason = reason_of(self.verdict).encode()
            await response.close(code=POLICY_VIOLATION, message=reason)
        else:
            self.abort()
        if error is not None and not is_ending(error):
            raise error
        return response

    def over(self) -> None:
        """Watch no longer."""
        if self.session is not None:
            self.session.cancel()


EXCHANGE: Final = web.RequestKey("rescind_exchange", AllowedRequest)


def protect(
    app: web.Application,
    guard: AskedInLoop,
    presented: Presents[web.Request],
    *,
    scope: Asks[web.Request] | None = None,
    route: Asks[web.Request] | None = None,
) -> None:
    """Let a guard decide about all requests of an application.

    Middlewares that are there already stay outside, so an authenticating one may hand
    over what it verified. Middlewares added later see streams that have ended already
    only when those are over, as they are sent from within. What needs no credential
    (health) belongs into another application of the same server.

    Args:
        app: not yet started. The guard runs while it serves: enter it in a
            `cleanup_ctx`.
        guard: of any kind.
        presented: gives what a request presents, after its signature was verified;
            None where there is nothing (401). May be async.
        scope: gives the ``namespace|value`` that a request asks for, or None.
        route: gives the name of the guard's route with a mode of its own, or None.

    Raises:
        ValueError: the guard was made without ``live_sessions``.
    """
    must_watch(guard)

    @web.middleware
    async def decide(request: web.Request, handler: Handler) -> web.StreamResponse:
        names = await shown(presented, request)
        if names is None:
            return _refused(None)
        wanted = None if scope is None else scope(request)
        through = None if route is None else route(request)
        verdict = await guard.check_in_turns(names, scope=wanted, route=through)
        if not verdict.allowed:
            return _refused(verdict)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine of aiohttp runs in one
        patience = guard.standing.lease.length / SECOND / 4
        exchange = AllowedRequest(
            guard, request, names, wanted, through, task, patience
        )
        request[EXCHANGE] = exchange
        return await _serve(exchange, handler)

    app.middlewares.append(decide)
    app.on_response_prepare.append(_watch)


async def _serve(exchange: AllowedRequest, handler: Handler) -> web.StreamResponse:
    """Run a handler, and see to it that a stream is sent from within."""
    failed: BaseException | None = None
    response: web.StreamResponse | None = None
    try:
        response = await handler(exchange.request)
        if not _is_plain(response):
            await response.prepare(exchange.request)
            await response.write_eof()
    except BaseException as error:
        # Everything passes: what is raised here is sorted, never swallowed.
        if exchange.verdict is None:
            raise
        failed = error
    finally:
        exchange.over()
    if exchange.verdict is not None:
        return await exchange.finish(failed)
    assert response is not None  # noqa: S101 - else it was raised
    return response


async def _watch(request: web.Request, response: web.StreamResponse) -> None:
    """Begin to watch, with the first byte of a response that streams."""
    exchange = request.get(EXCHANGE)
    if exchange is not None and exchange.response is None and not _is_plain(response):
        exchange.watch(response)


def _is_plain(response: web.StreamResponse) -> bool:
    """Whether a response has all of its bytes already."""
    return isinstance(response, web.Response) and isinstance(
        response.body, bytes | bytearray | None
    )


def _refused(verdict: Verdict | None) -> web.Response:
    answer = refusal(verdict)
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
