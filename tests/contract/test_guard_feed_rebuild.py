"""A guard that builds its table anew while the old one answers."""

from __future__ import annotations

import asyncio

import pytest

from agents_registry.facts import Distrust, Edge, Withdraw, fact_id
from agents_registry.identifiers import Identifier
from agents_registry.life import Reason
from enforcement import Guard
from enforcement.replica import SLICE
from tests.contract.feed_server import ScriptedFeed
from tests.contract.guard_cases import (
    CHILD,
    EDGE,
    PARENT,
    SAID,
    allows,
    node,
    revoke,
    until,
)

pytestmark = pytest.mark.contract


async def test_a_correction_swaps_the_table_under_a_running_lease(
    server: ScriptedFeed, guard: Guard
) -> None:
    """Old denials hold until the successor is complete; the first line goes on."""
    server.snapshots.clear()
    await server.append(revoke(PARENT))
    withdraw = Withdraw(
        **SAID | {"authority": "operators"},
        fact_id=fact_id(EDGE).hex(),
        kind=EDGE.NAME,
        target=CHILD,
    )
    token = await server.append(withdraw)
    await until(lambda: len(server.hellos) == 2)

    assert not await guard.wait_for(token, 0.05)
    assert guard.check(CHILD).reason is Reason.REVOKED
    assert len(server.connections) == 2

    server.snapshots.set()
    assert await guard.wait_for(token, 5)
    await until(lambda: allows(guard))
    assert not allows(guard, PARENT)
    await until(lambda: len(server.connections) == 1)


async def test_facts_during_a_rebuild_reach_both_tables(
    server: ScriptedFeed, guard: Guard
) -> None:
    """A revocation need not wait for the rebuild, nor is it lost by it."""
    server.snapshots.clear()
    distrust = Distrust(
        **SAID | {"authority": "operators"},
        suspect="nobody",
        suspect_key="",
        received_from=0,
        received_to=1,
    )
    await server.append(distrust)
    await until(lambda: len(server.hellos) == 2)
    await server.append(revoke(PARENT))
    await until(lambda: guard.check(CHILD).reason is Reason.REVOKED)

    server.snapshots.set()
    await until(lambda: not guard.standing.replica.needs_successor)
    assert await guard.ready(5)
    assert guard.check(CHILD).reason is Reason.REVOKED


async def test_a_successor_whose_line_is_cut_starts_again(
    server: ScriptedFeed, guard: Guard
) -> None:
    """Both lines may break in the middle of a rebuild."""
    server.snapshots.clear()
    edge = Edge(**SAID, child=PARENT, parent=Identifier("vault.accessor", "root"))
    taken = Withdraw(**SAID, fact_id=fact_id(edge).hex(), kind=edge.NAME, target=PARENT)
    token = await server.append(edge, taken)
    await until(lambda: len(server.connections) == 2)
    server.cut()
    await until(lambda: len(server.hellos) >= 4)
    server.snapshots.set()

    assert await guard.wait_for(token, 5)
    assert await guard.ready(5)


async def test_a_large_snapshot_leaves_the_event_loop_alone(
    server: ScriptedFeed, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old table answers while the new one is made, in slices."""
    monkeypatch.setattr("enforcement.turns.SLICE_SECONDS", 0.0)  # each slice is over
    server.log += [node(Identifier("vault.accessor", str(i))) for i in range(20_000)]
    server.log.append(revoke(PARENT))
    server.cut()
    server.genesis = "g2"
    turns = 0
    while guard.standing.replica.genesis != "g2" and turns < 1_000_000:
        assert guard.check(CHILD).reason is not Reason.REVOKED
        await asyncio.sleep(0)
        turns += 1

    assert guard.check(CHILD).reason is Reason.REVOKED
    # The loop turned between slices.
    assert turns > 20_000 / SLICE
