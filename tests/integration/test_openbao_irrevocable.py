"""A real OpenBao gives up revoking a lease: ten minutes, so for a campaign only."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from tests.integration.fake_vendors import serving
from tests.integration.openbao_server import OpenBaoServer
from tests.integration.serving import running, until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.integration, pytest.mark.campaign, pytest.mark.timeout(2400),
]  # fmt: skip

PATIENCE = 1800.0  # seconds; six attempts from 20 s on, each wait twice the last one


class Broker:
    """Stands for RabbitMQ's management API, which refuses to delete a user."""

    def __init__(self) -> None:
        """Refuse."""
        self.refuses = True

    async def take(self, request: web.Request) -> web.Response:
        """Do as asked, but for deletions."""
        if request.method == "DELETE" and self.refuses:
            return web.json_response({"error": "secret=hunter2"}, status=500)
        return web.Response(status=204)


async def test_a_lease_that_cannot_be_revoked_is_a_finding(tmp_path: Path) -> None:
    """As long as the vault has it, and without the words of the other system."""
    folder = tmp_path / "bao"
    folder.mkdir()
    broker = Broker()
    async with serving(("*", "/{path:.*}", broker.take)) as url:
        with OpenBaoServer(folder) as bao:

            async def call(method: str, path: str, **body: Any) -> dict[str, Any]:
                done = await asyncio.to_thread(
                    bao.call, method, path, bao.root_token, body or None
                )
                assert done.status < 300, (path, done)
                return done.body

            await call("POST", "sys/mounts/rabbit", type="rabbitmq")
            await call("POST", "rabbit/config/connection", connection_uri=url,
                       username="a", password="b", verify_connection=False)  # fmt: skip
            await call("POST", "rabbit/config/lease", ttl=2, max_ttl=4)
            vhosts = json.dumps({"/": {"read": ".*"}})
            await call("POST", "rabbit/roles/x", vhosts=vhosts)
            lease = (await call("GET", "rabbit/creds/x"))["lease_id"]
            vault = {
                "url": bao.url, "allow_http": True, "authority": "vault",
                "device": "main", "token": {"value": bao.root_token},
                "irrevocable_seconds": 2, "join_leases": False,
            }  # fmt: skip
            async with running(tmp_path, vaults={"main": vault}) as server:
                (found,) = await until(server.findings, PATIENCE)
                broker.refuses = False
                await call("PUT", f"sys/leases/revoke-force/{lease.rpartition('/')[0]}")

                async def over() -> bool:
                    (now,) = await server.findings()
                    return now["id"] == found["id"] and not now["open"]

                await until(over)

    assert f"vault.lease:{lease}" == found["presented"]
    assert "revocation_not_applied" == found["kind"]
    assert "hunter2" not in json.dumps(found)
