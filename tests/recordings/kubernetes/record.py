"""Record what a real API server's audit webhook posts, and see it count.

    python -m tests.recordings.kubernetes.record /path/to/bin

The folder holds ``etcd`` and ``kube-apiserver``. Both run on loopback until the script
ends. The server is set up with the files of ``examples/kubernetes``; its batches go to
a running Rescind, the first of them only after a failure. What was posted is written
to ``batches.jsonl`` beside this file, one request a line; no token is in it.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import tempfile
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import trustme
import yaml
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.integration.serving import running, until, values

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.integration.serving import Server

HERE = Path(__file__).parent
EXAMPLES = Path(__file__).parents[3] / "examples" / "kubernetes"
SECRET = "a secret of the recording"
SPACE = "/api/v1/namespaces/agents"


@asynccontextmanager
async def process(log: Path, *command: str) -> AsyncIterator[None]:
    """Run a program until the context ends."""
    with log.open("wb") as file:
        child = await asyncio.create_subprocess_exec(*command, stdout=file, stderr=file)
    try:
        yield
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()


async def free_port() -> int:
    """Give a port that is free now."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


@asynccontextmanager
async def receiving(
    authority: trustme.CA, take: Callable[[web.Request], Awaitable[web.Response]]
) -> AsyncIterator[str]:
    """Receive over TLS: without, the API server sends no bearer token."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield f"https://localhost:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def write_keys(folder: Path, authority: trustme.CA) -> ssl.SSLContext:
    """Make the keys of the API server; give what its administrator presents."""
    authority.cert_pem.write_to_path(folder / "ca.crt")
    admin = authority.issue_cert(
        "admin.example.com", common_name="admin", organization_name="system:masters"
    )
    admin.private_key_and_cert_chain_pem.write_to_path(folder / "admin.pem")
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    (folder / "sa.key").write_bytes(private)
    public = key.public_key()
    (folder / "sa.pub").write_bytes(
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    context = ssl.create_default_context()
    # Its own certificate is made by itself, for this run and on this machine alone.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(folder / "admin.pem")
    return context


@asynccontextmanager
async def api_server(
    binaries: Path, folder: Path, webhook: str, authority: trustme.CA
) -> AsyncIterator[tuple[str, ssl.SSLContext]]:
    """Run etcd and an API server whose audit webhook is at a URL."""
    context = write_keys(folder, authority)
    config = yaml.safe_load((EXAMPLES / "audit-webhook.yaml").read_text("utf-8"))
    config["clusters"][0]["cluster"] |= {
        "server": webhook, "certificate-authority": str(folder / "ca.crt"),
    }  # fmt: skip
    config["users"][0]["user"]["token"] = SECRET
    (folder / "webhook.yaml").write_text(yaml.safe_dump(config))
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
            "--advertise-address=10.240.0.1", "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=RBAC",
            f"--client-ca-file={folder / 'ca.crt'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder / 'sa.pub'}",
            f"--service-account-signing-key-file={folder / 'sa.key'}",
            f"--audit-policy-file={EXAMPLES / 'audit-policy.yaml'}",
            f"--audit-webhook-config-file={folder / 'webhook.yaml'}",
            "--audit-webhook-batch-max-wait=1s", "--audit-webhook-initial-backoff=1s",
        ),
    ):  # fmt: skip
        yield f"https://127.0.0.1:{port}", context


class Recorder:
    """Stands between the API server and Rescind; fails once, to see a repetition."""

    def __init__(self, server: Server) -> None:
        """Forward to a running server."""
        self._server = server
        self.bodies: list[bytes] = []
        self.headers: dict[str, str] = {}
        self.statuses: list[int] = []

    async def take(self, request: web.Request) -> web.Response:
        """Keep a batch and pass it on."""
        body = await request.read()
        self.headers = dict(request.headers)
        if not self.statuses:
            self.statuses.append(503)
            return web.Response(status=503)
        url = f"{self._server.url}/v1/hooks/kubernetes"
        sent = {"Authorization": request.headers["Authorization"]}
        async with self._server.session.post(url, data=body, headers=sent) as got:
            self.statuses.append(got.status)
            self.bodies.append(body)
            return web.Response(status=got.status)


class Cluster:
    """Calls to the API server."""

    def __init__(
        self, url: str, session: aiohttp.ClientSession, context: ssl.SSLContext
    ) -> None:
        """Call as administrator."""
        self._url, self._session, self._context = url, session, context

    async def call(
        self, method: str, path: str, body: Any = None, token: str | None = None
    ) -> tuple[int, Any]:
        """Make one call, with a token or as administrator; give status and answer."""
        context = self._context
        headers = {}
        if token is not None:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            headers["Authorization"] = f"Bearer {token}"
        async with self._session.request(
            method, self._url + path, json=body, ssl=context, headers=headers
        ) as got:
            return got.status, await got.json(content_type=None)

    async def ready(self) -> bool:
        """Tell whether it serves."""
        try:
            return (await self.call("GET", "/api/v1/namespaces/default"))[0] == 200
        except (aiohttp.ClientError, ValueError):
            return False

    async def account(self, name: str) -> None:
        """Make a service account."""
        body = {"metadata": {"name": name}}
        status, answer = await self.call("POST", f"{SPACE}/serviceaccounts", body)
        assert 201 == status, answer

    async def token(self, account: str, **spec: Any) -> tuple[str, str]:
        """Ask for a token; give it and its jti."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                "spec": {"expirationSeconds": 3600} | spec}  # fmt: skip
        path = f"{SPACE}/serviceaccounts/{account}/token"
        status, answer = await self.call("POST", path, body)
        assert 201 == status, answer
        token = answer["status"]["token"]
        return token, claims(token)["jti"]

    async def use(self, token: str) -> int:
        """Ask who one is, which every account may."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        return (await self.call("POST", path, body, token))[0]


def claims(token: str) -> dict[str, Any]:
    """Give the claims of a JWT, unverified."""
    import jwt  # noqa: PLC0415 - one function's

    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


async def verdict(server: Server, jti: str) -> tuple[bool, str]:
    """Give whether a token is allowed, and why not."""
    _, why = await server.get(f"/v1/why/jwt.jti:{jti}")
    return why["allowed"], orjson.dumps(why).decode()


async def play(cluster: Cluster, server: Server) -> None:
    """Issue, use and end tokens, and see each end at Rescind."""
    body = {"metadata": {"name": "agents"}}
    assert 201 == (await cluster.call("POST", "/api/v1/namespaces", body))[0]
    await cluster.account("planner")
    await cluster.account("runner")
    pod = {
        "metadata": {"name": "runner-0"},
        "spec": {"serviceAccountName": "runner", "containers": [
            {"name": "c", "image": "x"}]},
    }  # fmt: skip
    status, made = await cluster.call("POST", f"{SPACE}/pods", pod)
    assert 201 == status, made
    planner, first = await cluster.token("planner")
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "runner-0",
             "uid": made["metadata"]["uid"]}  # fmt: skip
    runner, second = await cluster.token("runner", boundObjectRef=bound)
    free, third = await cluster.token("runner")
    for each in (planner, runner, free):
        await slowly(partial(_accepted, cluster, each))
    for jti in (first, second, third):
        await until(partial(_lives, server, jti))
    await _ended(cluster, server, f"{SPACE}/serviceaccounts/planner", planner, first)
    await _ended(
        cluster, server, f"{SPACE}/pods/runner-0?gracePeriodSeconds=0", runner, second
    )
    assert (await verdict(server, third))[0]
    assert 201 == await cluster.use(free)
    status, answer = await cluster.call("DELETE", f"{SPACE}/serviceaccounts")
    assert 200 == status, answer
    # Now a collection was deleted; the log does not say what was in it.
    await until(lambda: _told(server, "deletecollection:serviceaccounts"))


async def slowly(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what each look at leaves a line in the log."""
    while not await condition():  # noqa: ASYNC110 - it is another program's
        await asyncio.sleep(1)


async def _ended(
    cluster: Cluster, server: Server, path: str, token: str, jti: str
) -> None:
    status, answer = await cluster.call("DELETE", path)
    assert 200 == status, answer
    await until(lambda: _dies(server, jti))
    # The API server notices too, but only after its cache of accepted tokens.
    await slowly(lambda: _refused(cluster, token))


async def _accepted(cluster: Cluster, token: str) -> bool:
    # Not at once: the API server first writes the roles that every account has.
    return await cluster.use(token) == 201


async def _refused(cluster: Cluster, token: str) -> bool:
    return await cluster.use(token) == 401


async def _lives(server: Server, jti: str) -> bool:
    return (await verdict(server, jti))[0]


async def _dies(server: Server, jti: str) -> bool:
    allowed, why = await verdict(server, jti)
    return not allowed and 'cause":{' in why


async def _told(server: Server, what: str) -> bool:
    _, letters = await server.get("/v1/dlq")
    return what in orjson.dumps(letters).decode()


async def record(binaries: Path) -> list[bytes]:
    """Play, and give the batches."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = trustme.CA()
        grants = [{"kind": "k8s.*"}, {"kind": "jwt.jti"}]
        hook = {"vendor": "kubernetes", "authority": "k8s", "secret": {"value": SECRET}}
        authorities = values(folder)["authorities"] | {"k8s": {"grants": grants}}
        more = {"hooks": {"kubernetes": hook}, "authorities": authorities}
        async with running(folder, **more) as server:
            recorder = Recorder(server)
            async with (
                receiving(authority, recorder.take) as url,
                api_server(binaries, folder, url, authority) as (api, context),
                aiohttp.ClientSession() as session,
            ):
                cluster = Cluster(api, session, context)
                await until(cluster.ready)
                await play(cluster, server)
        told = {"statuses": recorder.statuses, "batches": len(recorder.bodies)}
        sent = {name: recorder.headers.get(name) for name in
                ("Content-Type", "Content-Encoding", "User-Agent")}  # fmt: skip
        sys.stdout.write(f"{told} {sent}\n")
        return recorder.bodies


def main() -> None:
    """Record, and write."""
    bodies = asyncio.run(record(Path(sys.argv[1])))
    lines = b"".join(orjson.dumps(orjson.loads(body)) + b"\n" for body in bodies)
    (HERE / "batches.jsonl").write_bytes(lines)


if __name__ == "__main__":
    main()
