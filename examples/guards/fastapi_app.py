"""A FastAPI service behind a guard: checked requests, streams that end in time.

pip install rescind-guard pyjwt fastapi uvicorn websockets
export RESCIND_URL=https://rescind.internal RESCIND_GUARD_TOKEN=... JWT_KEY=...
python fastapi_app.py
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import jwt
import uvicorn
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from starlette.datastructures import Headers

from rescind_guard import Guard, Identifier, Presented
from rescind_guard.asgi import GuardMiddleware

guard = Guard(
    os.environ["RESCIND_URL"],
    os.environ["RESCIND_GUARD_TOKEN"],
    name=f"orders-fastapi-{os.getpid()}",  # each worker has one
    live_sessions=True,
)


def presented(scope: MutableMapping[str, Any]) -> Presented | None:
    """Give what a caller presents, once its signature is verified.

    With your identity provider: RS256 or ES256, and the key from its JWKS.
    """
    header = Headers(scope=scope).get("authorization", "")
    scheme, _, token = header.partition(" ")
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


@asynccontextmanager
async def running(_: FastAPI) -> AsyncIterator[None]:
    """Run the guard while the application serves."""
    async with guard:
        await guard.ready(10)
        yield


app = FastAPI(lifespan=running)
app.add_middleware(GuardMiddleware, guard=guard, presented=presented)


@app.get("/orders")
async def orders() -> list[str]:
    """Answer at once."""
    return ["order 1"]


@app.get("/events")
async def events() -> StreamingResponse:
    """Send an event a second, for hours: it ends when the token does."""

    async def numbers() -> AsyncIterator[str]:
        for number in range(100_000):
            yield f"data: order {number}\n\n"
            await asyncio.sleep(1)

    return StreamingResponse(numbers(), media_type="text/event-stream")


@app.websocket("/chat")
async def chat(socket: WebSocket) -> None:
    """Echo, until one of the two goes or the token ends."""
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
