"""A path that dies without a word costs a guard a lease, and no more once one is back.

The first check that allows again begins at most 1.5 s after a path exists. All of it
runs in this process: what it waited for a core meanwhile is no guard's doing, and is
taken off.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from attrs import Factory, define
from yarl import URL

from agents_registry.life import Reason
from bench.waits import waited
from enforcement import Guard
from enforcement.clocks import boottime
from streams.model.times import SECOND
from tests.integration.balancer import Backend, Balancer
from tests.integration.serving import running, until
from tests.integration.test_cut_guards import LIVING, adopt, credential, parent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(120)]

GUARDS = 5
LEASE = 1.0
AGAIN = 1.5  # seconds from the path to the first check that allows
GRACE = 0.05
AWAY = 4.0  # seconds without a path, most of which a guard denies
LONG = 12.0  # seconds, after which a guard whose attempts fail at once asks less often
LOOK = 0.002


@define(eq=False)
class Watched:
    """A guard behind a balancer of its own.

    Attributes:
        allowed: when its last check that allowed began (ns).
        gaps: ends of a time in which it denied, each with the first check after it.
    """

    guard: Guard
    balancer: Balancer
    allowed: int = 0
    gaps: list[tuple[int, int]] = Factory(list)
    denied: bool = False

    def look(self) -> None:
        """Ask of what lives."""
        began = boottime()
        if not self.guard.check(LIVING).allowed:
            self.denied = True
            return
        if self.denied and self.allowed:  # not at the start
            self.gaps.append((self.allowed, began))
        self.allowed, self.denied = began, False


async def watch(guards: list[Watched]) -> None:
    """Look at all until cancelled."""
    while True:
        for each in guards:
            each.look()
        await asyncio.sleep(LOOK)


@asynccontextmanager
async def watching(folder: Path) -> AsyncIterator[tuple[Server, list[Watched]]]:
    """Run a server and guards behind balancers; all of them allow."""
    async with running(folder, lease_seconds=LEASE) as server, AsyncExitStack() as on:
        await adopt(server, 1)
        port = URL(server.url).port
        assert port is not None
        guards = []
        for number in range(GUARDS):
            balancer = await on.enter_async_context(Balancer(port).listening())
            url = f"http://127.0.0.1:{balancer.port}"
            guard = Guard(url, "guard", name=f"g{number}", lease=LEASE)
            guards.append(Watched(await on.enter_async_context(guard), balancer))
        tasks = await on.enter_async_context(asyncio.TaskGroup())
        looking = tasks.create_task(watch(guards))
        try:
            await until(lambda: all(each.allowed for each in guards))
            yield server, guards
        finally:
            looking.cancel()


def starved() -> int:
    """Time for which this thread was ready to run and did not (ns)."""
    return round(waited(os.getpid()) * SECOND)


async def revoke(server: Server) -> None:
    """End what a guard must not allow afterwards."""
    body = {"identifier": str(parent(credential(0)))}
    status, _ = await server.post("/v1/revocations", "revoker", body)
    assert status == 201


@pytest.mark.parametrize(
    ("backend", "away"),
    [(Backend.SILENT, AWAY), (Backend.REFUSES, LONG)],
    ids=["black hole", "refused"],
)
@pytest.mark.parametrize("told", [False, True], ids=["half-open", "reset"])
async def test_a_dead_backend_is_denied_for_and_its_successor_found(
    tmp_path: Path, backend: Backend, away: float, *, told: bool
) -> None:
    """Whether the old connection ends or falls silent, and whatever new ones meet."""
    async with watching(tmp_path) as (server, guards):
        cut = boottime()
        for each in guards:
            each.balancer.backend = backend
            each.balancer.strand()
            if told:
                each.balancer.reset()
        await revoke(server)
        await asyncio.sleep(away)
        assert all(each.denied for each in guards)
        late = max(each.allowed for each in guards) - cut
        assert late <= (LEASE + GRACE) * SECOND

        before, back = starved(), boottime()
        for each in guards:
            each.balancer.backend = Backend.LIVES
        await until(lambda: not any(each.denied for each in guards))

        again = max(each.gaps[-1][1] for each in guards) - back
        waits = starved() - before
        print(  # noqa: T201
            f"last allowed {late / 1e9:.2f} s, again {again / 1e9:.2f} s,"
            f" of them {waits / 1e9:.2f} s without a core"
        )
        assert again - waits <= AGAIN * SECOND
        for each in guards:
            assert each.guard.check(credential(0)).reason is Reason.REVOKED


async def test_a_forgotten_connection_is_replaced_by_another(tmp_path: Path) -> None:
    """A NAT lost it: new ones work all the time."""
    async with watching(tmp_path) as (server, guards):
        before, cut = starved(), boottime()
        for each in guards:
            each.balancer.strand()
        await revoke(server)
        await until(
            lambda: all(
                each.guard.check(credential(0)).reason is Reason.REVOKED
                for each in guards
            )
        )
        await until(lambda: not any(each.denied for each in guards))

        known, waits = boottime() - cut, starved() - before
        gaps = [again - last for each in guards for last, again in each.gaps]
        print(  # noqa: T201
            f"known after {known / 1e9:.2f} s, denied for"
            f" {max(gaps, default=0) / 1e9:.2f} s, {waits / 1e9:.2f} s without a core"
        )
        assert known - waits <= AGAIN * SECOND
        assert all(each.balancer.stranded for each in guards)
