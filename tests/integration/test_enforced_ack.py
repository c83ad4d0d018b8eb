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
    from collections.abc import AsyncIterator, Iterable, Mapping

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
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        return await self.said()

    async def said(self) -> dict[str, int]:
        """Give what it says next."""
        assert self.process.stdout is not None
        return dict(json.loads(await self.process.stdout.readline()))

    async def allow(self, identifiers: Iterable[str]) -> None:
        """Have it check these all along, and wait until it allows them."""
        await self.tell({"watch": list(identifiers)})

        async def all_allowed() -> bool:
            return set(identifiers) <= set(await self.tell({"report": True}))

        await until(all_allowed, DEADLINE)


@asynccontextmanager
async def watching(
    server: Server, name: str, lease: float = LEASE
) -> AsyncIterator[Watcher]:
    """Run a guard's process."""
    process = await subprocess.create_subprocess_exec(
        sys.executable,
        str(PROGRAM),
        server.url,
        name,
        str(lease),
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


async def adopt(server: Server, names: list[str]) -> list[str]:
    """Declare agents; give their identifiers."""
    identifiers = [f"agent.id:{name}" for name in names]
    body = {"credentials": [{"identifier": each} for each in identifiers]}
    status, answer = await server.post("/v1/adopt", "restorer", body)
    assert status == 201, answer
    return identifiers


def allowed_after(seen: Mapping[str, int], closed: Mapping[str, int]) -> list[str]:
    """Name what a guard allowed after its revocation was closed."""
    return [name for name, at in seen.items() if at > closed[name]]


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
            identifiers = await adopt(server, names)
            for watcher in run:
                await watcher.allow(identifiers)
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
                late += allowed_after(seen, closed)
                pairs += len(closed)
    return pairs, late


async def test_no_guard_allows_after_closed(tmp_path: Path) -> None:
    """Also one that was stopped and runs again."""
    assert await play(tmp_path, watchers=3, rounds=2, each=20) == (120, [])


async def test_a_fence_that_comes_too_early_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check can fail: closed at once, while a guard has yet to hear of it."""
    monkeypatch.setattr(RegisteredGuard, "fence", -1)
    heard = tmp_path / "heard"
    async with running(tmp_path) as server, watching(server, "g", 60.0) as deaf:
        (identifier,) = await adopt(server, ["one"])
        await deaf.allow([identifier])
        await deaf.tell({"deaf_until": str(heard)})
        closed = {identifier: await closed_at(server, "one")}
        heard.touch()

        assert [identifier] == allowed_after(await deaf.said(), closed)


@pytest.mark.campaign
async def test_no_guard_allows_after_closed_in_100_000_pairs(tmp_path: Path) -> None:
    """Eight processes under load."""
    assert await play(tmp_path, watchers=8, rounds=125, each=100) == (100_000, [])
