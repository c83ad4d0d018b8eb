"""After CLOSED no guard allows: guards in their own processes, checking all along."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio import subprocess
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from attrs import define

from enforcement.clocks import boottime
from streams.stages.closure.closure import RegisteredGuard
from tests.integration.serving import Server, running, until
from tests.integration.test_closure import guards, look, revoke

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.integration

PROGRAM = Path(__file__).with_name("watching_guard.py")
LEASE = 1.0
DEADLINE = 600.0


@define
class Watcher:
    """A guard's process."""

    process: subprocess.Process

    async def tell(self, command: dict[str, object]) -> dict[str, int]:
        """Send a command; give when each identifier was last allowed (ns)."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        line = await self.process.stdout.readline()
        return dict(json.loads(line))


@asynccontextmanager
async def watching(server: Server, name: str) -> AsyncIterator[Watcher]:
    """Run a guard's process."""
    process = await subprocess.create_subprocess_exec(
        sys.executable,
        str(PROGRAM),
        server.url,
        name,
        str(LEASE),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        limit=1 << 22,
    )
    try:
        yield Watcher(process)
    finally:
        process.kill()
        await process.wait()


async def closed_at(server: Server, name: str) -> int:
    """Revoke, wait until it is closed, and give when that was seen (ns)."""
    revocation = await revoke(server, name)

    async def closed() -> bool:
        return bool((await look(server, revocation))["state"] == "closed")

    await until(closed, DEADLINE)
    return boottime()


async def play(
    folder: Path, watchers: int, rounds: int, each: int
) -> tuple[int, list[str]]:
    """Revoke in rounds what guards allow; count pairs, and name what was late.

    In every second round one of the guards is stopped meanwhile, so that it can only
    be fenced, and goes on when all is closed.
    """
    pairs = 0
    late: list[str] = []
    async with running(folder) as server, AsyncExitStack() as stack:
        run = [
            await stack.enter_async_context(watching(server, f"g{number}"))
            for number in range(watchers)
        ]

        async def all_here() -> bool:
            return len(await guards(server)) == watchers

        await until(all_here, DEADLINE)
        for number in range(rounds):
            names = [f"{number}-{one}" for one in range(each)]
            identifiers = [f"agent.id:{name}" for name in names]
            entries = [{"identifier": identifier} for identifier in identifiers]
            body = {"credentials": entries}
            status, answer = await server.post("/v1/adopt", "restorer", body)
            assert status == 201, answer
            for watcher in run:
                await watcher.tell({"watch": identifiers})

            async def all_allow(identifiers: list[str] = identifiers) -> bool:
                seen = [await watcher.tell({"report": True}) for watcher in run]
                return all(set(identifiers) <= set(one) for one in seen)

            await until(all_allow, DEADLINE)
            stopped = run[number % watchers].process if number % 2 else None
            if stopped is not None:
                os.kill(stopped.pid, signal.SIGSTOP)
            try:
                closings = [closed_at(server, name) for name in names]
                ends = await asyncio.gather(*closings)
            finally:
                if stopped is not None:
                    os.kill(stopped.pid, signal.SIGCONT)
            closed = dict(zip(identifiers, ends, strict=True))
            for watcher in run:
                await watcher.tell({"report": True})
                seen = await watcher.tell({"report": True})
                late += [name for name, at in seen.items() if at > closed[name]]
                pairs += len(closed)
    return pairs, late


async def test_no_guard_allows_after_closed(tmp_path: Path) -> None:
    """Also one that was stopped and runs again."""
    assert await play(tmp_path, watchers=3, rounds=2, each=20) == (120, [])


async def test_a_fence_that_comes_too_early_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check can fail: closed at once, while guards have yet to hear of it."""
    monkeypatch.setattr(RegisteredGuard, "fence", -1)

    _, late = await play(tmp_path, watchers=3, rounds=2, each=20)

    assert late


@pytest.mark.campaign
async def test_no_guard_allows_after_closed_in_100_000_pairs(tmp_path: Path) -> None:
    """Eight processes under load."""
    assert await play(tmp_path, watchers=8, rounds=125, each=100) == (100_000, [])
