"""The guard in front of the real ContextForge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest

from bench.gateways.contextforge import ADMIN, ISSUER, gateway, signed
from tests.integration.gateways import reserved_port
from tests.integration.serving import running, until

if TYPE_CHECKING:
    from pathlib import Path

# The first run makes an environment for ContextForge, from the registry.
pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(600)]

TEAM = "team.id:logistics"
ASKS = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


async def test_a_gateway_stops_the_revoked(tmp_path: Path) -> None:
    """On its own routes and on those of MCP; a stream is cut."""
    declared = [
        {"identifier": TEAM},
        {"identifier": f"jwt.sub:{ISSUER}|{ADMIN}", "parents": [TEAM]},
    ]
    headers = {
        "Authorization": f"Bearer {signed()}",
        "Accept": "application/json, text/event-stream",
    }
    with reserved_port() as port:
        async with (
            running(tmp_path) as server,
            gateway(tmp_path, port, server.url) as forge,
            aiohttp.ClientSession(forge.url, headers=headers) as web,
            aiohttp.ClientSession(forge.url) as nobody,
        ):
            status, told = await server.post(
                "/v1/adopt", "restorer", {"credentials": declared}
            )
            assert status == 201, told

            async def statuses() -> list[int]:
                async with (
                    web.get("/tools") as tools,
                    web.post("/mcp/", json=ASKS) as m,
                ):
                    return [tools.status, m.status]

            async def allowed() -> bool:
                return await statuses() == [200, 200]

            # An answer tells that the credential is declared; its guard hears of it.
            await until(allowed)
            async with web.get("/sse") as stream:
                assert b"event" in await stream.content.readline()
                order = {"identifier": TEAM}
                assert (await server.post("/v1/revocations", "revoker", order))[
                    0
                ] == 201
                with pytest.raises((aiohttp.ClientPayloadError, ConnectionError)):
                    await stream.content.read()
            assert await statuses() == [401, 401]
            async with nobody.get("/health") as health, nobody.get("/tools") as tools:
                assert (health.status, tools.status) == (200, 401)
