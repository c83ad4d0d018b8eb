"""The guard for threads: forked workers, busy threads, long checks, its own end."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest

from enforcement.guard import Guard
from enforcement.tasks import DeniedError
from enforcement.threads import ThreadedGuard
from tests.integration.serving import running
from tests.integration.test_guard_examples import AGENT, HEADERS, KEY, TEAM, revoke

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from enforcement.verdict import Verdict
    from tests.integration.serving import Server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Serve a team and its agent."""
    async with running(tmp_path) as serving:
        declared = [
            {"identifier": TEAM},
            {"identifier": AGENT, "parents": [TEAM]},
        ]
        status, answer = await serving.post(
            "/v1/adopt", "restorer", {"credentials": declared}
        )
        assert status == 201, answer
        yield serving


@asynccontextmanager
async def threaded(server: Server) -> AsyncIterator[ThreadedGuard]:
    """Run a guard in a thread until the context ends."""
    guard = ThreadedGuard(
        lambda: Guard(server.url, "guard", name="orders", live_sessions=True)
    )
    try:
        yield guard
    finally:
        await asyncio.to_thread(guard.close)


@pytest.mark.no_cover  # a tracer takes the time of the guard's thread
async def test_each_thread_is_answered_and_a_running_piece_of_work_is_ended(
    server: Server,
) -> None:
    """The callback runs in the guard's thread, and may ask the guard."""
    async with threaded(server) as guard:
        first = await asyncio.gather(
            *(asyncio.to_thread(guard.check, AGENT) for _ in range(8))
        )
        assert all(verdict.allowed for verdict in first)
        assert guard.counters.allowed == 8
        assert await asyncio.to_thread(guard.commit, AGENT)
        over, told = threading.Event(), list[str]()

        def works() -> None:
            try:
                with guard.task(AGENT, interrupt=True):
                    over.wait(60)
            except DeniedError as denied:
                told.append(str(denied))

        def end(_: Verdict) -> None:
            if not guard.check(AGENT).allowed:
                over.set()

        guard.on_deny(AGENT, end)
        working = asyncio.to_thread(works)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(working)
            await revoke(server)
            assert await asyncio.to_thread(over.wait, 10)
        assert told == ["revoked"]
        assert guard.check(AGENT).reason.value == "revoked"


BUSY = """
import os, sys, time
from enforcement.guard import Guard
from enforcement.tasks import DeniedError
from enforcement.threads import ThreadedGuard

guard = ThreadedGuard(
    lambda: Guard(sys.argv[1], "guard", name=f"orders-{os.getpid()}")
)
assert guard.check(sys.argv[2]).allowed
label = "parent" if os.fork() else "child"
began, told = time.monotonic(), False
while (verdict := guard.check(sys.argv[2])).allowed:
    if not told and time.monotonic() - began > 2:
        told = bool(os.write(1, f"{label} served\\n".encode()))
os.write(1, f"{label} {verdict.reason.value}\\n".encode())
if label == "parent":
    os.wait()
"""


@pytest.mark.no_cover  # a tracer takes the time of the guard's thread
async def test_a_busy_process_and_its_fork_keep_their_leases(server: Server) -> None:
    """Two leases without a pause, in a thread that never waits; then the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", BUSY, server.url, AGENT,
        stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        lines = {(await process.stdout.readline()).decode().strip() for _ in range(2)}
        assert lines == {"parent served", "child served"}
        await revoke(server)
        said = (await process.stdout.read()).decode()
        assert sorted(said.splitlines()) == ["child revoked", "parent revoked"]
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


BUSY_LOOP = """
import asyncio, sys, time
from enforcement.asgi import GuardMiddleware
from enforcement.guard import Guard
from enforcement.loops import LoopGuard
from enforcement.threads import ThreadedGuard

in_thread = ThreadedGuard(
    lambda: Guard(sys.argv[1], "guard", name="orders", live_sessions=True)
)

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    time.sleep(2.5)  # as work does that should be in a thread
    await asyncio.sleep(0)
    print("served", flush=True)
    await asyncio.Event().wait()

async def send(message):
    if message["type"] == "http.response.start":
        print(message["status"], flush=True)

async def main():
    async with LoopGuard(in_thread) as guard:
        await guard.ready(10)
        time.sleep(2.5)
        await GuardMiddleware(app, guard, lambda scope: sys.argv[2])(
            {"type": "http"}, None, send
        )
        print("cut", flush=True)

asyncio.run(main())
"""


@pytest.mark.long
async def test_a_busy_loop_keeps_its_lease(server: Server) -> None:
    """Held for longer than two leases, it goes on with what it serves."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", BUSY_LOOP, server.url, AGENT,
        stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        lines = [(await process.stdout.readline()).decode().strip() for _ in range(2)]
        assert lines == ["200", "served"]
        await revoke(server)
        assert (await process.stdout.read()).decode() == "cut\n"
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


@asynccontextmanager
async def gunicorn(repository: Path, server: Server) -> AsyncIterator[str]:
    """Serve the Flask example by two forked workers with threads; give the URL."""
    settings = {
        "RESCIND_URL": server.url,
        "RESCIND_GUARD_TOKEN": "guard",
        "JWT_KEY": KEY,
        "PYTHONPATH": str(repository),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gunicorn", "--preload", "--workers", "2",
        "--threads", "4", "--bind", "127.0.0.1:0", "flask_app:app",
        cwd=repository / "examples" / "guards", env={**os.environ, **settings},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    said = ""
    try:
        while not (found := re.search(r"Listening at: (http://[\d.:]+)", said)):
            line = await process.stdout.readline()
            assert line, said
            said += line.decode()
        yield found[1]
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def test_flask_under_forked_workers_stops_the_revoked(
    repository: Path, server: Server
) -> None:
    """Requests are refused, and the stream that runs is cut."""
    async with (
        gunicorn(repository, server) as url,
        aiohttp.ClientSession(url, headers=HEADERS) as web,
    ):
        async with web.get("/orders") as got:
            assert (got.status, await got.json()) == (200, ["order 1"])
        async with web.get("/orders", headers={"Authorization": "Bearer x"}) as got:
            assert got.status == 401
        async with web.get("/events") as events:
            assert await events.content.readline() == b"data: order 0\n"
            await revoke(server)
            with pytest.raises((aiohttp.ClientPayloadError, ConnectionError)):
                await events.content.read()
        for _ in range(4):  # of whichever worker
            async with web.get("/orders", headers={"Connection": "close"}) as got:
                assert got.status == 401
                assert (await got.json())["reason"] == "revoked"
