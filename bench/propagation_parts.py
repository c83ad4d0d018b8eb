"""The processes of the propagation benchmark, each started by its name.

``server`` and ``guard`` are the product; ``bare`` is the least that can do the same
with the same durability (one SQLite commit, one WebSocket message), and ``listener``
is at its other end. All clocks are CLOCK_MONOTONIC, which the processes of a host
share.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sqlite3
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web

from agents_registry.life import Reason
from enforcement.guard import Guard
from streams.apps.embedded import serve
from streams.process.lifecycle import configure_logging
from streams.settings.server import load

LOOK_AHEAD: Final = 4  # revocations in flight may overtake each other
DEADLINE: Final = 30.0
TOKENS: Final = {"revoker": "revoker", "restorer": "restorer", "guard": "guard"}


def parent(number: int) -> str:
    """Name the credential that is revoked."""
    return f"vault.accessor:parent{number}"


def child(number: int) -> str:
    """Name the credential that is presented."""
    return f"vault.accessor:child{number}"


async def server(settings: str) -> None:
    """Run the embedded server until SIGTERM; then tell its CPU time."""
    configure_logging(logging.WARNING)
    # As the program does it.
    await serve(load(Path(settings)), started=lambda _: gc.freeze())
    print(json.dumps({"cpu": time.process_time()}))


async def guard(url: str, count: str) -> None:
    """Check each child in turn and note when it is denied; tell at the end of input."""
    denied: dict[str, int] = {}
    waiting = deque(range(int(count)))
    async with (
        Guard(url, TOKENS["guard"], name="bench") as guarding,
        asyncio.TaskGroup() as tasks,
    ):
        async with asyncio.timeout(DEADLINE):
            while not guarding.check(child(len(waiting) - 1)).allowed:
                await guarding.feed.progress()
        print("ready", flush=True)

        async def watch() -> None:
            while waiting:
                for number in tuple(islice(waiting, LOOK_AHEAD)):
                    if guarding.check(child(number)).reason is Reason.REVOKED:
                        denied[str(number)] = time.monotonic_ns()
                        waiting.remove(number)
                await guarding.feed.progress()

        watching = tasks.create_task(watch())
        await asyncio.to_thread(sys.stdin.read)
        watching.cancel()
    print(json.dumps({"cpu": time.process_time(), "seen": denied}))


async def bare(folder: str) -> None:
    """Commit what is posted and tell every listener, then answer."""
    db = sqlite3.connect(
        Path(folder) / "bare.db", isolation_level=None, check_same_thread=False
    )
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE log (offset INTEGER PRIMARY KEY, value BLOB NOT NULL)")
    writer = ThreadPoolExecutor(1)
    sockets: set[web.WebSocketResponse] = set()

    async def post(request: web.Request) -> web.Response:
        body = await request.read()
        insert = "INSERT INTO log (value) VALUES (?)"
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(writer, db.execute, insert, (body,))
        for socket in sockets:
            await socket.send_bytes(body)
        return web.json_response({}, status=201)

    async def listen(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        sockets.add(socket)
        async for _ in socket:
            pass
        sockets.discard(socket)
        return socket

    app = web.Application()
    app.router.add_post("/v1/revocations", post)
    app.router.add_get("/v1/feed", listen)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()
    writer.shutdown()
    db.close()


async def listener(url: str) -> None:
    """Note when each message arrives; tell at the end of input."""
    seen: dict[str, int] = {}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/v1/feed") as socket,
        asyncio.TaskGroup() as tasks,
    ):
        print("ready", flush=True)

        async def watch() -> None:
            async for message in socket:
                at = time.monotonic_ns()
                name = json.loads(message.data)["identifier"]
                seen[name.removeprefix(parent(0)[:-1])] = at

        watching = tasks.create_task(watch())
        await asyncio.to_thread(sys.stdin.read)
        watching.cancel()
    print(json.dumps({"seen": seen}))


PARTS: Final = {"server": server, "guard": guard, "bare": bare, "listener": listener}


if __name__ == "__main__":
    asyncio.run(PARTS[sys.argv[1]](*sys.argv[2:]))  # type: ignore[operator]
