"""ContextForge behind a guard: none of its routes serves a dead token, and streams end.

    pip install rescind-guard mcp-contextforge-gateway uvicorn
    export RESCIND_URL=https://rescind.internal RESCIND_GUARD_TOKEN=...
    uvicorn rescind_contextforge:app

The guard stands in front of the whole application. ContextForge's hooks for plugins do
not reach the routes of its MCP transport, and a hook that fails lets a request pass.

What a token says of itself is asked about before ContextForge verifies its signature:
a forged one that the guard lets through is refused by ContextForge.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from http.cookies import SimpleCookie
from typing import Any

import jwt
from mcpgateway.main import app as gateway
from mcpgateway.utils.verify_credentials import get_auth_header_value
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from rescind_guard import Guard, Identifier, Presented
from rescind_guard.asgi import GuardMiddleware
from rescind_guard.threads import LoopGuard, ThreadedGuard

SECOND = 1_000_000_000
COOKIES = ("jwt_token", "access_token")  # of its console


def new_guard() -> Guard:
    """Make the guard of a worker process, under a name of its own."""
    return Guard(
        os.environ["RESCIND_URL"],
        os.environ["RESCIND_GUARD_TOKEN"],
        name=f"contextforge-{os.uname().nodename}-{os.getpid()}",
        live_sessions=True,
    )


# In a thread: ContextForge may hold its loop for longer than a lease.
guard = LoopGuard(ThreadedGuard(new_guard))


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve ContextForge, and run the guard for as long."""
    if scope["type"] == "lifespan":
        async with guard:
            await gateway(scope, receive, send)
    elif token(scope) is None:  # a page to log in, health, or refused by ContextForge
        await gateway(scope, receive, send)
    else:
        await guarded(scope, receive, send)


def token(scope: MutableMapping[str, Any]) -> str | None:
    """Give the token of a connection, from where ContextForge takes it."""
    headers = Headers(raw=scope["headers"])
    scheme, _, value = (get_auth_header_value(headers) or "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    cookies = SimpleCookie(headers.get("cookie"))
    found = [cookies[name].value for name in COOKIES if name in cookies]
    return found[0].removeprefix("Bearer ") if found else None


def presented(scope: MutableMapping[str, Any]) -> Presented | tuple[()]:
    """Give what a token says of itself; nothing, which is denied, if it says none."""
    try:
        claims = jwt.decode(token(scope) or "", options={"verify_signature": False})
        who = [Identifier("jwt.sub", f"{claims['iss']}|{claims['sub']}")]
        if "jti" in claims:
            who.append(Identifier("jwt.jti", claims["jti"]))
        issued_at = None if "iat" not in claims else int(claims["iat"]) * SECOND
        return Presented(tuple(who), issued_at=issued_at)
    except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
        return ()


guarded = GuardMiddleware(gateway, guard, presented)
