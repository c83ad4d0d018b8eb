"""A guard's process that was stopped for longer than its lease denies at once."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration import stopped_guard
from tests.integration.serving import DEADLINE, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.integration.serving import Server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

GUARDS = 10
STOPS = 2  # 20 runs together
CAMPAIGN_STOPS = 10
ROOT = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def guards(
    server: Server, lease: float
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run guards of a server in one process, and kill it in the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, stopped_guard.__file__, server.url, str(GUARDS), str(lease),
        cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def told(process: asyncio.subprocess.Process) -> str:
    """Give what it says next."""
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE):
        return (await process.stdout.readline()).decode().strip()


async def stop_and_go(folder: Path, stops: int, lease: float, seconds: float) -> None:
    """Stop guards for some seconds, again and again, and hear their first answers."""
    async with running(folder, lease_seconds=lease) as server:
        adopted = {"credentials": [{"identifier": stopped_guard.LIVING}]}
        status, _ = await server.post("/v1/adopt", "restorer", adopted)
        assert status == 201
        async with guards(server, lease) as process:
            for _ in range(stops):
                assert await told(process) == "allows"
                process.send_signal(signal.SIGSTOP)
                await asyncio.sleep(seconds)
                process.send_signal(signal.SIGCONT)

                assert await told(process) == "resumed" + " False" * GUARDS


async def test_the_first_check_after_a_stop_denies(tmp_path: Path) -> None:
    """At every guard of the process, in 20 runs."""
    await stop_and_go(tmp_path, STOPS, lease=0.3, seconds=1.0)


@pytest.mark.campaign
@pytest.mark.timeout(0)
async def test_the_first_check_after_ten_seconds_denies(tmp_path: Path) -> None:
    """With the default lease, in a hundred runs."""
    await stop_and_go(tmp_path, CAMPAIGN_STOPS, lease=1.0, seconds=10.0)
