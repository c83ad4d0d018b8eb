"""A real Envoy that verifies tokens itself, and asks the agent of its host."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from enforcement.shared.agent import Agent
from enforcement.shared.answering import listen
from enforcement.shared.authorizing import ClaimHeaders
from tests.integration.gateways import reserved_port, serving_api, started
from tests.integration.serving import running, until
from tests.pdp import jwks, sub, token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guard.md"
LEASE = 4.0  # longer than the default: a slow machine must not cost it
JTI = "jwt.jti:jti-child"
CLAIMS = ClaimHeaders.read(
    ["x-jwt-sub=jwt.sub", "x-jwt-jti=jwt.jti"], issued_at="x-jwt-iat"
)


def configuration() -> str:
    """Give the configuration of the guide."""
    text = GUIDE.read_text("utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (found,) = [each for each in blocks if "host_agent" in each]
    return str(found)


def fresh(name: str) -> str:
    """Give a token of now."""
    now = int(time.time())
    return token(name, iat=now, exp=now + 600)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Any]:
    """Run server, agent, API and Envoy; give the server and how to call the API."""
    socket, keys = tmp_path / "agent.sock", tmp_path / "jwks.json"
    keys.write_bytes(jwks())
    async with serving_api() as api, running(tmp_path, lease_seconds=LEASE) as server:
        known = [
            {"identifier": str(sub("agent"))},
            {"identifier": str(sub("child")), "parents": [str(sub("agent"))]},
            {"identifier": JTI, "parents": [str(sub("child"))]},
        ]
        status, told = await server.post(
            "/v1/adopt", "restorer", {"credentials": known}
        )
        assert status == 201, told
        agent = Agent(
            server.url, "guard", name="edge", path=tmp_path / "table", lease=LEASE
        )
        async with agent as guard, aiohttp.ClientSession() as session:
            runner = await listen(guard, socket, CLAIMS)
            await guard.ready(30)
            text = configuration()
            with reserved_port() as port:
                for written, real in (
                    ("/run/rescind/agent.sock", socket),
                    ("/etc/envoy/jwks.json", keys),
                    ("9000", api.port),
                    ("8080", port),
                ):
                    assert written in text
                    text = text.replace(written, str(real))
                async with started("envoy", tmp_path, text, port) as url:

                    async def get(
                        name: str, path: str = "/orders", **headers: str
                    ) -> tuple[int, str]:
                        sent = {"Authorization": f"Bearer {fresh(name)}", **headers}
                        async with session.get(url + path, headers=sent) as answer:
                            return answer.status, answer.headers.get(
                                "X-Rescind-Reason", ""
                            )

                    yield server, get
            await runner.cleanup()


async def test_an_envoy_asks_the_agent_of_its_host(scene: Any) -> None:
    """A client's own headers stand for nothing; a revocation of the parent denies."""
    server, get = scene
    assert await get("child") == (200, "")
    assert await get("child", "/a/../b?x=1") == (200, "")
    stolen = {"X-Jwt-Sub": "child", "X-Jwt-Jti": "jti-child"}
    assert await get("stranger", **stolen) == (403, "unknown_credential")
    assert await get("child", **{"X-Jwt-Sub": "stranger"}) == (200, "")

    order = {"identifier": str(sub("agent"))}
    assert (await server.post("/v1/revocations", "revoker", order))[0] == 201

    async def denied() -> bool:
        return bool(await get("child") == (403, "revoked"))

    await until(denied)
