"""One revoke ends an agent at four issuers: a vault, an IdP, a cloud and a cluster.

Only with `make e2e-issuers`: it needs a Keycloak that runs, and for the cluster the
programs that KUBERNETES_BINARIES names. The vault is a real OpenBao, and AWS is moto's
server.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define
from moto.server import ThreadedMotoServer

from agents_registry.identifiers import Identifier
from agents_registry.presentation import Presented
from enforcement.guard import Guard
from streams.actuators.ways import WayActuator
from tests.e2e import test_issuer_kubernetes as kubernetes
from tests.e2e.test_issuer_keycloak import ACTING
from tests.e2e.test_issuer_keycloak import grant as grant_rights
from tests.integration import test_issuer_aws as aws
from tests.integration.cli_server import DEADLINE, environment
from tests.integration.forked_program import run_to_end
from tests.integration.openbao_server import OpenBaoServer
from tests.integration.serving import Server as Rescind
from tests.integration.serving import running, until, values
from tests.integration.test_endings_engine import issuers, lives, made, name_of
from tests.recordings.keycloak.connected import polling
from tests.recordings.keycloak.realm import (
    OURS,
    Realm,
    Server,
    make_client,
    throwaway,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.e2e, pytest.mark.live, pytest.mark.timeout(300)]

AGENT = "agent.id:planner"
EVERY = ("root", "child", "grandchild")
MILLI = 10**6
OK = 200


@define
class Issuers:
    """The four, and what the agent has there."""

    bao: OpenBaoServer
    realm: Realm
    moto: str
    key: Identifier
    tokens: list[dict[str, Any]]
    cluster: kubernetes.Cluster | None = None
    acting: str = ""
    k8s_token: str = ""

    def settings(self) -> dict[str, Any]:
        """Watch vault and IdP, and act at all four."""
        realm = self.realm
        own = polling(realm.server.url, realm.name, realm.issuer, realm.secrets[OURS])
        grants = {"k8s": {"grants": [{"kind": "k8s.*"}]}}
        watched = {"path": str(self.bao.audit_log), "source": "vault",
                   "authority": "vault", "poll_seconds": 0.01}  # fmt: skip
        every: dict[str, dict[str, Any]] = {
            "vault": {
                "vendor": "openbao", "url": self.bao.url, "device": "main",
                "token": {"value": self.bao.root_token},
            },
            "keycloak": {
                "vendor": "keycloak", "url": realm.server.url, "realm": realm.name,
                "client_id": ACTING,
                "client_secret": {"value": realm.secrets[ACTING]},
            },
            "aws": {
                "vendor": "aws", "account": aws.ACCOUNT, "url": self.moto,
                "sts": self.moto, "key_id": "AKIAACTS", "key": {"value": "s"},
            },
        }  # fmt: skip
        if self.cluster is not None:
            every["k8s"] = {
                "vendor": "kubernetes", "url": self.cluster.url,
                "ca": str(self.cluster.folder / "serving" / "apiserver.crt"),
                "token": {"value": self.acting},
            }  # fmt: skip
        for name, one in every.items():
            one |= {"authority": name, "mode": "automatic", "allow_http": True}
        return own | {
            "authorities": values(Path())["authorities"]
            | own["authorities"] | grants,
            "watch": [watched], "actuators": every,
        }  # fmt: skip

    async def honoured(self) -> dict[str, bool]:
        """Ask each issuer, with what the agent has, whether it takes it."""
        found = {label: await self.realm.active(label) for label in EVERY}
        names = ("vault token", "its child", "its orphan")
        for name, token in zip(names, self.tokens, strict=True):
            found[name] = lives(self.bao, token)
        if self.cluster is not None:
            found["service account"] = await self.cluster.honoured(self.k8s_token)
        return found


@asynccontextmanager
async def standing(folder: Path) -> AsyncIterator[Issuers]:
    """Run or find the four, and give the agent what it has there."""
    async with AsyncExitStack() as stack:
        (folder / "bao").mkdir()
        bao = stack.enter_context(OpenBaoServer(folder / "bao"))
        server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        server.start()
        stack.callback(server.stop)
        moto = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
        realm = await stack.enter_async_context(throwaway(Server.from_environment()))
        for name in ("svc-a", "svc-b", "svc-c", "rs", ACTING):
            await make_client(realm, name)
        await grant_rights(realm, ACTING)
        writer = aws.settings(moto).actuator("aws", time.time_ns)
        assert isinstance(writer, WayActuator)
        key = await aws.user_with_key(writer)
        await writer.close()
        token = made(bao, bao.root_token, policies=["root"])
        child = made(bao, token["client_token"], policies=["root"])
        orphan = made(bao, child["client_token"], policies=["default"])
        found = Issuers(bao, realm, moto, key, [token, child, orphan])
        if "KUBERNETES_BINARIES" in os.environ:
            cluster = await stack.enter_async_context(kubernetes.running(folder))
            await cluster.account("planner")
            found.cluster = cluster
            found.acting = await kubernetes.entitled(cluster)
            found.k8s_token = await cluster.token("planner")
        yield found


async def declared(server: Rescind, of: Issuers) -> list[Identifier]:
    """Hang everything on the agent; give what is presented."""
    about = await of.realm.admin("GET", "/")
    held = [
        f"keycloak.client:{about['id']}|svc-a", name_of(of.bao, of.tokens[0]),
        str(of.key),
    ]  # fmt: skip
    if of.cluster is not None:
        held.append("k8s.service_account:agents/planner")
    entries = [{"identifier": name, "parents": [AGENT]} for name in held]
    own = f"/clients/{of.realm.clients['svc-a']}/service-account-user"
    account = f"keycloak.user:{(await of.realm.admin('GET', own))['id']}"
    entries.append({"identifier": account, "parents": [held[0]]})
    status, told = await server.post(
        "/v1/adopt", "restorer", {"credentials": [{"identifier": AGENT}, *entries]}
    )
    assert status == 201, told
    await of.realm.service("root", "svc-a")
    await of.realm.exchange("child", "svc-b", "root")
    await of.realm.exchange("grandchild", "svc-c", "child")
    jtis = [f"jwt.jti:{of.realm.claims(label)['jti']}" for label in EVERY]
    names = [name_of(of.bao, one) for one in of.tokens]
    found = [Identifier.parse(name) for name in (*jtis, *names, *held[2:])]

    async def known() -> bool:
        for name in found:
            _, answer = await server.get(f"/v1/why/{name}")
            if answer["reason"] != "lives":
                return False
        return True

    await until(known)
    return found


async def test_one_revoke_ends_an_agent_at_four_issuers(tmp_path: Path) -> None:
    """Guards deny it within the lease; then each issuer is probed dead, and is."""
    async with (
        standing(tmp_path) as of,
        running(tmp_path, **of.settings()) as server,
        Guard(server.url, "guard", name="g") as guard,
    ):
        assert await guard.ready(30)
        presented = await declared(server, of)
        parted = {"token": of.tokens[1]["client_token"]}
        of.bao.call("POST", "auth/token/revoke-orphan", of.bao.root_token, parted)
        honoured = await of.honoured()
        assert honoured == dict.fromkeys(honoured, True) | {"its child": False}
        await until(
            lambda: all(guard.check(Presented((one,))).allowed for one in presented[:4])
        )

        began = time.monotonic_ns()
        body = {"identifier": AGENT, "reason": "the agent is stolen"}
        status, answer = await server.post("/v1/revocations", "revoker", body)
        assert status == 201, answer
        accepted = time.monotonic_ns()
        await until(
            lambda: not any(guard.check(Presented((one,))).allowed for one in presented)
        )
        denied = time.monotonic_ns()
        assert denied - accepted < 1000 * MILLI

        async def over() -> dict[str, Any] | None:
            found = await issuers(server, answer["id"])
            return found if found["state"] != "pending" else None

        try:
            found = await until(over, 60)
        except TimeoutError:
            pytest.fail(str(await issuers(server, answer["id"])))
        ended = time.monotonic_ns()
        line = ("closure", answer["id"], "--output", "table")
        own = environment(tmp_path, RESCIND_TOKEN="viewer")
        shown = await asyncio.to_thread(
            run_to_end, *line, "--url", server.url, cwd=tmp_path, env=own,
            timeout=DEADLINE,
        )  # fmt: skip
        print(shown.stdout)  # noqa: T201
        print(  # noqa: T201
            f"accepted after {(accepted - began) // MILLI} ms, denied "
            f"{(denied - accepted) // MILLI} ms later, all ended at the issuers "
            f"{(ended - accepted) // MILLI} ms later"
        )
        honoured = await of.honoured()
        assert honoured == dict.fromkeys(honoured, False)
        assert "ended" == found["state"], found
        assert [] == found["not_ended"]
        assert found["ended"] >= len(presented)
