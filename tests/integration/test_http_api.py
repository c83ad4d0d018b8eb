"""Who may ask what over HTTP, and what a bad request is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from streams.model.times import SECOND, rfc3339
from tests.integration.serving import DEADLINE, Server, running, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.integration

KEY = "aws.access_key:AKIAEXAMPLE000000001"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Run a server that takes bodies of at most 10 kB."""
    async with running(tmp_path, max_body_bytes=10_000) as server:
        yield server


@pytest.mark.parametrize(
    ("method", "path", "token", "status"),
    [
        ("GET", "/v1/findings", "", 401),
        ("GET", "/v1/findings", "nobody", 401),
        ("GET", "/v1/findings", "aws", 403),
        ("GET", "/v1/findings", "viewer", 200),
        ("GET", "/v1/dlq", "guard", 403),
        ("GET", "/v1/audit?realm=another", "viewer", 403),
        ("GET", f"/v1/why/{KEY}", "guard", 403),
        ("GET", "/v1/feed", "viewer", 403),
        ("GET", "/v1/inventory", "viewer", 200),
        ("GET", "/v1/blast-radius/nonsense", "viewer", 422),
        ("GET", "/v1/dlq?limit=0", "viewer", 422),
        ("GET", "/v1/dlq?after=x", "viewer", 422),
        ("GET", "/v1/nothing", "viewer", 404),
        ("DELETE", "/v1/findings", "viewer", 405),
        ("POST", "/v1/revocations", "viewer", 403),
        ("POST", "/v1/revocations", "revoker", 422),
        ("POST", "/v1/adopt", "revoker", 403),
        ("POST", "/v1/adopt", "restorer", 422),
        ("POST", "/v1/events/cloudtrail", "viewer", 403),
        ("POST", "/v1/events/unheard-of", "aws", 404),
    ],
)
async def test_each_role_may_do_its_own_part(
    server: Server, method: str, path: str, token: str, status: int
) -> None:
    """Every refusal is a problem document with the status that fits."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with server.session.request(
        method, server.url + path, headers=headers
    ) as response:
        assert status == response.status
        if status >= 400:
            assert response.content_type == "application/problem+json"
            assert (await response.json())["status"] == status
        assert (status == 401) == ("WWW-Authenticate" in response.headers)


@pytest.mark.parametrize(
    "body",
    [
        {"identifier": "aws.acess_key:typo"},
        {"identifier": 5},
        {"identifier": "nocolon"},
        {"identifier": KEY, "at": "yesterday"},
        {"identifier": KEY, "at": 5},
        {"identifier": KEY, "reason": "x" * 1001},
        {"identifier": KEY, "when": "now"},
        {"identifier": "aws.user:" + "x" * 300},
    ],
)
async def test_a_revocation_is_taken_in_whole_or_refused(
    server: Server, body: dict[str, Any]
) -> None:
    """A typing error must not look like a revocation that works."""
    status, problem = await server.post("/v1/revocations", "revoker", body)

    assert (422, "unreadable request") == (status, problem["title"])
    assert problem["detail"]


async def test_a_revocation_in_the_future_is_not_done_now(server: Server) -> None:
    """Whoever orders it thinks that it holds later: it waits, or is refused.

    A clock that is a little ahead is no other time.
    """
    body = {"identifier": KEY, "at": "2199-01-01T00:00:00Z"}
    status, answer = await server.post("/v1/revocations", "revoker", body)

    assert (422, True) == (status, "lies ahead" in answer["detail"])
    ahead = str(rfc3339(server.served.stages.clock() + 60 * SECOND))
    body = {"identifier": KEY, "at": ahead}
    status, answer = await server.post("/v1/revocations", "revoker", body)
    assert (202, ahead) == (status, answer["scheduled"]["due_at"])
    _, why = await server.get(f"/v1/why/{KEY}")
    assert not why["dead"]
    soon = str(rfc3339(server.served.stages.clock() + SECOND))
    body = {"identifier": KEY, "at": soon}
    status, answer = await server.post("/v1/revocations", "revoker", body)
    assert (201, True) == (status, answer["at"] < soon)


async def test_too_large_a_body_is_refused(server: Server) -> None:
    """The cap holds for streamed bodies too."""
    status, _ = await server.post("/v1/events/cloudtrail", "aws", b"x" * 10_001)

    assert status == 413


async def test_garbage_is_answered_and_explained(server: Server) -> None:
    """Bytes nobody can read are 202 and a dead letter, so the source goes on."""
    status, answer = await server.post("/v1/events/cloudtrail", "aws", b"\xff{nonsense")
    _, letters = await server.get("/v1/dlq")

    assert (202, 1, 0) == (status, answer["dead_letters"], answer["facts"])
    assert letters["dead_letters"][0]["reason"]


async def test_what_was_posted_stays_out_of_the_file(
    server: Server, tmp_path: Path
) -> None:
    """No token or secret of a request is stored anywhere."""
    event = {"eventSource": "iam.amazonaws.com", "eventName": "X" * 3,
             "sessionToken": "do-not-keep-me"}  # fmt: skip
    body = json.dumps(event).encode() + b"\n{broken do-not-keep-me"
    await server.post("/v1/events/cloudtrail", "aws", body)
    await until(lambda: server.served.stages.idle)

    files = [p for p in (tmp_path / "data").iterdir() if p.is_file()]
    assert any(b"malformed" in p.read_bytes() or p.suffix != ".lock" for p in files)
    assert not any(b"do-not-keep-me" in p.read_bytes() for p in files)


async def test_the_feed_survives_a_guard_that_talks_nonsense(server: Server) -> None:
    """A broken frame ends that connection and no other."""
    headers = {"Authorization": "Bearer guard"}
    for first in ("not json", "[]", '{"type": "ping"}'):
        async with server.session.ws_connect(
            f"{server.url}/v1/feed", headers=headers
        ) as socket:
            await socket.send_str(first)
            message = await socket.receive(timeout=DEADLINE)

            assert message.type is aiohttp.WSMsgType.CLOSE
    status, _ = await server.get("/v1/findings")
    assert status == 200


async def test_the_feed_continues_where_a_guard_stopped(server: Server) -> None:
    """The same genesis and position get deltas alone; another genesis a snapshot."""
    credentials = [{"identifier": f"aws.access_key:{n}"} for n in range(3)]
    await server.post("/v1/adopt", "restorer", {"credentials": credentials})
    headers = {"Authorization": "Bearer guard"}
    seen = []
    for genesis in (server.served.genesis, "another"):
        async with server.session.ws_connect(
            f"{server.url}/v1/feed", headers=headers
        ) as socket:
            hello = {"type": "hello", "guard": "g", "genesis": genesis, "position": 1}
            await socket.send_json(hello)
            message = await socket.receive_json(timeout=DEADLINE)
            seen.append((message["type"], message.get("from")))

    assert [("delta", 1), ("snapshot", None)] == seen


async def test_tells_health_and_metrics_without_a_token(server: Server) -> None:
    """Orchestrators ask without credentials and see no identifier."""
    for path in ("live", "ready", "startup"):
        async with server.session.get(f"{server.url}/healthz/{path}") as response:
            assert response.status == 200
    async with server.session.get(f"{server.url}/metrics") as response:
        assert "rescind_facts_applied" in await response.text()
