"""An aiohttp service behind a guard: checked requests, streams that end in time.

pip install rescind-guard pyjwt
export RESCIND_URL=https://rescind.internal RESCIND_GUARD_TOKEN=... JWT_KEY=...
python aiohttp_app.py
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import jwt
from aiohttp import web

from rescind_guard import Guard, Identifier, Presented
from rescind_guard.aiohttp import protect

guard = Guard(
    os.environ["RESCIND_URL"],
    os.environ["RESCIND_GUARD_TOKEN"],
    name="orders-aiohttp",
    live_sessions=True,
)


def presented(request: web.Request) -> Presented | None:
    """Give what a caller presents, once its signature is verified.

    With your identity provider: RS256 or ES256, and the key from its JWKS.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer":
        return None
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
    who = (Identifier("agent.id", claims["sub"]), Identifier("jwt.jti", claims["jti"]))
    return Presented(who, issued_at=claims["iat"] * 1_000_000_000)


async def orders(_: web.Request) -> web.Response:
    """Answer at once."""
    return web.json_response(["order 1"])


async def events(request: web.Request) -> web.StreamResponse:
    """Send an event a second, for hours: it ends when the token does."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for number in range(100_000):
        await response.write(f"data: order {number}\n\n".encode())
        await asyncio.sleep(1)
    return response


async def running(_: web.Application) -> AsyncIterator[None]:
    """Run the guard while the application serves."""
    async with guard:
        await guard.ready(10)
        yield


app = web.Application()
protect(app, guard, presented)
app.cleanup_ctx.append(running)
app.router.add_get("/orders", orders)
app.router.add_get("/events", events)

if __name__ == "__main__":
    host, port = os.environ.get("HOST", "127.0.0.1"), os.environ.get("PORT", "8080")
    web.run_app(app, host=host, port=int(port))
