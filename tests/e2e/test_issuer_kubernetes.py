"""Service accounts, secrets and pods are ended at a real API server; TokenReview tells.

Only with `make e2e-kubernetes`: it needs the programs etcd and kube-apiserver, in the
folder that KUBERNETES_BINARIES names. Both run on loopback until the tests are over.
"""

from __future__ import annotations

import os
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import pytest_asyncio
import trustme
from attrs import define

from agents_registry.identifiers import Identifier
from streams.actuators.kubernetes.settings import KubernetesActuator
from streams.actuators.ways import WayActuator
from streams.model.endings import Alive, EndStep, EndTarget, NoWay
from streams.outbound.answers import RequestError
from tests.integration.serving import until
from tests.recordings.kubernetes.record import free_port, process, write_keys

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.live,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]

SPACE = "/api/v1/namespaces/agents"
ACTING = "rescind-acting"
ACCOUNTS = f"{SPACE}/serviceaccounts"
# What docs/issuers.md asks an operator for.
RULES = [
    {"apiGroups": [""], "resources": ["serviceaccounts", "secrets", "pods"],
     "verbs": ["get", "delete"]},
    {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["create"]},
]  # fmt: skip
ROOT = {"apiVersion": "rbac.authorization.k8s.io/v1"}
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@define
class Cluster:
    """A real API server, its administrator, and an actuator with the least rights."""

    url: str
    session: aiohttp.ClientSession
    context: ssl.SSLContext
    folder: Path

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Call as administrator."""
        async with self.session.request(
            method, self.url + path, json=body, ssl=self.context
        ) as got:
            return got.status, await got.json(content_type=None)

    async def made(self, path: str, body: Any) -> dict[str, Any]:
        """Make an object."""
        status, answer = await self.call("POST", path, body)
        assert status in (200, 201), answer
        found: dict[str, Any] = answer
        return found

    async def account(self, name: str) -> None:
        """Make a service account."""
        labels = {"team": "orders"}
        await self.made(ACCOUNTS, {"metadata": {"name": name, "labels": labels}})

    async def token(self, name: str, bound: dict[str, Any] | None = None) -> str:
        """Ask for a token of a service account."""
        spec: dict[str, Any] = {"audiences": [], "expirationSeconds": 3600}
        if bound is not None:
            spec["boundObjectRef"] = bound
        answer = await self.made(f"{ACCOUNTS}/{name}/token", {"spec": spec})
        return str(answer["status"]["token"])

    async def honoured(self, token: str) -> bool:
        """Ask the API server whether it takes a token: a TokenReview."""
        path = "/apis/authentication.k8s.io/v1/tokenreviews"
        kind = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
        answer = await self.made(path, kind | {"spec": {"token": token}})
        return answer["status"].get("authenticated") is True

    def actuator(self, token: str) -> WayActuator:
        """Make an actuator that acts with a token."""
        made = KubernetesActuator.model_validate({
            "vendor": "kubernetes", "authority": "k8s", "url": self.url,
            "ca": str(self.folder / "serving" / "apiserver.crt"),
            "token": {"value": token},
        }).actuator("k8s", time.time_ns)  # fmt: skip
        assert isinstance(made, WayActuator)
        return made


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Cluster]:
    """Run etcd and an API server until the context ends."""
    binaries = Path(os.environ["KUBERNETES_BINARIES"])
    authority = trustme.CA()
    context = write_keys(folder, authority)
    client, peer, port = [await free_port() for _ in range(3)]
    etcd, peers = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    async with (
        process(
            folder / "etcd.log", str(binaries / "etcd"), "--name=n1",
            f"--data-dir={folder / 'etcd'}", "--unsafe-no-fsync",
            f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=n1={peers}",
        ),
        process(
            folder / "apiserver.log", str(binaries / "kube-apiserver"),
            f"--etcd-servers={etcd}", "--bind-address=127.0.0.1",
            f"--secure-port={port}", f"--cert-dir={folder / 'serving'}",
            "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=RBAC",
            f"--client-ca-file={folder / 'ca.crt'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder / 'sa.pub'}",
            f"--service-account-signing-key-file={folder / 'sa.key'}",
            "--disable-admission-plugins=ServiceAccount",
        ),
        aiohttp.ClientSession(trust_env=False) as session,
    ):  # fmt: skip
        found = Cluster(f"https://127.0.0.1:{port}", session, context, folder)
        await until(lambda: _ready(found), 120)
        await found.made("/api/v1/namespaces", {"metadata": {"name": "agents"}})
        yield found


async def _ready(cluster: Cluster) -> bool:
    try:
        async with cluster.session.get(
            f"{cluster.url}/readyz", ssl=cluster.context
        ) as got:
            return got.ok
    except aiohttp.ClientError:
        return False


async def entitled(cluster: Cluster) -> str:
    """Make an account that has the rights of the page, and no others; give a token."""
    await cluster.account(ACTING)
    role = {"kind": "ClusterRole", "metadata": {"name": ACTING}, "rules": RULES}
    await cluster.made(f"{RBAC}/clusterroles", ROOT | role)
    subject = {"kind": "ServiceAccount", "name": ACTING, "namespace": "agents"}
    binding = {
        "kind": "ClusterRoleBinding", "metadata": {"name": ACTING},
        "subjects": [subject],
        "roleRef": {"kind": "ClusterRole", "name": ACTING,
                    "apiGroup": "rbac.authorization.k8s.io"},
    }  # fmt: skip
    await cluster.made(f"{RBAC}/clusterrolebindings", ROOT | binding)
    return await cluster.token(ACTING)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Run an API server."""
    async with running(tmp_path_factory.mktemp("kubernetes")) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def actuator(cluster: Cluster) -> AsyncIterator[WayActuator]:
    """Give an actuator with the least rights."""
    made = cluster.actuator(await entitled(cluster))
    yield made
    await made.close()


async def ended(cluster: Cluster, actuator: WayActuator, target: EndTarget,
                *tokens: str) -> None:  # fmt: skip
    """Probe, rehearse, act, and wait for the probe; then no token is honoured.

    Never before: a probe that says dead while a token is honoured is the failure.
    """
    assert (await actuator.probe(target)).found is Alive.ALIVE
    assert [True] * len(tokens) == [await cluster.honoured(one) for one in tokens]
    step = await actuator.plan(target)
    assert isinstance(step, EndStep)
    rehearsed = await actuator.rehearse(step)
    assert rehearsed is not None
    assert rehearsed.done, rehearsed
    assert [True] * len(tokens) == [await cluster.honoured(one) for one in tokens]
    for _ in range(2):  # a crash repeats it
        answer = await actuator.act(step)
        assert answer.done, answer

    async def dead() -> bool:
        found = (await actuator.probe(target)).found is Alive.DEAD
        if found:
            assert [] == [one for one in tokens if await cluster.honoured(one)]
        return found

    await until(dead, 60)


async def test_a_service_account_ends_for_good(
    cluster: Cluster, actuator: WayActuator
) -> None:
    """With every token of it, whoever knows it."""
    await cluster.account("gone")
    token = await cluster.token("gone")
    target = EndTarget(Identifier("k8s.service_account", "agents/gone"))
    await ended(cluster, actuator, target, token)
    assert 404 == (await cluster.call("GET", f"{ACCOUNTS}/gone"))[0]


async def test_a_service_account_lives_on_under_its_name(
    cluster: Cluster, actuator: WayActuator
) -> None:
    """Older tokens are dead, and later ones are honoured."""
    await cluster.account("planner")
    old = await cluster.token("planner")
    name = Identifier("k8s.service_account", "agents/planner")
    target = EndTarget(name, not_before=time.time_ns())
    await ended(cluster, actuator, target, old)
    status, found = await cluster.call("GET", f"{ACCOUNTS}/planner")
    assert (200, {"team": "orders"}) == (status, found["metadata"]["labels"])
    assert await cluster.honoured(await cluster.token("planner"))
    assert (await actuator.probe(target)).found is Alive.DEAD


async def test_what_a_token_is_bound_to_ends_it(
    cluster: Cluster, actuator: WayActuator
) -> None:
    """A secret and a pod; another token of the account is honoured further."""
    await cluster.account("worker")
    free = await cluster.token("worker")
    await cluster.made(f"{SPACE}/secrets", {"metadata": {"name": "bound"}})
    pod = {
        "metadata": {"name": "pod"},
        "spec": {"serviceAccountName": "worker", "containers": [
            {"name": "it", "image": "it"},
        ]},
    }  # fmt: skip
    await cluster.made(f"{SPACE}/pods", pod)
    for kind, name in (("Secret", "bound"), ("Pod", "pod")):
        token = await cluster.token(
            "worker", {"kind": kind, "apiVersion": "v1", "name": name}
        )
        target = EndTarget(Identifier(f"k8s.{kind.lower()}", f"agents/{name}"))
        await ended(cluster, actuator, target, token)
    assert await cluster.honoured(free)


async def test_what_has_the_name_by_now_lives(
    cluster: Cluster, actuator: WayActuator
) -> None:
    """A step that was planned for another one deletes nothing."""
    await cluster.account("again")
    target = EndTarget(Identifier("k8s.service_account", "agents/again"))
    step = await actuator.plan(target)
    assert isinstance(step, EndStep)
    assert 200 == (await cluster.call("DELETE", f"{ACCOUNTS}/again"))[0]
    await cluster.account("again")
    token = await cluster.token("again")
    assert (await actuator.act(step)).done
    assert await cluster.honoured(token)
    assert (await actuator.probe(target)).found is Alive.ALIVE


async def test_a_credential_without_rights_proves_nothing(cluster: Cluster) -> None:
    """It is refused, and nothing counts as dead."""
    await cluster.account("weak")
    weak = cluster.actuator(await cluster.token("weak"))
    try:
        for kind in ("service_account", "secret", "pod"):
            target = EndTarget(Identifier(f"k8s.{kind}", "agents/nowhere"))
            with pytest.raises(RequestError, match="status 403"):
                await weak.probe(target)
            with pytest.raises(RequestError, match="status 403"):
                assert not isinstance(await weak.plan(target), NoWay)
    finally:
        await weak.close()
