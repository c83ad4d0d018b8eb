"""A FastMCP server behind a guard: a tool runs only while its caller's token lives.

    pip install rescind-guard fastmcp
    export RESCIND_URL=https://rescind.internal RESCIND_GUARD_TOKEN=... JWT_KEY=...
    python fastmcp_server.py

Three places. The token verifier refuses a dead token with 401. `Permitted` runs each
request while its token lives, a tool's with the tool as scope: a call or a subscription
that runs when the token dies is cancelled and answered with an error. Those are all
that runs in the protocol of 2026-07-28, which has no sessions; what clients of older
ones hold open besides, a session's stream of messages, is cut by `GuardMiddleware`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import MutableMapping
from typing import Any

import jwt
import uvicorn
from fastmcp import Context, FastMCP
from fastmcp.server.auth import AccessToken, TokenVerifier
from fastmcp.server.dependencies import get_access_token
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from mcp.server.auth.middleware.bearer_auth import RequireAuthMiddleware
from mcp.shared.exceptions import MCPError
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from rescind_guard import DeniedError, Guard, Identifier, Presented, while_allowed
from rescind_guard.asgi import GuardMiddleware
from rescind_guard.threads import LoopGuard, ThreadedGuard

REFUSED = -32040  # of the numbers that are free for servers


def new_guard() -> Guard:
    """Give the guard that the thread runs."""
    return Guard(
        os.environ["RESCIND_URL"],
        os.environ["RESCIND_GUARD_TOKEN"],
        name="orders-fastmcp",
        live_sessions=True,
    )


# FastMCP imports some of its modules with the first call, for up to seconds: a guard in
# the server's loop would lose its lease, and deny.
guard = LoopGuard(ThreadedGuard(new_guard))


class Verifier(TokenVerifier):
    """Verify bearer tokens: the signature first, then whether they still live."""

    async def verify_token(self, token: str) -> AccessToken | None:
        """Give the token's claims; None refuses it.

        With your identity provider: RS256 or ES256, and the key from its JWKS.
        """
        try:
            claims = jwt.decode(
                token,
                os.environ["JWT_KEY"],
                algorithms=["HS256"],
                audience="orders",
                options={"require": ["sub", "jti", "iat", "exp"]},
            )
        except jwt.InvalidTokenError:
            return None
        verdict = await guard.check_in_turns(presented(claims))
        if not verdict.allowed:
            return None
        return AccessToken(
            token=token,
            client_id=claims["sub"],
            subject=claims["sub"],
            scopes=[],
            expires_at=claims["exp"],
            claims=claims,
        )


def presented(claims: dict[str, Any]) -> Presented:
    """Give what a caller with these verified claims presents."""
    who = (Identifier("agent.id", claims["sub"]), Identifier("jwt.jti", claims["jti"]))
    return Presented(who, issued_at=claims["iat"] * 1_000_000_000)


class Permitted(Middleware):
    """Serve each request while its caller is allowed."""

    async def on_request(
        self, context: MiddlewareContext[Any], call_next: CallNext[Any, Any]
    ) -> Any:
        """Serve a request."""
        token = get_access_token()
        if token is None:
            raise MCPError(REFUSED, "no credential")
        tool = getattr(context.message, "name", None)
        scope = f"mcp.tool|{tool}" if context.method == "tools/call" else None
        try:
            async with while_allowed(guard, presented(token.claims), scope=scope):
                return await call_next(context)
        except DeniedError as denied:
            raise MCPError(REFUSED, f"refused: {denied}") from None


def streaming(connection: MutableMapping[str, Any]) -> Presented:
    """Give what is presented by whoever opens a stream; its token is verified."""
    return presented(connection["user"].access_token.claims)


def guarded(app: Starlette) -> Starlette:
    """Put the guard behind the look at tokens, in front of the streams of sessions."""
    ends = [getattr(route, "endpoint", None) for route in app.routes]
    (door,) = [end for end in ends if isinstance(end, RequireAuthMiddleware)]
    door.app = streams_cut(door.app)
    return app


def streams_cut(app: ASGIApp) -> ASGIApp:
    """Have the streams of sessions cut; answers to requests end with these."""
    watched = GuardMiddleware(app, guard, streaming)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        await (watched if scope["method"] == "GET" else app)(scope, receive, send)

    return serve


server = FastMCP("orders", auth=Verifier(), middleware=[Permitted()])


@server.tool
async def list_orders() -> list[str]:
    """List the orders."""
    return ["order 1"]


@server.tool
async def watch_orders(seconds: float, context: Context) -> int:
    """Watch for new orders, and give their number."""
    await context.report_progress(0, seconds)
    await asyncio.sleep(seconds)
    return 0


async def main() -> None:
    """Run the guard while the server serves."""
    config = uvicorn.Config(
        guarded(server.http_app()),
        host="127.0.0.1",
        port=int(os.environ.get("PORT", "8080")),
    )
    async with guard:
        await guard.ready(10)
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(main())
