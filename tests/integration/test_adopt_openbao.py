"""A real OpenBao that lived before Rescind did: its tokens are adopted, and end."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from enforcement.guard import Guard
from tests.integration.cli_server import RESCIND, environment
from tests.integration.openbao_server import OpenBaoServer
from tests.integration.serving import running, until, values

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

POLICY = 'path "*" { capabilities = ["create", "update", "sudo"] }'


def set_up(bao: OpenBaoServer) -> dict[str, dict[str, Any]]:
    """Let ann log in, her token make a child, and that one another; and an orphan."""

    def post(path: str, token: str | None, **body: Any) -> dict[str, Any]:
        answer = bao.call("POST", path, token, body)
        assert answer.status < 300, answer
        made: dict[str, Any] = answer.body.get("auth") or {}
        return made

    root = bao.root_token
    post("sys/policies/acl/all", root, policy=POLICY)
    post("sys/auth/userpass", root, type="userpass")
    post("auth/userpass/users/ann", root, password="x", token_policies=["all"])
    parent = post("auth/userpass/login/Ann", None, password="x")
    meta = {"agent_id": "planner"}
    child = post("auth/token/create", parent["client_token"], ttl="1h", meta=meta)
    grandchild = post("auth/token/create", child["client_token"], ttl="1h")
    post("sys/auth/approle", root, type="approle")
    post("auth/approle/role/r", root, secret_id_ttl="1h")
    post("auth/approle/role/r/secret-id", root, metadata='{"owner": "ann"}')
    orphan = post("auth/token/create-orphan", root, policies=["default"])
    batch = post("auth/token/create", parent["client_token"], type="batch")
    return {"parent": parent, "child": child, "grandchild": grandchild,
            "orphan": orphan, "batch": batch}  # fmt: skip


async def adopt(folder: Path, url: str, bao: OpenBaoServer, *more: str) -> Any:
    """Run the command as a person does; give its report."""
    own = environment(folder, BAO_TOKEN=bao.root_token, RESCIND_TOKEN="operator")
    process = await asyncio.create_subprocess_exec(
        RESCIND, "adopt", "openbao", "--from", f"http://127.0.0.1:{bao._port}",
        "--device", "main", "--authority", "vault", "--url", url, "--output", "json",
        *more, env=own, cwd=folder, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert 0 == process.returncode
    return json.loads(out)


async def hashed_secret_id(bao: OpenBaoServer) -> str:
    """Give the name of the only secret id in the audit log."""
    path = "auth/approle/role/r/secret-id?list=true"
    found = await asyncio.to_thread(bao.call, "GET", path, bao.root_token)
    return await asyncio.to_thread(bao.hash, found.body["data"]["keys"][0])


async def test_tokens_from_before_are_known_and_end_with_their_parent(
    tmp_path: Path,
) -> None:
    """Unknown, adopted, allowed; the parent ends at the vault, what it made is denied.

    The server never says which token made another one; here it follows.
    """
    folder = tmp_path / "bao"
    folder.mkdir()
    with OpenBaoServer(folder) as bao:
        made = await asyncio.to_thread(set_up, bao)
        names = {
            who: f"vault.accessor:{await asyncio.to_thread(bao.hash, auth['accessor'])}"
            for who, auth in made.items()
            if auth["accessor"]
        }
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
            assert not any(guard.check(name).allowed for name in names.values())

            first = await adopt(tmp_path, server.url, bao)
            await until(lambda: all(guard.check(n).allowed for n in names.values()))
            rows = (await server.get("/v1/table?now=1"))[1]["rows"]

            again = await adopt(tmp_path, server.url, bao, "--roster", "seen")
            rest = await adopt(tmp_path, server.url, bao, "--roster", "seen")
            told = {row[0]: row[1:] for row in rows}
            after = (await server.get("/v1/table?now=1"))[1]["rows"]

            # Four tokens, the root token, ann's entity, a secret id, paths above them.
            assert first["accepted"] == again["accepted"] == 5 + 1 + 1 + 11
            assert (0, first["accepted"]) == (rest["accepted"], rest["same"])
            assert told == {row[0]: row[1:] for row in after if row[0] in told}
            assert ["agent.id:planner"] in told[names["child"]][-1]
            assert told[names["child"]][3] is not None  # it expires
            assert told[names["orphan"]][3] is not None
            secret = f"vault.secret_id_accessor:{await hashed_secret_id(bao)}"
            assert ["person.id:ann"] in told[secret][-1]

            # A list has no token to make the second name of; its next use shows it.
            token, used = made["parent"]["client_token"], "auth/token/lookup-self"
            await asyncio.to_thread(bao.call, "GET", used, token)
            revoke = ("POST", "auth/token/revoke", bao.root_token, {"token": token})
            await asyncio.to_thread(bao.call, *revoke)
            dead = ("parent", "child", "grandchild")
            await until(lambda: not any(guard.check(names[n]).allowed for n in dead))
            assert guard.check(names["orphan"]).allowed
            assert "revoked" == guard.check(names["child"]).reason.value

            gone = await adopt(tmp_path, server.url, bao, "--roster", "seen")
            assert [] == gone["gone"]  # they are, and Rescind has ended them
