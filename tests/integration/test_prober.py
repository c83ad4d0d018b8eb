"""The prober: a guard that allows what it says to have applied is found out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents_registry.registry import Registry
from enforcement.standing import Freshness
from tests.integration.serving import Server, running, until
from tests.integration.test_closure import guard, reached, revoke

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

OFTEN = {"probe_seconds": 0.05}


async def test_a_guard_that_denies_is_counted_and_nothing_else(tmp_path: Path) -> None:
    """No finding, no staleness; and a probe is no check of the guard's."""
    async with (
        running(tmp_path, closure=OFTEN) as server,
        guard(server, "g") as one,
    ):
        assert await one.ready(50)
        await reached(server, await revoke(server, "one"), "closed")
        results = server.served.prober.results
        await until(lambda: results["denied"] >= 3)

        assert set(results) == {"denied"}
        assert server.served.prober.staleness == 0
        assert not one.counters.denied
        assert not await server.findings()


async def test_a_broken_guard_is_a_critical_finding(tmp_path: Path) -> None:
    """It has applied the cause, as it says, and its table does not deny."""
    async with (
        running(tmp_path, closure=OFTEN) as server,
        guard(server, "broken") as broken,
    ):
        assert await broken.ready(50)
        await adopt(server, "one")
        end = server.served.feed.end
        await reached(server, await revoke(server, "one"), "closed")

        broken.standing.replica.registry = await table_of(server, end)

        (found,) = await until(server.findings)
        assert ("enforcement_failure", 5, "agent.id:one", "broken", "allowed") == tuple(
            found[name]
            for name in ("kind", "severity", "presented", "point", "outcome")
        )


async def test_a_guard_that_is_behind_is_stale_and_no_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long since the revocation that it does not know."""
    async with (
        running(tmp_path, closure=OFTEN) as server,
        guard(server, "slow") as slow,
    ):
        assert await slow.ready(50)
        await adopt(server, "one")
        end = server.served.feed.end
        assert await slow.wait_for(f"{server.served.genesis}:0:{end}", 50)
        at = slow.standing.applied()
        monkeypatch.setattr(Freshness, "applied", lambda _: at)
        await revoke(server, "one")
        await until(lambda: slow.standing.replica.position == end + 1)
        slow.standing.replica.registry = await table_of(server, end)

        await until(lambda: server.served.prober.staleness > 0)

        assert server.served.prober.results["failed"] == 0
        assert not await server.findings()


async def adopt(server: Server, name: str) -> None:
    """Declare an agent."""
    body = {"credentials": [{"identifier": f"agent.id:{name}"}]}
    status, answer = await server.post("/v1/adopt", "restorer", body)
    assert status == 201, answer


async def table_of(server: Server, end: int) -> Registry:
    """Build a table of what an adoption wrote, without what came after."""
    table = Registry()
    for stored in await server.served.stages.store.facts(0, end):
        table.apply(stored.fact)
    return table
