"""The examples of services behind a guard, each under a server that people use."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from asyncio.subprocess import DEVNULL, STDOUT
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import jwt

from bench.gateways.asked import Asked, Call
from bench.gateways.litellm import ended
from bench.kafka_broker import REPOSITORY
from tests.integration.gateways import reserved_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    End = Callable[[str], Awaitable[object]]

EXAMPLES: Final = REPOSITORY / "examples" / "guards"
KEY: Final = "a key of the benchmark, as long as the hash asks for"
GUNICORN: Final = ("gunicorn", "--bind", "127.0.0.1:{port}", "--preload", "--workers")
DJANGO: Final = "bench.gateways.django_app:application"
UVICORN: Final = ("uvicorn", "--port", "{port}", "--workers", "2", "fastapi_app:app")
MODERN: Final = {
    "mcp-protocol-version": "2026-07-28",
    "accept": "application/json, text/event-stream",
}
META: Final = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
PLAIN: Final = "FastAPI, a verified JWT alone"
PATIENCE: Final = 60.0  # seconds
WINDOW: Final = 10.0  # seconds, of what never ends
# Name: the command, and whether it has a stream at /events or speaks MCP.
SERVERS: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "aiohttp": (("aiohttp_app.py",), "/events"),
    "FastAPI, uvicorn": (("fastapi_app.py",), "/events"),
    "FastAPI, uvicorn, 2 workers": (("-m", *UVICORN), "/events"),
    "Flask, gunicorn, threads": (
        ("-m", *GUNICORN, "1", "--threads", "8", "flask_app:app"), "/events",
    ),
    "Flask, gunicorn, prefork": (("-m", *GUNICORN, "3", "flask_app:app"), "/events"),
    "Django, gunicorn, 2 x 4 threads": (
        ("-m", *GUNICORN, "2", "--threads", "4", DJANGO), "",
    ),
    "MCP SDK, 2026-07-28": (("mcp_server.py",), "mcp"),
    "FastMCP, 2026-07-28": (("fastmcp_server.py",), "mcp"),
    PLAIN: (
        ("-m", "uvicorn", "--port", "{port}", "bench.gateways.plain_app:app"),
        "/events",
    ),
}  # fmt: skip


def agent(number: int) -> str:
    """Name an agent."""
    return f"agent.id:agent{number}"


@asynccontextmanager
async def serving(
    name: str, work: Path, rescind: str, end: End
) -> AsyncIterator[Asked]:
    """Run a server until the context ends.

    Args:
        name: of `SERVERS`.
        work: folder for its log.
        rescind: URL of the Rescind server.
        end: revokes an identifier.
    """
    command, kind = SERVERS[name]
    with reserved_port() as port:
        arguments = [each.format(port=port) for each in command]
        environment = {
            **os.environ,
            "RESCIND_URL": rescind,
            "RESCIND_GUARD_TOKEN": "guard",
            "JWT_KEY": KEY,
            "PORT": str(port),
            "PYTHONPATH": f"{REPOSITORY}:{EXAMPLES}",
        }
        with (work / "server.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, cwd=EXAMPLES, env=environment,
                stdin=DEVNULL, stdout=log, stderr=STDOUT,
            )  # fmt: skip
        url = f"http://127.0.0.1:{port}"
        try:
            await listening(url, process)
            call, stream = _calls(url, kind)
            yield Asked(
                name,
                call,
                lambda number: end(agent(number)),
                stream,
                (process.pid,),
                WINDOW if name == PLAIN else PATIENCE,
            )
        finally:
            if process.returncode is None:
                process.terminate()
            await ended(process)


def _calls(
    url: str, kind: str
) -> tuple[Callable[[int], Call], Callable[[int], Call] | None]:
    """Give what makes a request, and a stream, of a numbered agent."""
    if kind == "mcp":
        return lambda number: _tool(url, number), None

    def get(path: str) -> Callable[[int], Call]:
        return lambda number: Call("GET", url + path, {"headers": bearer(number)})

    return get("/orders"), get(kind) if kind else None


def _tool(url: str, number: int) -> Call:
    body: dict[str, Any] = {
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "list_orders", "arguments": {}, "_meta": META},
    }  # fmt: skip
    headers = {"mcp-method": "tools/call", "mcp-name": "list_orders"}
    return Call(
        "POST",
        f"{url}/mcp",
        {"json": body, "headers": bearer(number) | MODERN | headers},
    )


def bearer(number: int) -> dict[str, str]:
    """Give the header with a token of an agent."""
    now = int(time.time()) - 60
    claims = {
        "sub": f"agent{number}", "jti": f"t{number}", "aud": "orders",
        "iat": now, "exp": now + 3600,
    }  # fmt: skip
    return {"Authorization": f"Bearer {jwt.encode(claims, KEY, algorithm='HS256')}"}


async def listening(url: str, process: asyncio.subprocess.Process) -> None:
    """Wait until a server answers anything."""
    async with aiohttp.ClientSession() as web:
        while True:
            assert process.returncode is None, "it ended; see its log"
            try:
                async with web.get(url):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)
