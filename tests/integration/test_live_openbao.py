"""A real OpenBao's audit file is followed: a guard denies, a webhook is told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from enforcement.guard import Guard
from tests.integration.openbao_server import OpenBaoServer
from tests.integration.serving import receiving, running, until, webhook

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


async def test_a_revoked_token_takes_its_child_along_and_alerts(
    tmp_path: Path,
) -> None:
    """A revocation at the vault ends the child at our guard; its use is one alert."""
    folder = tmp_path / "bao"
    folder.mkdir()
    with OpenBaoServer(folder) as bao:

        async def post(path: str, caller: str, **body: Any) -> dict[str, Any]:
            answer = await asyncio.to_thread(bao.call, "POST", path, caller, body)
            return answer.body

        async def new_token(caller: str) -> str:
            made = await post("auth/token/create", caller, policies=["root"])
            return str(made["auth"]["client_token"])

        watch = [{"path": str(bao.audit_log), "source": "vault", "authority": "vault",
                  "poll_seconds": 0.01}]  # fmt: skip
        async with (
            receiving() as receiver,
            running(tmp_path, watch=watch, webhook=webhook(receiver)) as server,
            Guard(server.url, "guard", name="g") as guard,
        ):
            root = bao.root_token
            parent = await new_token(root)
            child = await new_token(parent)
            hashed = await asyncio.to_thread(bao.hash, child)
            name = f"vault.token_hmac:{hashed}"
            await until(lambda: guard.check(name).allowed)
            await post("auth/token/revoke", root, token=parent)
            await until(lambda: not guard.check(name).allowed)
            await post("sys/audit-hash/main", child, input="x")

            async def blocked() -> list[dict[str, Any]]:
                found = await server.findings()
                return [f for f in found if f["kind"] == "blocked_attempt"]

            (finding,) = await until(blocked)
            alert = f"{finding['id']}.1"
            await until(lambda: alert in [identity for identity, _ in receiver.got])
            await until(lambda: server.served.stages.idle)

            assert (1, "ancestor") == (finding["count"], finding["via"])
            assert [finding] == await blocked()
