"""A guard against the embedded server itself."""

from __future__ import annotations

import asyncio
import hashlib
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from yarl import URL

from agents_registry.life import Reason
from enforcement import Guard, Lapse
from streams.apps.embedded import Served, serve
from streams.model.times import SECOND, rfc3339
from streams.settings.access import StaticToken
from streams.settings.server import Listen, Settings
from tests.contract.guard_cases import GRACE, LEASE, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.contract

AGENT = "agent.id:planner"
OPERATOR = {"Authorization": "Bearer operator"}


def token(name: str, *roles: Any) -> StaticToken:
    """Give a holder whose token is its name."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return StaticToken(name=name, sha256=digest, roles=frozenset(roles))


@asynccontextmanager
async def serving(folder: Path, port: int = 0) -> AsyncIterator[str]:
    """Run a server over a folder; give its URL."""
    settings = Settings(
        data_dir=folder,
        listen=Listen(port=port),
        tokens=(token("guard", "guard"), token("operator", "revoker", "restorer")),
    )
    stop = asyncio.Event()
    started: asyncio.Future[Served] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(settings, stop=stop, started=started.set_result))
        try:
            yield (await started).url
        finally:
            stop.set()


async def post(url: str, path: str, body: dict[str, Any]) -> str:
    """Let the operator do something; give the token."""
    async with (
        aiohttp.ClientSession(headers=OPERATOR) as session,
        session.post(f"{url}{path}", json=body) as response,
    ):
        answer = await response.json()
        assert response.status == 201, answer
        return str(answer["token"])


async def adopt(url: str) -> str:
    """Declare the one agent."""
    return await post(url, "/v1/adopt", {"credentials": [{"identifier": AGENT}]})


def connect(url: str) -> Guard:
    """Give a guard of the server."""
    return Guard(url, "guard", name="g", lease=LEASE, jitter=lambda: 0.2)


def reason(guard: Guard) -> Reason | Lapse:
    """Ask about the agent."""
    return guard.check(AGENT).reason


async def test_a_revocation_is_denied_where_it_was_allowed(tmp_path: Path) -> None:
    """From the operator's request to the guard, through the log."""
    async with serving(tmp_path) as url, connect(url) as guard:
        assert await guard.wait_for(await adopt(url), 5)
        await until(lambda: guard.check(AGENT).allowed)

        revoked = await post(url, "/v1/revocations", {"identifier": AGENT})

        assert await guard.wait_for(revoked, LEASE)
        assert reason(guard) is Reason.REVOKED


async def test_a_restart_costs_no_snapshot(tmp_path: Path) -> None:
    """Denied within a lease while the server is away; the same table afterwards."""
    async with serving(tmp_path) as url:
        await adopt(url)
        guard = connect(url)
        await guard.__aenter__()
        await until(lambda: guard.check(AGENT).allowed)
    try:
        took = await until(lambda: not guard.check(AGENT).allowed)
        assert took <= LEASE + GRACE
        assert reason(guard) is Lapse.NO_LEASE

        before = guard.standing.replica
        async with serving(tmp_path, URL(url).port or 0):
            await until(lambda: guard.check(AGENT).allowed)
        assert guard.standing.replica is before
    finally:
        await guard.__aexit__(None, None, None)


async def test_a_server_with_another_log_is_read_anew(tmp_path: Path) -> None:
    """What the first log knew is unknown to the second, so it is denied."""
    async with serving(tmp_path / "one") as url:
        await adopt(url)
        guard = connect(url)
        await guard.__aenter__()
        await until(lambda: guard.check(AGENT).allowed)
    before = guard.standing.replica
    try:
        async with serving(tmp_path / "two", URL(url).port or 0):
            await until(lambda: guard.standing.replica is not before)
            await until(guard.standing.holds)
            assert guard.standing.replica.position == 0
            assert reason(guard) is Reason.UNKNOWN_CREDENTIAL

            await adopt(url)
            await until(lambda: guard.check(AGENT).allowed)
    finally:
        await guard.__aexit__(None, None, None)


async def test_a_guard_that_is_behind_lets_nothing_expired_pass(tmp_path: Path) -> None:
    """Its wall clock was set back while it was down; the server tells the time."""
    name, hour = "agent.instance:old", 3600 * SECOND
    async with serving(tmp_path) as url:
        ended = rfc3339(time.time_ns() - hour // 2)
        one = {"identifier": name, "expires_at": ended}
        await post(url, "/v1/adopt", {"credentials": [one]})
        guard = Guard(
            url,
            "guard",
            name="g",
            lease=LEASE,
            wall_clock=lambda: time.time_ns() - hour,
        )
        async with guard:
            assert await guard.ready(10)
            verdict = guard.check(name)
            offset = guard.time.offset

    assert (verdict.allowed, verdict.reason) == (False, Reason.EXPIRED)
    assert abs(offset + hour) < hour // 10
