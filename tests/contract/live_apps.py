"""The same streaming application on aiohttp and on ASGI, each with its middleware.

Who presents what stands in the query: ``?credential=vault.accessor:child``, and with
``&route=`` the route of the guard.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import uvicorn
from aiohttp import web
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

from enforcement.aiohttp import protect
from enforcement.asgi import GuardMiddleware

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from starlette.websockets import WebSocket

    from enforcement import Guard

TICK = 0.01
STUBBORN = 3.0


async def ticks(quiet: bool = False) -> AsyncIterator[bytes]:
    """Give an event now, and then again and again, or never."""
    yield b"data: first\n\n"
    while True:
        await (asyncio.Event().wait() if quiet else asyncio.sleep(TICK))
        yield b"data: tick\n\n"


# --- aiohttp ------------------------------------------------------------------------


async def plain(request: web.Request) -> web.Response:
    """Answer at once."""
    return web.json_response({"path": request.path})


async def stream(request: web.Request) -> web.StreamResponse:
    """Stream from the handler."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    async for event in ticks(quiet="quiet" in request.query):
        await response.write(event)
    return response


async def payload(request: web.Request) -> web.Response:
    """Give a body that is made while it is sent."""
    return web.Response(body=ticks(quiet="quiet" in request.query))


async def chat(request: web.Request) -> web.WebSocketResponse:
    """Echo; say something when nobody else does."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    if "stubborn" in request.query:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.sleep(STUBBORN)
        return socket
    try:
        async for message in socket:
            await socket.send_str(message.data)
    finally:
        if "bug" in request.query:
            raise RuntimeError("a bug in tidying up")
    return socket


@asynccontextmanager
async def on_aiohttp(guard: Guard) -> AsyncIterator[str]:
    """Serve on aiohttp; give the URL."""
    app = web.Application()
    protect(
        app,
        guard,
        lambda request: request.query.getall("credential", None),
        route=lambda request: request.query.get("route"),
        scope=lambda request: request.query.get("scope"),
    )
    app.router.add_get("/plain", plain)
    app.router.add_get("/stream", stream)
    app.router.add_get("/payload", payload)
    app.router.add_get("/chat", chat)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


# --- ASGI ---------------------------------------------------------------------------


async def asgi_plain(request: Request) -> JSONResponse:
    """Answer at once."""
    return JSONResponse({"path": request.url.path})


async def asgi_stream(request: Request) -> StreamingResponse:
    """Stream events."""
    body = ticks(quiet="quiet" in request.query_params)
    return StreamingResponse(body, media_type="text/event-stream")


async def asgi_chat(websocket: WebSocket) -> None:
    """Echo."""
    await websocket.accept()
    if "stubborn" in websocket.query_params:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        with contextlib.suppress(ConnectionError):
            await websocket.send_text("still here")
        return
    try:
        async for message in websocket.iter_text():
            await websocket.send_text(message)
    finally:
        if "bug" in websocket.query_params:
            raise RuntimeError("a bug in tidying up")


def asked(name: str) -> Callable[[Any], Any]:
    """Give a function that reads the query of an ASGI scope."""

    def read(scope: Any) -> str | None:
        found = parse_qs(scope["query_string"].decode()).get(name)
        return found[0] if found else None

    return read


class Quiet(uvicorn.Server):
    """A server that leaves the signals to pytest."""

    def capture_signals(self) -> Any:
        """Capture none."""
        return contextlib.nullcontext()


@asynccontextmanager
async def on_uvicorn(guard: Guard) -> AsyncIterator[str]:
    """Serve on a real uvicorn; give the URL."""
    presented = asked("credential")

    async def presents(scope: Any) -> Any:
        await asyncio.sleep(0)  # an application may have to ask somebody
        return presented(scope)

    app = Starlette(
        routes=[
            Route("/plain", asgi_plain),
            Route("/stream", asgi_stream),
            Route("/payload", asgi_stream),
            WebSocketRoute("/chat", asgi_chat),
        ],
        middleware=[
            Middleware(
                GuardMiddleware,
                guard=guard,
                presented=presents,
                route=asked("route"),
                scope=asked("scope"),
            )
        ],
    )
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1
        )
        server = Quiet(config)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(server.serve(sockets=[listening]))
            try:
                while not server.started:
                    assert not task.done()
                    await asyncio.sleep(0.001)
                yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            finally:
                server.should_exit = True
