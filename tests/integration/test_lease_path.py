"""Guards keep their lease whatever the analysis does; see ADR 0055."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from streams.engine.stages import Stages
from tests.integration.healthy_guard import beside
from tests.integration.serving import Server, running, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

LEASE = 2.0
AGENT = "agent.id:planner"
LONG = 4 * LEASE  # that the analysis computes at most


class Busy:
    """Makes the first fact that is applied cost as long as it is wanted."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        """Plant it in the stages."""
        self.begun = threading.Event()
        self.enough = threading.Event()
        apply = Stages._apply

        def computed(stages: Stages, stored: Any) -> None:
            self._compute()
            apply(stages, stored)

        patch.setattr(Stages, "_apply", computed)

    def _compute(self) -> None:
        clock = asyncio.get_running_loop().time
        until_then, number = clock() + LONG, 0
        self.begun.set()
        while not self.enough.is_set() and clock() < until_then:
            number = (number * 31 + 7) % 1_000_003
        self.enough.set()


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Busy]:
    """Plant a busy analysis, and let it end with the test."""
    planted = Busy(monkeypatch)
    yield planted
    planted.enough.set()


async def adopt(server: Server, *names: str) -> None:
    """Declare agents."""
    body = {"credentials": [{"identifier": name} for name in names]}
    status, answer = await server.post("/v1/adopt", "restorer", body)
    assert status == 201, answer


async def test_a_busy_analysis_costs_no_lease_and_delays_no_revocation(
    tmp_path: Path, busy: Busy
) -> None:
    """Accepting, feed, receipts, health and metrics go on meanwhile."""
    async with (
        running(tmp_path, lease_seconds=LEASE) as server,
        beside(server.url, LEASE) as guard,
    ):
        loop = asyncio.get_running_loop()
        await adopt(server, AGENT)
        assert await asyncio.to_thread(busy.begun.wait, LONG)
        began = loop.time()
        guard.watch(AGENT)
        revoked = await server.post("/v1/revocations", "revoker", {"identifier": AGENT})
        await until(lambda: AGENT in guard.denied)
        live = await server.session.get(f"{server.url}/healthz/live")
        metrics = await server.session.get(f"{server.url}/metrics")

        assert 201 == revoked[0]
        assert not busy.enough.is_set()
        assert (200, 200) == (live.status, metrics.status)
        assert not server.served.stages.applied
        await until(lambda: loop.time() > began + 1.5 * LEASE)
        assert not busy.enough.is_set()
        assert 0 == guard.lost
        busy.enough.set()
        await until(lambda: server.served.stages.idle)
        assert not (await server.get(f"/v1/why/{AGENT}"))[1]["allowed"]
