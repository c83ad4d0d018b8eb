"""gRPC on asyncio: check each call, and end calls that stream with their credential.

Install ``rescind-guard[grpc]``. Handlers are async, as `grpc.aio` wants them. A call
with a stream in either direction is watched; its handler is cancelled when the
credential dies. A plain call is checked once. A denial is UNAUTHENTICATED where a web
server answers 401, else PERMISSION_DENIED, with the reason as its text.
"""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
from grpc import aio

from enforcement.refusal import must_watch, reason_of, refusal, shown
from enforcement.tasks import DeniedError, while_allowed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from enforcement.loops import AskedInLoop
    from enforcement.refusal import Asks, Presents
    from enforcement.verdict import Verdict

Details: TypeAlias = grpc.HandlerCallDetails
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "aio.ServicerContext[Any, Any]"
Behaviour: TypeAlias = "Callable[[Any, Context], Any]"


class GuardInterceptor(aio.ServerInterceptor):
    """Let a guard decide about all calls of a server."""

    def __init__(
        self,
        guard: AskedInLoop,
        presented: Presents[Details],
        *,
        scope: Asks[Details] | None = None,
        route: Asks[Details] | None = None,
    ) -> None:
        """Stand before a server's handlers.

        Args:
            guard: of any kind; it runs while the server serves.
            presented: gives what a call presents (its ``invocation_metadata``), after
                its signature was verified; None where there is nothing. May be async.
            scope: gives the ``namespace|value`` that a call asks for, or None.
            route: gives the name of the guard's route with a mode of its own, or None.

        Raises:
            ValueError: the guard was made without ``live_sessions``.
        """
        must_watch(guard)
        self._guard = guard
        self._presented = presented
        self._scope = scope
        self._route = route

    async def intercept_service(
        self,
        continuation: Callable[[Details], Awaitable[Handler | None]],
        handler_call_details: Details,
    ) -> Handler | None:
        """Wrap the handler of one call."""
        details = handler_call_details
        handler = await continuation(details)
        if handler is None:
            return None  # there is no such method, and gRPC says so
        names = await shown(self._presented, details)
        scope = None if self._scope is None else self._scope(details)
        route = None if self._route is None else self._route(details)
        guard, (kind, inner) = self._guard, _behaviour(handler)

        async def plain(request: Any, context: Context) -> Any:
            if names is None:
                return await _refuse(context, None)
            verdict = await guard.check_in_turns(names, scope=scope, route=route)
            if not verdict.allowed:
                return await _refuse(context, verdict)
            return await inner(request, context)

        async def streaming(request: Any, context: Context) -> Any:
            if names is None:
                return await _refuse(context, None)
            try:
                async with while_allowed(guard, names, scope=scope, route=route):
                    return await _run(inner, request, context)
            except DeniedError as denied:
                return await _refuse(context, denied.verdict)

        wrap = getattr(grpc, f"{kind}_rpc_method_handler")
        behaviour = plain if kind == "unary_unary" else streaming
        wrapped: Handler = wrap(
            behaviour, handler.request_deserializer, handler.response_serializer
        )
        return wrapped


def _behaviour(handler: Handler) -> tuple[str, Behaviour]:
    """Shape of a handler, and its function."""
    asks = "stream" if handler.request_streaming else "unary"
    answers = "stream" if handler.response_streaming else "unary"
    kind = f"{asks}_{answers}"
    return kind, getattr(handler, kind)


async def _run(inner: Behaviour, request: Any, context: Context) -> Any:
    """Run a handler, whether it yields its answers or writes them."""
    outcome = inner(request, context)
    if not hasattr(outcome, "__aiter__"):
        return await outcome
    async with contextlib.aclosing(outcome):
        async for answer in outcome:
            await context.write(answer)
    return None


async def _refuse(context: Context, verdict: Verdict | None) -> None:
    code = grpc.StatusCode.PERMISSION_DENIED
    if refusal(verdict).status == HTTPStatus.UNAUTHORIZED:
        code = grpc.StatusCode.UNAUTHENTICATED
    await context.abort(code, reason_of(verdict))
