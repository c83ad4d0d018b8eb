"""The examples in examples/guards, as they are, each in a process of its own."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import aiohttp
import httpx2
import jwt
import pytest

from tests.integration.openbao_server import OpenBaoServer
from tests.integration.serving import running, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

KEY = "the key of the tests, as long as the hash asks for"
TEAM = "team.id:logistics"
AGENT = "agent.id:planner"


def token(issued_at: int) -> dict[str, str]:
    """Give the header with a token of the agent."""
    claims = {
        "sub": "planner",
        "jti": "t1",
        "aud": "orders",
        "iat": issued_at,
        "exp": issued_at + 3600,
    }
    signed = jwt.encode(claims, KEY, algorithm="HS256")
    return {"Authorization": f"Bearer {signed}"}


HEADERS = token(int(time.time()) - 600)
# A module that FastMCP imports in its first call, and only there.
SLOW_IMPORT = """
import pathlib, sys, time

class SlowDisk:
    def find_spec(self, name, path=None, target=None):
        if name == "key_value.aio.adapters":
            (pathlib.Path(__file__).parent / "held").touch()
            time.sleep(2)

sys.meta_path.insert(0, SlowDisk())
"""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Give a server that knows a team and its agent."""
    async with running(tmp_path) as serving:
        declared = [
            {"identifier": TEAM},
            {"identifier": AGENT, "parents": [TEAM]},
        ]
        status, answer = await serving.post(
            "/v1/adopt", "restorer", {"credentials": declared}
        )
        assert status == 201, answer
        yield serving


async def revoke(server: Server) -> None:
    """End the team, and so its agent, and so the agent's tokens."""
    status, answer = await server.post(
        "/v1/revocations", "revoker", {"identifier": TEAM}
    )
    assert status == 201, answer


@asynccontextmanager
async def example(
    repository: Path, name: str, server: Server, **more: str
) -> AsyncIterator[str]:
    """Run an example, with more variables, until the context ends; give its URL."""
    settings = {
        "RESCIND_URL": server.url,
        "RESCIND_GUARD_TOKEN": "guard",
        "JWT_KEY": KEY,
        "PORT": "0",
        "PYTHONPATH": str(repository),
        "PYTHONUNBUFFERED": "1",
        **more,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(repository / "examples" / "guards" / name),
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    said = ""
    try:
        while not (found := re.search(r"unning on (http://[\d.:]+)", said)):
            line = await process.stdout.readline()
            assert line, said
            said += line.decode()
        yield found[1]
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


@pytest.mark.parametrize("name", ["aiohttp_app.py", "fastapi_app.py"])
async def test_a_web_example_stops_the_revoked(
    repository: Path, server: Server, name: str
) -> None:
    """Requests are refused, and the stream that runs is cut."""
    async with (
        example(repository, name, server) as url,
        aiohttp.ClientSession(url, headers=HEADERS) as web,
    ):
        async with web.get("/orders") as got:
            assert got.status == 200
            assert await got.json() == ["order 1"]
        async with web.get("/orders", headers={"Authorization": "Bearer x"}) as got:
            assert got.status == 401
        async with web.get("/events") as events:
            assert await events.content.readline() == b"data: order 0\n"
            await revoke(server)
            with pytest.raises((aiohttp.ClientPayloadError, ConnectionError)):
                await events.content.read()
        async with web.get("/orders") as got:
            assert got.status == 401
            assert (await got.json())["reason"] == "revoked"


@pytest.mark.parametrize("name", ["aiohttp_app.py", "fastapi_app.py"])
async def test_a_web_example_stops_tokens_of_before(
    repository: Path, server: Server, name: str
) -> None:
    """All tokens of the agent are ended up to now: nobody had to name one."""
    async with (
        example(repository, name, server) as url,
        aiohttp.ClientSession(url) as web,
    ):
        async with web.get("/orders", headers=HEADERS) as got:
            assert got.status == 200
        ended = datetime.now(UTC) - timedelta(seconds=30)
        declared = {"identifier": AGENT, "not_before": ended.isoformat()}
        status, answer = await server.post(
            "/v1/adopt", "restorer", {"credentials": [declared]}
        )
        assert status == 201, answer

        async def refused() -> bool:
            async with web.get("/orders", headers=HEADERS) as got:
                return (
                    got.status == 401 and (await got.json())["reason"] == "not_before"
                )

        await until(refused)
        await until(lambda: server.served.stages.idle)
        _, why = await server.get(f"/v1/why/{AGENT}")
        assert (why["allowed"], why["reason"]) == (False, "not_before")
        assert datetime.fromisoformat(why["lives_if_issued_after"]) == ended
        younger = token(issued_at=int(ended.timestamp()) + 10)
        async with web.get("/orders", headers=younger) as got:
            assert got.status == 200


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("mcp_server.py", "2026-07-28"),
        pytest.param("mcp_server.py", "legacy", marks=pytest.mark.long),
        pytest.param("fastmcp_server.py", "2026-07-28", marks=pytest.mark.long),
        pytest.param("fastmcp_server.py", "legacy", marks=pytest.mark.long),
    ],
)
async def test_an_mcp_example_stops_the_revoked(
    repository: Path, server: Server, name: str, mode: str
) -> None:
    """A tool call that runs is ended, and the next one is refused."""
    # Takes a second to import, in each process that collects tests.
    from mcp import Client, MCPError  # noqa: PLC0415
    from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415

    async with (
        example(repository, name, server) as url,
        httpx2.AsyncClient(headers=HEADERS, timeout=60) as http,
    ):
        async with Client(
            streamable_http_client(f"{url}/mcp", http_client=http), mode=mode
        ) as client:
            result = await client.call_tool("list_orders", {})
            assert "order 1" in str(result.content)

            async def begun(
                progress: float, total: float | None, message: str | None
            ) -> None:
                await revoke(server)

            with pytest.raises(MCPError, match="refused: revoked"):
                await client.call_tool(
                    "watch_orders", {"seconds": 3600}, progress_callback=begun
                )
        refused = await http.post(f"{url}/mcp", json={})
        assert refused.status_code == 401


@pytest.mark.long
async def test_an_mcp_example_allows_although_its_loop_was_held(
    repository: Path, server: Server, tmp_path: Path
) -> None:
    """FastMCP imports modules in its first call; a slow disk makes that seconds."""
    (tmp_path / "sitecustomize.py").write_text(SLOW_IMPORT)
    paths = f"{tmp_path}:{repository}"
    async with (
        example(repository, "fastmcp_server.py", server, PYTHONPATH=paths) as url,
        httpx2.AsyncClient(headers={**HEADERS, **CALLS}, timeout=60) as http,
    ):
        place = f"{url}/mcp"
        first = asyncio.create_task(http.post(place, json=CALL))
        await until((tmp_path / "held").exists)
        second = await http.post(place, json=CALL)
        for answer in (await first, second):
            assert answer.status_code == 200
            assert "order 1" in answer.text


META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
LISTENS = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "subscriptions/listen",
    "params": {"notifications": {"toolsListChanged": True}, "_meta": META},
}
BEGINS = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "a client", "version": "1"},
    },
}
CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "list_orders", "arguments": {}, "_meta": META},
}
ACCEPTS = {"accept": "application/json, text/event-stream"}
CALLS = {
    **ACCEPTS,
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "list_orders",
}


@pytest.mark.long
@pytest.mark.parametrize("name", ["mcp_server.py", "fastmcp_server.py"])
async def test_a_stream_of_an_mcp_session_ends_with_its_token(
    repository: Path, server: Server, name: str
) -> None:
    """And nobody goes on in the session."""
    async with (
        example(repository, name, server) as url,
        httpx2.AsyncClient(headers={**HEADERS, **ACCEPTS}, timeout=20) as http,
    ):
        place = f"{url}/mcp"
        begun = await http.post(place, json=BEGINS)
        session = {"mcp-session-id": begun.headers["mcp-session-id"]}
        async with http.stream("GET", place, headers=session) as stream:
            assert stream.status_code == 200
            await revoke(server)
            with pytest.raises(httpx2.RemoteProtocolError):
                await stream.aread()
        for refused in (
            await http.get(place, headers=session),
            await http.post(place, headers=session, json=BEGINS),
        ):
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.long
async def test_a_subscription_of_the_mcp_example_ends_with_its_token(
    repository: Path, server: Server
) -> None:
    """In the protocol without sessions; FastMCP serves none."""
    headers = {
        **HEADERS,
        **ACCEPTS,
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": str(LISTENS["method"]),
    }
    async with (
        example(repository, "mcp_server.py", server) as url,
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        http.stream("POST", f"{url}/mcp", json=LISTENS) as listening,
    ):
        lines = listening.aiter_lines()
        assert "event" in await anext(lines)
        assert "acknowledged" in await anext(lines)
        await revoke(server)
        assert "refused: revoked" in "".join([line async for line in lines])


@pytest.mark.long
async def test_the_example_for_vault_stops_a_token_that_vault_revoked(
    repository: Path, tmp_path: Path
) -> None:
    """Its parent is revoked at a real vault, whose answer the service remembers."""
    (tmp_path / "bao").mkdir()
    with OpenBaoServer(tmp_path / "bao") as bao:
        watch = {"path": str(bao.audit_log), "source": "vault", "authority": "vault",
                 "poll_seconds": 0.01}  # fmt: skip

        async def made(caller: str, path: str = "create", **body: object) -> str:
            path = f"auth/token/{path}"
            answer = await asyncio.to_thread(bao.call, "POST", path, caller, body)
            return str(answer.body.get("auth", {}).get("client_token"))

        async with (
            running(tmp_path, watch=[watch]) as server,
            example(
                repository,
                "vault_app.py",
                server,
                VAULT_ADDR=bao.url,
                VAULT_TOKEN=bao.root_token,
                AUDIT_DEVICE="main",
            ) as url,
            aiohttp.ClientSession(url) as web,
        ):
            parent = await made(bao.root_token, policies=["root"])
            child = {"X-Vault-Token": await made(parent, policies=["default"])}

            async def answered(status: int, **headers: str) -> bool:
                async with web.get("/orders", headers=headers) as got:
                    return got.status == status

            assert await answered(401)
            assert await answered(401, **{"X-Vault-Token": "no-token"})
            await until(lambda: answered(200, **child))
            await made(bao.root_token, "revoke", token=parent)
            await until(lambda: answered(401, **child))
            async with web.get("/orders", headers=child) as got:
                assert (await got.json())["reason"] == "revoked"
