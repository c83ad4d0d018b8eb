"""Guards that are cut off from the server deny within a lease, however it happens.

All guards of a round break at once, each with a line of its own: a run is one of them.
The seed of a campaign is printed; ``RESCIND_SEED`` brings it back.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from yarl import URL

from agents_registry.identifiers import Identifier
from agents_registry.life import Reason
from enforcement import Guard, lease
from enforcement.clocks import boottime, wall
from streams.model.times import SECOND
from tests.integration.cuts import FAULTS, Campaign, Line, long_pipe, proxies
from tests.integration.serving import running, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

RUNS = 20
CAMPAIGN_ROUNDS = 5  # of RUNS runs each
LEASE = 0.4
DAYS = 3 * 86_400 * SECOND
LIVING = Identifier("vault.accessor", "living")


def credential(number: int) -> Identifier:
    """Name one that is to die."""
    return Identifier("vault.accessor", f"c{number}")


def parent(child: Identifier) -> Identifier:
    """Name what is revoked so that a credential dies."""
    return Identifier(child.kind, f"parent-of-{child.value}")


async def adopt(server: Server, count: int) -> None:
    """Declare one that lives, and many whose parents will be revoked."""
    entries: list[dict[str, Any]] = [{"identifier": str(LIVING)}]
    for child in map(credential, range(count)):
        above = str(parent(child))
        entries.append({"identifier": above, "root": True})
        entries.append({"identifier": str(child), "parents": [above]})
    status, _ = await server.post("/v1/adopt", "restorer", {"credentials": entries})
    assert status == 201


@asynccontextmanager
async def campaigning(
    folder: Path, runs: int, length: float, seed: str, **more: Any
) -> AsyncIterator[Campaign]:
    """Run a server and guards on it, each behind a proxy, under a judge."""
    async with running(folder, lease_seconds=length) as server, AsyncExitStack() as on:
        count = 200
        await adopt(server, count)
        port = URL(server.url).port
        assert port is not None
        lines = []
        for number, proxy in enumerate(
            await on.enter_async_context(proxies(runs, port))
        ):
            url = f"http://127.0.0.1:{proxy.port}"
            guard = Guard(url, "guard", name=f"g{number}", lease=length, **more)
            lines.append(Line(await on.enter_async_context(guard), proxy, LIVING))

        async def revoke(identifier: Identifier) -> None:
            body = {"identifier": str(parent(identifier))}
            status, _ = await server.post("/v1/revocations", "revoker", body)
            assert status == 201

        campaign = Campaign(
            lines, length, Random(seed), revoke, list(map(credential, range(count)))
        )
        tasks = await on.enter_async_context(asyncio.TaskGroup())
        judging = tasks.create_task(campaign.judge())
        try:
            yield campaign
        finally:
            judging.cancel()
            for line in lines:
                line.proxy.heal()
        campaign.check()


@pytest.mark.long
async def test_every_guard_denies_within_a_lease_of_its_cut(tmp_path: Path) -> None:
    """In 20 runs of every kind; healed, each allows again."""
    async with campaigning(tmp_path, RUNS, LEASE, str(tmp_path)) as campaign:
        for fault in FAULTS.values():
            await campaign.suffer(fault)


@pytest.mark.campaign
@pytest.mark.timeout(0)
async def test_every_guard_denies_in_a_hundred_runs_a_kind(tmp_path: Path) -> None:
    """With the default lease of a second, so the delay of one kind is 5 s."""
    seed = os.environ.get("RESCIND_SEED") or os.urandom(8).hex()
    print(f"\nRESCIND_SEED={seed}")  # noqa: T201
    async with campaigning(tmp_path, RUNS, 1.0, seed) as campaign:
        for _ in range(CAMPAIGN_ROUNDS):
            for name, fault in FAULTS.items():
                await campaign.suffer(fault)
                print(name, RUNS, "runs", flush=True)  # noqa: T201


@pytest.mark.long
async def test_a_lease_counted_from_the_answer_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge sees the bug that this campaign is there for."""
    right = lease.Lease.pong

    def from_arrival(self: lease.Lease, seq: int, end: int, remaining: int) -> bool:
        if seq in self._sent:
            self._sent[seq] = boottime()
        return right(self, seq, end, remaining)

    async def suffer() -> None:
        async with campaigning(tmp_path, 3, LEASE, "planted") as campaign:
            await campaign.suffer(long_pipe)

    monkeypatch.setattr(lease.Lease, "pong", from_arrival)
    with pytest.raises(ExceptionGroup) as caught:
        await suffer()
    assert caught.group_contains(AssertionError)


async def test_a_wall_clock_that_is_moved_changes_nothing(tmp_path: Path) -> None:
    """Three days forth and back: no lease ends, and none lasts a moment longer."""
    moved = [0]
    async with campaigning(
        tmp_path, 2, LEASE, "wall", wall_clock=lambda: wall() + moved[-1]
    ) as campaign:
        for days in (DAYS, -DAYS):
            await campaign.allowing()
            deadlines = [line.guard.standing.deadline for line in campaign.lines]
            moved.append(days)
            now = [line.guard.standing.deadline for line in campaign.lines]
            assert now == deadlines
            await campaign.suffer(FAULTS["symmetric"])


async def test_a_wall_clock_of_the_server_that_is_moved_changes_nothing(
    tmp_path: Path,
) -> None:
    """Three days forth and back: leases run on, and revocations are denied."""
    moved = [0]
    async with (
        running(tmp_path, clock=lambda: wall() + moved[-1], lease_seconds=LEASE) as on,
        Guard(on.url, "guard", name="g", lease=LEASE) as guard,
    ):
        await adopt(on, 2)

        async def move(days: int, child: Identifier) -> None:
            await until(lambda: guard.check(child).allowed)
            deadline = guard.standing.deadline
            moved.append(days)
            body = {"identifier": str(parent(child))}
            assert (await on.post("/v1/revocations", "revoker", body))[0] == 201
            await until(lambda: guard.check(child).reason is Reason.REVOKED)
            # Proven anew by the moved server, and no moment longer than a lease.
            await until(lambda: guard.standing.deadline > deadline)
            assert guard.standing.deadline <= boottime() + LEASE * SECOND
            await until(lambda: guard.check(LIVING).allowed)

        await move(DAYS, credential(0))
        await move(-DAYS, credential(1))
