"""A real OpenBao that lived before Rescind did: its tokens are adopted, and end."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from enforcement.guard import Guard
from tests.integration.cli_server import DEADLINE, environment
from tests.integration.forked_program import run_to_end
from tests.integration.openbao_server import OpenBaoServer
from tests.integration.serving import running, until, values

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

POLICY = 'path "*" { capabilities = ["create", "update", "sudo"] }'


def set_up(bao: OpenBaoServer) -> dict[str, dict[str, Any]]:
    """Let two people log in, their tokens make a child each, and those another."""

    def post(path: str, token: str | None, **body: Any) -> dict[str, Any]:
        answer = bao.call("POST", path, token, body)
        assert answer.status < 300, answer
        made: dict[str, Any] = answer.body.get("auth") or {}
        return made

    root, made = bao.root_token, dict[str, dict[str, Any]]()
    post("sys/policies/acl/all", root, policy=POLICY)
    post("sys/auth/userpass", root, type="userpass")
    for who in ("Ann", "Bob"):
        post(f"auth/userpass/users/{who}", root, password="x", token_policies=["all"])
        login = made[who] = post(f"auth/userpass/login/{who}", None, password="x")
        more = {"ttl": "1h", "meta": {"agent_id": "planner"}}
        create = "auth/token/create"
        child = made[f"{who} child"] = post(create, login["client_token"], **more)
        made[f"{who} grandchild"] = post(create, child["client_token"], ttl="1h")
        post(create, login["client_token"], type="batch")
    made["orphan"] = post("auth/token/create-orphan", root, policies=["default"])
    post("sys/auth/approle", root, type="approle")
    post("auth/approle/role/r", root, secret_id_ttl="1h")
    post("auth/approle/role/r/secret-id", root, metadata='{"owner": "ann"}')
    return made


async def adopt(folder: Path, url: str, bao: OpenBaoServer, *line: str) -> Any:
    """Run the command as a person does, in the vault's name; give its report."""
    own = environment(folder, BAO_TOKEN=bao.root_token, RESCIND_TOKEN="operator")
    done = await asyncio.to_thread(
        run_to_end, "adopt", *line, "--authority", "vault", "--url", url,
        "--output", "json", cwd=folder, env=own, timeout=DEADLINE,
    )  # fmt: skip
    assert 0 == done.returncode
    return json.loads(done.stdout)


async def hashed_secret_id(bao: OpenBaoServer) -> str:
    """Give the name of the only secret id in the audit log."""
    path = "auth/approle/role/r/secret-id?list=true"
    found = await asyncio.to_thread(bao.call, "GET", path, bao.root_token)
    return await asyncio.to_thread(bao.hash, found.body["data"]["keys"][0])


async def test_tokens_from_before_are_known_and_end_with_their_parent(
    tmp_path: Path,
) -> None:
    """Unknown, adopted, allowed; the parent ends at the vault, what it made is denied.

    The server never says which token made another one. Of Ann's tokens it follows;
    which of Bob's made his grandchild, a log that was kept tells.
    """
    folder = tmp_path / "bao"
    folder.mkdir()
    with OpenBaoServer(folder) as bao:
        made = await asyncio.to_thread(set_up, bao)
        names = {
            who: f"vault.accessor:{await asyncio.to_thread(bao.hash, auth['accessor'])}"
            for who, auth in made.items()
        }
        kept = tmp_path / "kept.log"
        kept.write_bytes(bao.audit_log.read_bytes())
        bao.audit_log.write_bytes(b"")  # that was before Rescind
        watch = [{"path": str(bao.audit_log), "source": "vault", "authority": "vault",
                  "poll_seconds": 0.01}]  # fmt: skip
        operator = {"name": "operator", "roles": ["restorer", "viewer"],
                    "sha256": hashlib.sha256(b"operator").hexdigest()}  # fmt: skip
        tokens = [*values(tmp_path)["tokens"], operator]
        async with (
            running(tmp_path, watch=watch, tokens=tokens) as server,
            Guard(server.url, "guard", name="g") as guard,
        ):
            await guard.ready(60)

            def allowed() -> set[str]:
                return {who for who, name in names.items() if guard.check(name).allowed}

            async def revoke(path: str, **body: str) -> None:
                post = ("POST", f"auth/token/{path}", bao.root_token, body)
                assert (await asyncio.to_thread(bao.call, *post)).status == 204

            assert set() == allowed()
            lists = ("openbao", "--from", f"http://127.0.0.1:{bao._port}",
                     "--device", "main")  # fmt: skip
            first = await adopt(tmp_path, server.url, bao, *lists)
            await until(lambda: set(names) == allowed())
            # The table follows the log by itself, and may be behind the guard.
            await until(lambda: server.served.stages.idle)
            rows = (await server.get("/v1/table?now=1"))[1]["rows"]

            seen = (*lists, "--roster", "seen")
            again = await adopt(tmp_path, server.url, bao, *seen)
            rest = await adopt(tmp_path, server.url, bao, *seen)
            told = {row[0]: row[1:] for row in rows}
            after = (await server.get("/v1/table?now=1"))[1]["rows"]

            # Tokens with the root token, two entities, a secret id, and 12 paths.
            assert first["accepted"] == again["accepted"] == 8 + 2 + 1 + 12
            assert (0, first["accepted"]) == (rest["accepted"], rest["same"])
            assert told == {row[0]: row[1:] for row in after if row[0] in told}
            assert ["agent.id:planner"] in told[names["Ann child"]][-1]
            assert all(told[name][3] is not None for name in names.values())  # expiry
            secret = f"vault.secret_id_accessor:{await hashed_secret_id(bao)}"
            assert ["person.id:ann"] in told[secret][-1]

            # A list has no token to make the second name of; its next use shows it.
            token, used = made["Ann"]["client_token"], "auth/token/lookup-self"
            await asyncio.to_thread(bao.call, "GET", used, token)
            await revoke("revoke", token=token)
            await until(
                lambda: {"Bob", "Bob child", "Bob grandchild", "orphan"} == allowed()
            )
            assert "revoked" == guard.check(names["Ann grandchild"]).reason.value

            gone = await adopt(tmp_path, server.url, bao, *seen)
            assert [] == gone["gone"]  # they are, and Rescind has ended them
            log = ("access-log", str(kept), "--source", "openbao")
            await adopt(tmp_path, server.url, bao, *log)
            await revoke("revoke-accessor", accessor=made["Bob child"]["accessor"])
            await until(lambda: {"Bob", "orphan"} == allowed())

        for path in (tmp_path / "data" / "rescind.db", tmp_path / "seen"):
            assert bao.root_token.encode() not in path.read_bytes()
