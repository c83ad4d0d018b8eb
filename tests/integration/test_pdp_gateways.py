"""Real nginx, Caddy and Envoy in front of a sample API, and the real server behind."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from attrs import define
from yarl import URL

from streams.apps.pdp import guard_of
from streams.pdp.service import Deciding, serve
from tests.integration.gateways import Api, running_gateway, serving_api
from tests.integration.serving import Server, running, until
from tests.pdp import jwks, settings, sub, token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

CADDY, *OTHERS = GATEWAYS = ["caddy", "nginx", "envoy", "envoy-grpc"]
LONG = partial(pytest.param, marks=pytest.mark.long)
UNUSED = 1  # a port where nobody listens
AGENT, CHILD = sub("agent"), sub("child")


@asynccontextmanager
async def deciding(folder: Path, url: str, **more: Any) -> AsyncIterator[Deciding]:
    """Run a decision point in this process until the context ends."""
    (folder / "jwks.json").write_bytes(jwks())
    issuer = {"issuer": "https://idp.example.com", "audience": ["api"],
              "jwks": str(folder / "jwks.json")}  # fmt: skip
    made = settings(
        url=url,
        issuers=[issuer],
        grpc_listen={"port": 0},
        routes={"new-service": {"mode": "observe"}},
        **more,
    )
    stop = asyncio.Event()
    started: asyncio.Future[Deciding] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        point = serve(made, guard_of(made), stop=stop, started=started.set_result)
        tasks.create_task(point)
        try:
            ready = await started
            assert await ready.decider.guard.ready(30)
            yield ready
        finally:
            stop.set()


@define
class Scene:
    """A gateway and what stands around it."""

    url: str
    api: Api
    server: Server
    stop_server: Any
    session: aiohttp.ClientSession

    async def get(
        self, text: str | None, path: str = "/orders", method: str = "GET", **more: Any
    ) -> tuple[int, str, Any]:
        """Call the API with a token; give status, body and headers."""
        headers = {} if text is None else {"Authorization": f"Bearer {text}"}
        url = self.url + path
        async with self.session.request(method, url, headers=headers, **more) as got:
            return got.status, await got.text(), got.headers


def fresh(name: str, *actors: str) -> str:
    """Give a token of now."""
    now = int(time.time())
    return token(name, *actors, iat=now, exp=now + 600)


@asynccontextmanager
async def scene(
    name: str, folder: Path, lease: float = 4.0, bound: str = "60s", **more: Any
) -> AsyncIterator[Scene]:
    """Set up server, decision point, API and gateway.

    Args:
        name: of the gateway.
        folder: for all files.
        lease: longer than the default: a slow machine must not cost it.
        bound: how long the gateway lets streams last.
        more: settings of the decision point.
    """
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(serving_api())
        behind = await stack.enter_async_context(AsyncExitStack())
        server = await behind.enter_async_context(running(folder, lease_seconds=lease))
        lineage = [
            {"identifier": str(AGENT)},
            {"identifier": str(CHILD), "parents": [str(AGENT)]},
        ]
        status, told = await server.post(
            "/v1/adopt", "restorer", {"credentials": lineage}
        )
        assert status == 201, told
        pdp = await stack.enter_async_context(
            deciding(folder, server.url, lease_seconds=lease, **more)
        )
        asked = f"http://{pdp.grpc}" if name == "envoy-grpc" else pdp.url
        url = await stack.enter_async_context(
            running_gateway(name, folder, URL(asked).port or 0, api.port, bound)
        )
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Scene(url, api, server, behind.aclose, session)


@pytest.mark.parametrize("name", GATEWAYS)
async def test_a_gateway_enforces_a_revocation(name: str, tmp_path: Path) -> None:
    """The parent is revoked; the child's token, which says nothing of it, is denied."""
    async with scene(name, tmp_path) as made:
        good = fresh("child")
        for method, path in (("GET", "/orders?x=1"), ("POST", "/a/../b"), ("PUT", "/")):
            status, body, _ = await made.get(good, path, method, data="body")
            assert (status, body.split()[0]) == (200, method)
            assert body.endswith("body")

        reached = len(made.api.reached)
        refused = {
            None: "no_token", "a.b.c": "malformed_token",
            "opaque": "unknown_credential", good[:-4] + "AAAA": "bad_signature",
            fresh("stranger"): "unknown_credential",
        }  # fmt: skip
        for text, reason in refused.items():
            status, _, headers = await made.get(text)
            assert (status, headers["X-Rescind-Reason"]) == (401, reason)
            assert headers["WWW-Authenticate"].startswith("Bearer")
        assert len(made.api.reached) == reached

        order = {"identifier": str(AGENT)}
        assert (await made.server.post("/v1/revocations", "revoker", order))[0] == 201

        async def denied() -> bool:
            return (await made.get(good))[0] == 401

        await until(denied)
        reached = len(made.api.reached)
        for _ in range(20):
            status, _, headers = await made.get(good)
            assert (status, headers["X-Rescind-Reason"]) == (401, "revoked")
        assert len(made.api.reached) == reached


@pytest.mark.parametrize("name", [CADDY, *(LONG(name) for name in OTHERS)])
async def test_a_stream_ends_within_its_bound(name: str, tmp_path: Path) -> None:
    """And is not begun again by whose credential died meanwhile."""
    async with scene(name, tmp_path, bound="2s") as made:
        good = fresh("child")
        headers = {"Authorization": f"Bearer {good}"}
        async with made.session.get(f"{made.url}/events", headers=headers) as events:
            assert await events.content.readline() == b"data: an event\n"
            order = {"identifier": str(AGENT)}
            status, _ = await made.server.post("/v1/revocations", "revoker", order)
            assert status == 201
            if name == "nginx":  # as a timer would
                pid = int((tmp_path / "nginx.pid").read_text())
                os.kill(pid, signal.SIGHUP)
            with pytest.raises((aiohttp.ClientPayloadError, ConnectionError)):
                await events.content.read()

        async def denied() -> bool:
            return (await made.get(good, "/events"))[0] == 401

        await until(denied)


@pytest.mark.parametrize("name", GATEWAYS)
async def test_a_lenient_policy_reaches_the_gateway(name: str, tmp_path: Path) -> None:
    """Unknown and malformed tokens pass where the settings say so; forged ones not."""
    policy = {"secret": "allow_and_report", "jwt.jti": "allow_and_report"}
    async with scene(name, tmp_path, unknown=policy, malformed="opaque") as made:
        for text in ("a.b.c", "opaque", fresh("stranger")):
            assert (await made.get(text))[0] == 200
        for forged in (fresh("child")[:-4] + "AAAA", None):
            assert (await made.get(forged))[0] == 401
        assert len(made.api.reached) == 3


@pytest.mark.parametrize("name", GATEWAYS)
async def test_without_its_server_a_gateway_denies(name: str, tmp_path: Path) -> None:
    """The lease runs out, and nobody can vouch for the token any more."""
    async with scene(name, tmp_path, lease=1.0) as made:
        good = fresh("child")

        async def answered(status: int) -> bool:
            return (await made.get(good))[0] == status

        await until(lambda: answered(200))

        await made.stop_server()

        await until(lambda: answered(403))
        reached = len(made.api.reached)
        for _ in range(20):
            status, _, headers = await made.get(good)
            assert (status, headers["X-Rescind-Reason"]) == (403, "no_lease")
        assert len(made.api.reached) == reached


@pytest.mark.parametrize("name", GATEWAYS)
async def test_without_its_decision_point_a_gateway_denies(
    name: str, tmp_path: Path
) -> None:
    """Nobody answers: a gateway that then let requests pass would be fail-open."""
    async with (
        serving_api() as api,
        running_gateway(name, tmp_path, UNUSED, api.port) as url,
        aiohttp.ClientSession() as session,
    ):
        headers = {"Authorization": f"Bearer {fresh('child')}"}
        async with session.get(url, headers=headers) as got:
            assert got.status >= 400
        assert not api.reached
