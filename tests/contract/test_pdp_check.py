"""What gateways ask: any method and path under a check, one answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streams.observability.metrics import PDP
from tests.contract.test_pdp_authzen import client
from tests.pdp import SECOND, node, point, revoke, sub, token
from tests.scraped import check_scrape

pytestmark = pytest.mark.contract

AGENT, BOSS = sub("agent"), sub("boss")
FACTS = (node(AGENT), node(BOSS), revoke(BOSS))
ROUTES = {"lax": {"mode": "observe"}, "write": {"scope": "api|write"}}
GOOD, DEAD = token("agent"), token("boss")


def known(**more: Any) -> Any:
    """Give a decision point with routes."""
    return point(*FACTS, **({"routes": ROUTES} | more))


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "PROPFIND"])
@pytest.mark.parametrize(
    "path", ["", "/", "/orders/7?x=/../..", "//a%2f..;b", "/a%0Ab", "/check"]
)
async def test_every_method_and_path_gets_the_same_answer(
    method: str, path: str
) -> None:
    """Envoy asks with the client's own, bodies included."""
    async with client(known()) as made:
        for text, status, reason in ((GOOD, 200, "lives"), (DEAD, 401, "revoked")):
            headers = {"Authorization": f"Bearer {text}"}
            async with made.request(
                method, f"/v1/check{path}", headers=headers, data=b"body"
            ) as answer:
                assert answer.status == status
                assert answer.headers["X-Rescind-Reason"] == reason
                assert answer.headers["Cache-Control"] == "no-store"
                assert await answer.read() == b""


async def raw(made: Any, *lines: str) -> str:
    """Send a request as it is written; give the answer's head."""
    reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
    writer.write("\r\n".join([*lines, "Host: x", "Connection: close", "", ""]).encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    "path",
    [
        "/v1/check/../routes/lax/check", "/v1/check/%2e%2e/routes/lax/check",
        "/v1/check/..%2froutes/lax/check", "/v1/check/..;/routes/lax/check",
        "/v1/check/\\..\\..\\routes\\lax\\check", "/v1/check//../../routes/lax/check",
    ],
)  # fmt: skip
async def test_a_client_cannot_climb_out_of_its_check(path: str) -> None:
    """The rest of the path is the client's: it chooses no other route by it."""
    async with client(known()) as made:
        answer = await raw(
            made, f"GET {path} HTTP/1.1", f"Authorization: Bearer {DEAD}"
        )

    assert answer.startswith(("HTTP/1.1 401", "HTTP/1.1 404", "HTTP/1.1 400"))


async def test_two_tokens_are_refused() -> None:
    """The resource might look at the other one."""
    async with client(known()) as made:
        answer = await raw(
            made,
            "GET /v1/check HTTP/1.1",
            f"Authorization: Bearer {GOOD}",
            f"Authorization: Bearer {DEAD}",
        )

    assert answer.startswith("HTTP/1.1 401")
    assert "malformed_token" in answer


@pytest.mark.parametrize(
    ("route", "text", "status", "reason"),
    [
        ("lax", DEAD, 200, "revoked"),
        ("lax", "a.b.c", 200, "malformed_token"),
        ("write", DEAD, 401, "revoked"),
        ("nowhere", GOOD, 403, None),
    ],
)
async def test_a_route_has_its_own_mode(
    route: str, text: str, status: int, reason: str | None
) -> None:
    """Observed is said; a route that the settings lack is a mistake, and denied."""
    headers = {"Authorization": f"Bearer {text}"}
    async with (
        client(known()) as made,
        made.get(f"/v1/routes/{route}/check/a/b", headers=headers) as answer,
    ):
        assert answer.status == status
        assert answer.headers.get("X-Rescind-Reason") == reason
        assert ("X-Rescind-Observed" in answer.headers) is (route == "lax")


async def test_what_a_client_should_do_is_said() -> None:
    """A new token helps (401), or it does not (403); RFC 6750 section 3."""
    held = known()
    async with client(held) as made:
        async with made.get("/v1/check") as answer:
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (
                401,
                "Bearer",
            )
        headers = {"Authorization": f"Bearer {DEAD}"}
        async with made.get("/v1/check", headers=headers) as answer:
            challenge = 'Bearer error="invalid_token", error_description="revoked"'
            assert answer.headers["WWW-Authenticate"] == challenge
        held.clocks.boot += 60 * SECOND
        headers = {"Authorization": f"Bearer {GOOD}"}
        async with made.get("/v1/check", headers=headers) as answer:
            assert answer.status == 403
            assert "WWW-Authenticate" not in answer.headers


async def test_health_and_metrics_follow_the_lease() -> None:
    """Ready only with a lease; decisions are counted, and no identifier is told."""
    held = known()
    async with client(held) as made:
        for path in ("live", "ready", "startup"):
            async with made.get(f"/healthz/{path}") as answer:
                assert answer.status == 200
        headers = {"Authorization": f"Bearer {DEAD}"}
        async with made.get("/v1/check", headers=headers):
            pass
        held.clocks.boot += 60 * SECOND
        async with made.get("/healthz/ready") as answer:
            assert (answer.status, await answer.text()) == (503, "not ready: lease\n")
        for path in ("live", "startup"):
            async with made.get(f"/healthz/{path}") as answer:
                assert answer.status == 200
        async with made.get("/metrics") as answer:
            metrics = await answer.text()

    counted = 'rescind_pdp_decisions_total{outcome="deny",reason="revoked"'
    assert f'{counted},surface="check"}} 1.0' in metrics
    assert "rescind_pdp_lease 0.0" in metrics
    assert "boss" not in metrics
    check_scrape(metrics, PDP)


async def test_it_is_ready_once_every_issuer_was_asked_for_its_keys() -> None:
    """One that is down keeps out its own tokens, and not those of all others."""
    held = known()
    (keys,) = held.keys.values()
    keys.readings = 0
    async with client(held) as made:
        async with made.get("/healthz/ready") as answer:
            assert answer.status == 503
            told = await answer.text()
            assert told == "not ready: keys of https://idp.example.com\n"
        held.published.append(b"down")
        await keys.refresh()
        async with made.get("/healthz/ready") as answer:
            assert (answer.status, keys.failures) == (200, 1)


async def test_what_the_policy_wants_reported_is_counted() -> None:
    """An unknown token passes, and somebody hears of it."""
    lenient = known(unknown={"secret": "allow_and_report"})
    headers = {"Authorization": "Bearer opaque"}
    async with client(lenient) as made:
        async with made.get("/v1/check", headers=headers) as answer:
            assert answer.status == 200
        async with made.get("/metrics") as answer:
            metrics = await answer.text()

    assert 'rescind_pdp_reports_total{report="unknown secret"} 1.0' in metrics
