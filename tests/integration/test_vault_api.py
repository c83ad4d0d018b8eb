"""A vault's API: names for leases, orders in plain text, leases that cannot end."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiohttp import web
from attrs import define, field

from streams.apps.builders.access import ConfigurationError
from streams.apps.embedded import serve
from streams.pollers import vault_leases
from streams.settings.server import Settings
from tests.integration.fake_vendors import serving
from tests.integration.serving import running, until, values
from tests.unit.openbao_lines import auth, line, mac

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

TOKEN = "s.rescind"
LEASE = "rabbit/creds/x/GApLK2bq5RwvB1YiYaVFlRzj"
# As OpenBao 2.7.2 answered; the other system's words may hold secrets.
STUCK = {
    "lease_id": LEASE,
    "mount_id": "rabbitmq_0951b908",
    "error": "out of retries: could not delete user: Error 500 (secret=hunter2)",
}


@define
class Api:
    """A vault in the test's own process."""

    url: str = ""
    down: bool = False
    stuck: list[dict[str, Any]] = field(factory=list)

    def _admit(self, request: web.Request) -> None:
        if self.down:
            raise web.HTTPServiceUnavailable  # as a sealed one answers
        if request.headers.get("X-Vault-Token") != TOKEN:
            raise web.HTTPForbidden

    async def hash(self, request: web.Request) -> web.Response:
        """Give what the log has for a value."""
        self._admit(request)
        given = (await request.json())["input"]
        return web.json_response({"data": {"hash": mac(f"of-{given}")}})

    async def leases(self, request: web.Request) -> web.Response:
        """Give the irrevocable leases."""
        self._admit(request)
        assert request.query["type"] == "irrevocable"
        count = len(self.stuck)
        data = {"lease_count": count, "leases": self.stuck}
        return web.json_response({"data": data})


@asynccontextmanager
async def vault() -> AsyncIterator[Api]:
    """Run a vault until the context ends."""
    api = Api()
    async with serving(
        ("POST", "/v1/sys/audit-hash/main", api.hash),
        ("GET", "/v1/sys/leases", api.leases),
    ) as url:
        api.url = url
        yield api


def vaults(api: Api, **more: Any) -> dict[str, Any]:
    """Give settings of one vault."""
    given = {"url": api.url, "allow_http": True, "authority": "aws", "device": "main",
             "token": {"value": TOKEN}}  # fmt: skip
    return {"bao": given | more}


def settings(api: Api, **more: Any) -> dict[str, Any]:
    """Give settings with one vault."""
    return {
        "vaults": vaults(api, **more),
        "authorities": {
            "aws": {"grants": [{"kind": "vault.*"}], "issuer_log": True},
            "stranger": {"grants": []},
        },
    }


def leased(lease: str) -> bytes:
    """Give the line of a new lease."""
    made = {"secret": {"lease_id": lease}}
    request = {"mount_type": "rabbitmq", "mount_point": "rabbit/"}
    one = line("rabbit/creds/x", auth("root"), response=made, request=request)
    return orjson.dumps(one) + b"\n"


def ended(lease: str) -> bytes:
    """Give the line of its end, where it stands as an HMAC."""
    data = {"lease_id": mac(f"of-{lease}")}
    return orjson.dumps(line("sys/leases/revoke", auth("root"), data=data)) + b"\n"


async def reason(server: Server, lease: str) -> str:
    """Give why a lease is allowed or not."""
    _, why = await server.get(f"/v1/why/vault.lease:{lease}")
    return str(why["reason"])


async def test_a_lease_gets_its_other_name_when_the_vault_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also over a restart; meanwhile its lineage counts, and it is not held up."""
    monkeypatch.setattr(vault_leases, "AGAIN_SECONDS", 0.01)
    async with vault() as api:
        async with running(tmp_path, **settings(api)) as server:
            await server.post("/v1/events/vault", "aws", leased("x/at-once"))
            await server.post("/v1/events/vault", "aws", ended("x/at-once"))
            await until(lambda: server.served.stages.idle)
            at_once = await reason(server, "x/at-once")
            api.down = True
            status, _ = await server.post("/v1/events/vault", "aws", leased("x/later"))
            await until(lambda: server.served.stages.idle)
            meanwhile = await reason(server, "x/later")
            await server.post("/v1/events/vault", "aws", ended("x/later"))
        async with running(tmp_path, **settings(api)) as server:
            still = await reason(server, "x/later")
            api.down = False

            async def is_dead() -> bool:
                return await reason(server, "x/later") == "revoked"

            await until(is_dead)

    assert ("revoked", 202) == (at_once, status)
    assert ("lives", "lives") == (meanwhile, still)


async def test_an_order_waits_for_nothing_and_stores_no_secret(tmp_path: Path) -> None:
    """Without an answer of the vault nothing is revoked, and the answer says so."""
    orders = "/v1/revocations"
    secret = {"identifier": "vault.token_hmac:hvs.secret-in-plain-text"}
    async with vault() as api:
        async with running(tmp_path, **settings(api)) as server:
            known, answer = await server.post(orders, "revoker", secret)
            given = {"identifier": f"vault.accessor:{mac('as-it-is')}"}
            _, as_it_is = await server.post(orders, "revoker", given)
            api.down = True
            down, said = await server.post(orders, "revoker", secret)
            end = server.served.feed.end
        async with running(tmp_path) as server:
            alone, why = await server.post(orders, "revoker", secret)
            listed = {"credentials": [secret]}
            adopted, _ = await server.post("/v1/adopt", "restorer", listed)
            unchanged = end == server.served.feed.end
    kept = b"".join(f.read_bytes() for f in (tmp_path / "data").iterdir())

    assert (201, 503, 422, 422) == (known, down, alone, adopted)
    wanted = f"vault.token_hmac:{mac('of-hvs.secret-in-plain-text')}"
    assert [wanted] == answer["identifiers"]
    assert [given["identifier"]] == as_it_is["identifiers"]
    assert "nothing is revoked" in said["detail"]
    assert "`vaults`" in why["detail"]
    assert unchanged
    assert wanted.encode() in kept
    assert b"secret-in-plain-text" not in kept.replace(wanted.encode(), b"")


async def test_an_irrevocable_lease_is_a_finding_as_long_as_there_is_one(
    tmp_path: Path,
) -> None:
    """What the other system said of it stays there: it may hold a secret."""
    found: dict[str, Any] = {}
    async with vault() as api:
        api.stuck = [STUCK]
        given = settings(api, irrevocable_seconds=0.01)
        for attempt in range(2):  # a restart confirms it, under the same id
            async with running(tmp_path, **given) as server:
                (found,) = await until(server.findings)
                if attempt:
                    await until(lambda: _count(server, 2))
        assert ("revocation_not_applied", 5) == (found["kind"], found["severity"])
        assert f"vault.lease:{LEASE}" == found["presented"]
        assert "hunter2" not in orjson.dumps(found).decode()
        async with running(tmp_path, **given) as server:
            api.stuck = []
            (closed,) = await until(lambda: _closed(server))
            assert found["id"] == closed["id"]


async def test_a_vault_that_refuses_costs_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong token is told, and serving goes on."""
    async with vault() as api:
        given = settings(api, irrevocable_seconds=0.01, token={"value": "wrong"})
        said = ""
        async with running(tmp_path, **given) as server:

            def refused() -> bool:
                nonlocal said
                said += "".join(capsys.readouterr())
                return "irrevocable_not_listed" in said

            await until(refused)
            assert [] == await server.findings()
    assert "status 403" in said
    assert "wrong" not in said


async def test_a_vault_without_a_token_is_refused(tmp_path: Path) -> None:
    """The error names the vault and the file."""
    api = Api("https://vault.example")
    missing = tmp_path / "no-token"
    given = settings(api, token={"file": str(missing)})
    with pytest.raises(ConfigurationError, match=r"vault bao: .*no-token"):
        await serve(Settings(**values(tmp_path) | given))


async def _count(server: Server, wanted: int) -> bool:
    (found,) = await server.findings()
    return bool(found["count"] >= wanted)


async def _closed(server: Server) -> list[dict[str, Any]]:
    return [each for each in await server.findings() if not each["open"]]


async def test_questions_take_what_the_vault_prints(tmp_path: Path) -> None:
    """Accessors and tokens as they are shown to people; leases by their id."""
    plain = "8609694a-cdbc-db9b-d345-e782dbb562ed"
    named = f"vault.accessor:{mac(f'of-{plain}')}"
    secret = {"identifier": "vault.token:hvs.secret-in-plain-text"}
    async with vault() as api, running(tmp_path, **settings(api)) as server:
        await server.post("/v1/revocations", "revoker", {"identifier": named})
        await until(lambda: server.served.stages.idle)
        _, why = await server.get(f"/v1/why/vault.accessor:{plain}")
        _, radius = await server.get(f"/v1/blast-radius/vault.accessor:{plain}")
        asked = {"identifier": f"vault.accessor:{plain}"}
        _, names = await server.post("/v1/names", "viewer", asked)
        _, token = await server.post("/v1/names", "viewer", secret)
        api.down = True
        down, said = await server.get(f"/v1/why/vault.accessor:{plain}")

    assert (named, "revoked") == (why["identifier"], why["reason"])
    assert named == radius["identifier"]
    assert {"identifiers": [named], "hashed": False} == names
    assert [f"vault.token_hmac:{mac('of-hvs.secret-in-plain-text')}"] == (
        token["identifiers"]
    )
    assert (503, True) == (down, "as its audit log does" in said["detail"])


async def test_without_a_vault_questions_say_what_to_type(tmp_path: Path) -> None:
    """A command that gives the name, which holds no secret."""
    secret = {"identifier": "vault.token:hvs.secret-in-plain-text"}
    async with running(tmp_path) as server:
        status, said = await server.post("/v1/names", "viewer", secret)
        ordered, order = await server.post("/v1/revocations", "revoker", secret)

    assert (422, 422) == (status, ordered)
    for answer in (said, order):
        assert "sys/audit-hash/DEVICE input=-" in answer["detail"]
        assert "in-plain-text" not in answer["detail"]


async def test_an_order_tells_a_name_that_nobody_knows(tmp_path: Path) -> None:
    """It holds all the same; a typing error would look like a revocation that works."""
    order = {"identifier": "vault.accessor:" + mac("nobody")}
    async with running(tmp_path) as server:
        first = await server.post("/v1/revocations", "revoker", order)
        await until(lambda: server.served.stages.idle)
        second = await server.post("/v1/revocations", "revoker", order)

    assert (201, [order["identifier"]]) == (first[0], first[1]["unknown"])
    assert "is it spelt right?" in first[1]["detail"]
    assert (201, []) == (second[0], second[1]["unknown"])
    assert "detail" not in second[1]
