"""A server that is told to end costs its guards no more than one that is killed."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import orjson
import pytest

from enforcement.guard import Guard
from tests.integration.cli_server import DEADLINE, environment
from tests.integration.forked_program import RESCIND
from tests.integration.serving import until, values

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PAIRS = 4
LEASE = 0.25  # seconds; less than any server takes to start
RATIO = 1.5  # of the sums: on a loaded machine no two starts take the same time
ENDING = """
import atexit, os, sys
class Held:
    def __del__(self):
        os.write(1, b"freed")
held = Held()
atexit.register(os.write, 1, b"told ")
from streams.cli.main import main
main()
"""


def test_a_program_that_ends_frees_nothing(tmp_path: Path) -> None:
    """A large table takes seconds to free, in which nobody serves."""
    done = subprocess.run(
        [sys.executable, "-c", ENDING, "--version"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=DEADLINE,
    )  # fmt: skip

    version, _, rest = done.stdout.partition("\n")
    assert version.startswith("rescind ")
    assert (rest, done.returncode) == ("told ", 0)


@pytest.mark.long
async def test_who_is_told_to_end_costs_no_more_than_who_is_killed(
    tmp_path: Path,
) -> None:
    """From the signal until a guard has a lease of the next server."""
    told, killed = 0.0, 0.0
    for number in range(PAIRS):
        for end in ("told", "killed"):
            (tmp_path / f"{end}-{number}").mkdir()
        told += await outage(tmp_path / f"told-{number}", signal.SIGTERM, 0)
        killed += await outage(tmp_path / f"killed-{number}", signal.SIGKILL, -9)

    assert told <= RATIO * killed, (told, killed)


async def outage(folder: Path, number: int, code: int) -> float:
    """Give for how long (s) a guard waits while one server takes over from another."""
    async with (
        server(folder, 0) as (process, url),
        Guard(url, "guard", name="g", lease=LEASE, jitter=lambda: 0.1) as guard,
    ):
        assert await guard.ready(DEADLINE)
        began = time.monotonic()
        process.send_signal(number)
        assert code == await asyncio.to_thread(process.wait, DEADLINE)
        await until(lambda: not guard.feed.connected, DEADLINE)
        async with server(folder, int(url.rpartition(":")[2])):
            await until(lambda: guard.feed.connected, DEADLINE)
            assert await guard.ready(DEADLINE)
            return time.monotonic() - began


@asynccontextmanager
async def server(
    folder: Path, port: int
) -> AsyncIterator[tuple[subprocess.Popen[str], str]]:
    """Serve from a folder until the context ends; give the process and its URL."""
    config, log = folder / "config.json", folder / "serve.log"
    listen = {"host": "127.0.0.1", "port": port}
    config.write_bytes(orjson.dumps(values(folder) | {"listen": listen}))
    with log.open("a") as errors:
        process = subprocess.Popen(  # noqa: ASYNC220 - it only starts
            [RESCIND, "serve", "--config", config],
            cwd=folder, env=environment(folder), text=True,
            stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        with process.stdout:
            url = (await asyncio.to_thread(process.stdout.readline)).strip()
        assert url.startswith("http://"), log.read_text()
        yield process, url
    finally:
        process.kill()
        await asyncio.to_thread(process.wait, DEADLINE)
