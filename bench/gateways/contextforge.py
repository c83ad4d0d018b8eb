"""ContextForge behind the guard of examples/gateways/contextforge, or without."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
import uuid
from asyncio.subprocess import DEVNULL, STDOUT
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import jwt
from attrs import define

from bench.gateways.litellm import ended
from bench.kafka_broker import REPOSITORY
from bench.peers.environment import FOLDER, python_of

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

PINS: Final = (
    "mcp-contextforge-gateway==1.0.7.post20260921", "aiohttp==3.14.5", "attrs==26.1.0",
)  # fmt: skip
EXAMPLE: Final = REPOSITORY / "examples" / "gateways" / "contextforge"
ADMIN: Final = "admin@example.com"
ISSUER: Final = "mcpgateway"
SECRET: Final = "a secret of a test, as long as the gateway asks for"  # noqa: S105
SETTINGS: Final = {
    "JWT_SECRET_KEY": SECRET,
    "AUTH_ENCRYPTION_SECRET": f"another: {SECRET}",
    "PLATFORM_ADMIN_EMAIL": ADMIN,
    "PLATFORM_ADMIN_PASSWORD": "A-word-of-tests-1!",
    "BASIC_AUTH_PASSWORD": "A-word-of-tests-2!",
    "DEFAULT_USER_PASSWORD": "A-word-of-tests-3!",
    "MCPGATEWAY_UI_ENABLED": "false",
    "ENVIRONMENT": "development",
    "CACHE_TYPE": "memory",
    "RATE_LIMITING_ENABLED": "false",  # what is asked here is asked often
    "LOG_LEVEL": "WARNING",
}


def signed() -> str:
    """Give a token of the administrator."""
    now = int(time.time())
    user = {"email": ADMIN, "full_name": "a test", "is_admin": True}
    claims: dict[str, Any] = {
        "iss": ISSUER, "aud": "mcpgateway-api", "sub": ADMIN, "username": ADMIN,
        "jti": str(uuid.uuid4()), "iat": now, "exp": now + 3600,
        "env": "development", "teams": None, "user": user,
    }  # fmt: skip
    return jwt.encode(claims, SECRET, algorithm="HS256")


def jti(token: str) -> str:
    """Give the id of a token."""
    return str(jwt.decode(token, options={"verify_signature": False})["jti"])


@define
class ContextForge:
    """A gateway that runs.

    Attributes:
        url: of its API.
        pid: of its process.
    """

    url: str
    pid: int
    _database: Path

    async def revoke(self, token: str) -> None:
        """Revoke a token, as another process of the gateway does."""
        with closing(sqlite3.connect(self._database)) as rows, rows:
            rows.execute(
                "INSERT INTO token_revocations (jti, revoked_by) VALUES (?, ?)",
                (jti(token), ADMIN),
            )


@asynccontextmanager
async def gateway(
    work: Path, port: int, rescind: str | None
) -> AsyncIterator[ContextForge]:
    """Run a gateway until the context ends.

    Args:
        work: folder for its files.
        port: that it listens on.
        rescind: URL of the server; None for a gateway without the guard.
    """
    database = work / "gateway.db"
    environment = {
        **os.environ,
        **SETTINGS,
        "DATABASE_URL": f"sqlite:///{database}",
        "PYTHONPATH": f"{REPOSITORY}:{EXAMPLE}",
        "RESCIND_URL": rescind or "",
        "RESCIND_GUARD_TOKEN": "guard",
    }
    app = "mcpgateway.main:app" if rescind is None else "rescind_contextforge:app"
    python = await asyncio.to_thread(python_of, *PINS, folder=FOLDER)
    with (work / "contextforge.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            python, "-m", "uvicorn", app, "--port", str(port),
            "--timeout-graceful-shutdown", "1",
            cwd=work, env=environment, stdin=DEVNULL, stdout=log, stderr=STDOUT,
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        await _healthy(url, process)
        yield ContextForge(url, process.pid, database)
    finally:
        if process.returncode is None:
            process.terminate()
        await ended(process)


async def _healthy(url: str, process: Process) -> None:
    """Wait until it answers, and has made its tables."""
    async with aiohttp.ClientSession() as web:
        while True:
            assert process.returncode is None, "it ended; see contextforge.log"
            try:
                async with web.get(f"{url}/health") as got:
                    if got.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)
