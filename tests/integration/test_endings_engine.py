"""A revoke ends a real vault's tokens by the embedded server, and shows the proof."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from streams.stages.ending.groups import MOST_NAMED
from tests.integration.cli_server import DEADLINE, environment
from tests.integration.forked_program import run_to_end
from tests.integration.openbao_server import OpenBaoServer
from tests.integration.serving import Server, running, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

OK = 200


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBaoServer]:
    """Run a vault."""
    with OpenBaoServer(tmp_path_factory.mktemp("bao")) as server:
        yield server


def made(bao: OpenBaoServer, token: str, **body: Any) -> dict[str, Any]:
    """Make a token."""
    answer = bao.call("POST", "auth/token/create", token, {"ttl": "1h", **body})
    assert answer.status == OK, answer
    found: dict[str, Any] = answer.body["auth"]
    return found


def lives(bao: OpenBaoServer, token: dict[str, Any]) -> bool:
    """Whether the vault lets a token look itself up."""
    found = bao.call("GET", "auth/token/lookup-self", token["client_token"])
    return found.status == OK


def settings(bao: OpenBaoServer, **more: Any) -> dict[str, Any]:
    """Watch its audit log, and act there."""
    ours = {
        "vendor": "openbao", "authority": "vault", "url": bao.url, "allow_http": True,
        "device": "main", "token": {"value": bao.root_token}, "mode": "automatic",
    }  # fmt: skip
    watched = {"path": str(bao.audit_log), "source": "vault", "authority": "vault"}
    watch = [watched | {"poll_seconds": 0.01}]
    return {"watch": watch, "actuators": {"ours": ours | more}}


def name_of(bao: OpenBaoServer, token: dict[str, Any]) -> str:
    """Name of a token, as the audit log has it."""
    return f"vault.accessor:{bao.hash(token['accessor'])}"


async def known(server: Server, *names: str) -> None:
    """Wait until tokens are in the table."""
    for name in names:

        async def allowed(name: str = name) -> bool:
            _, found = await server.get(f"/v1/why/{name}")
            return bool(found["reason"] == "lives")

        await until(allowed)


async def revoked(server: Server, name: str) -> str:
    """Revoke; give the id."""
    body = {"identifier": name, "reason": "test"}
    status, answer = await server.post("/v1/revocations", "revoker", body)
    assert 201 == status, answer
    identity: str = answer["id"]
    return identity


async def issuers(server: Server, identity: str) -> dict[str, Any]:
    """Return what is proven at issuers."""
    status, found = await server.get(f"/v1/revocations/{identity}/issuers")
    assert OK == status, found
    answer: dict[str, Any] = found
    return answer


async def test_an_orphan_of_a_dead_token_ends_at_the_vault(
    bao: OpenBaoServer, tmp_path: Path
) -> None:
    """The vault leaves what revoke-orphan parted; Rescind ends it, and proves it."""
    parent = made(bao, bao.root_token, policies=["root"])
    child = made(bao, parent["client_token"], policies=["root"])
    grandchild = made(bao, child["client_token"], policies=["default"])
    names = [name_of(bao, each) for each in (parent, child, grandchild)]
    async with running(tmp_path, **settings(bao)) as server:
        await known(server, *names)
        body = {"token": child["client_token"]}
        bao.call("POST", "auth/token/revoke-orphan", bao.root_token, body)
        assert lives(bao, grandchild)

        identity = await revoked(server, names[0])

        async def ended() -> dict[str, Any] | None:
            found = await issuers(server, identity)
            return found if found["state"] == "ended" else None

        found = await until(ended)
        _, listed = await server.get("/v1/actuators")
        line = ("closure", identity, "--wait", "5", "--output", "json")
        own = environment(tmp_path, RESCIND_TOKEN="viewer")
        done = await asyncio.to_thread(
            run_to_end, *line, "--url", server.url, cwd=tmp_path, env=own,
            timeout=DEADLINE,
        )  # fmt: skip

    assert [False] * 3 == [lives(bao, each) for each in (parent, child, grandchild)]
    assert 3 == found["ended"]
    assert [] == found["not_ended"]
    (row,) = listed["actuators"]
    assert ("ours", "automatic", "well") == (row["name"], row["mode"], row["health"])
    assert row["ended"] >= 3  # its log tells of what other tests ended, too
    assert "ended" == json.loads(done.stdout)["issuers"]["state"]
    assert bao.root_token not in done.stdout


async def test_an_end_is_shown_to_each_of_very_many_orders(
    bao: OpenBaoServer, tmp_path: Path
) -> None:
    """Its item names the latest of them, and a start anew finds the others."""
    token = made(bao, bao.root_token, policies=["default"])
    name = name_of(bao, token)
    async with running(tmp_path, **settings(bao)) as server:
        await known(server, name)
        orders = [await revoked(server, name) for _ in range(2 * MOST_NAMED)]

        async def ended() -> bool:
            found = [await issuers(server, each) for each in orders]
            return {("ended", 1)} == {(each["state"], each["ended"]) for each in found}

        await until(ended)
        _, listed = await server.get("/v1/actuators/ours")
        (item,) = [each for each in listed["items"] if each["identifier"] == name]
        path = f"/v1/actuators/ours?cause={orders[0]}"
        _, of_first = await server.get(path)
    # The vault's log tells of the end, too.
    assert MOST_NAMED + 1 >= len(item["causes"])
    assert 1 == of_first["total"]
    async with running(tmp_path, **settings(bao)) as server:
        await until(ended)
        _, again = await server.get("/v1/actuators/ours")
        acts = {each["identifier"]: each["acts"] for each in again["items"]}
        assert acts[name] == item["acts"] == 1


async def test_what_nobody_told_of_is_asked_for_declared_and_ended(
    bao: OpenBaoServer, tmp_path: Path
) -> None:
    """A login that no log told of: guards deny it too, and it ends at the vault."""
    root = bao.root_token
    bao.call("POST", "sys/auth/userpass", root, {"type": "userpass"})
    user = {"password": "x", "token_policies": ["default"]}
    bao.call("POST", "auth/userpass/users/ann", root, user)
    login = bao.call("POST", "auth/userpass/login/ann", None, {"password": "x"})
    token = login.body["auth"]
    entity = f"vault.entity:{token['entity_id']}"
    given = settings(bao) | {"watch": []}
    async with running(tmp_path, **given) as server:
        body = {"credentials": [{"identifier": entity}]}
        assert 201 == (await server.post("/v1/adopt", "restorer", body))[0]
        before = (await server.get(f"/v1/why/{name_of(bao, token)}"))[1]["reason"]

        identity = await revoked(server, entity)

        async def ended() -> bool:
            found = await issuers(server, identity)
            return bool(found["state"] == "ended" and found["ended"] == 2)

        await until(ended)
        after = (await server.get(f"/v1/why/{name_of(bao, token)}"))[1]["reason"]

    assert ("unknown_credential", "revoked") == (before, after)
    assert not lives(bao, token)
