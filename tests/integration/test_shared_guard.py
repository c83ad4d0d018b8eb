"""The agent of a host and its readers, at a real server."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import stat
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from enforcement.shared.agent import Agent
from enforcement.shared.answering import listen
from enforcement.shared.guard import SharedGuard
from tests.integration import test_closure as closure
from tests.integration.serving import running
from tests.integration.test_guard_examples import AGENT, TEAM, revoke

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
LIMIT = 20.0  # seconds, for what takes a fraction of one


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


async def reason(guard: SharedGuard, wanted: str, limit: float = LIMIT) -> None:
    """Wait until a check of the agent gives a reason."""
    async with asyncio.timeout(limit):
        while guard.check(AGENT).reason.value != wanted:  # noqa: ASYNC110 - others write
            await asyncio.sleep(0.01)


@asynccontextmanager
async def agent_process(
    server: Server, path: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the agent as its program until the context ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rescind_guard", "agent",
        "--url", server.url, "--name", "host", "--path", str(path),
        env={**os.environ, "RESCIND_GUARD_TOKEN": "guard"},
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def test_readers_know_what_the_agent_knows(
    server: Server, tmp_path: Path
) -> None:
    """Before, while and after the agent runs."""
    path = tmp_path / "table"
    guard = SharedGuard(path)
    assert guard.check(AGENT).reason.value == "not_caught_up"
    async with Agent(server.url, "guard", name="host", path=path):
        await asyncio.to_thread(guard.ready, LIMIT)
        assert guard.check(AGENT).allowed
        assert guard.check(AGENT).allowed
        await revoke(server)
        await reason(guard, "revoked")
        verdict = guard.check(AGENT)
        assert [str(name) for name in verdict.path] == [AGENT, TEAM]
        assert verdict.cause is not None
    assert guard.check("session.id:other").reason.value == "not_caught_up"
    assert guard.check(AGENT).reason.value == "revoked"


FORKED = """
import os, sys, threading, time
from enforcement.shared.guard import SharedGuard

guard = SharedGuard(sys.argv[1])
label = "parent" if os.fork() else "child"


def told():
    said = None
    while said != "revoked":
        now = guard.check(sys.argv[2]).reason.value
        if now != said:
            os.write(1, f"{label} {now}\\n".encode())
            said = now
        time.sleep(0.002)


threads = [threading.Thread(target=told) for _ in range(2)]
for each in threads:
    each.start()
for each in threads:
    each.join()
if label == "parent":
    os.wait()
"""


@asynccontextmanager
async def forked(path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run threads of two processes that read a table, until all met a revocation."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FORKED, str(path), AGENT,
        stdout=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def heard(
    process: asyncio.subprocess.Process, reason: str, *, after: str = ""
) -> None:
    """Wait until each of four threads says a reason, maybe after another one."""
    assert process.stdout is not None
    lines: list[list[str]] = []
    async with asyncio.timeout(LIMIT):
        while len(lines) < 4:
            line = (await process.stdout.readline()).decode().split()
            if line[1] != after:
                lines.append(line)
    assert sorted(lines) == [["child", reason]] * 2 + [["parent", reason]] * 2


@pytest.mark.long
async def test_a_killed_agent_costs_its_readers_the_lease_and_a_new_one_gives_it_back(
    server: Server, tmp_path: Path
) -> None:
    """Each thread of each process denies by itself, and goes on by itself."""
    path = tmp_path / "table"
    async with forked(path) as readers:
        await heard(readers, "not_caught_up")
        async with agent_process(server, path) as process:
            await heard(readers, "lives")
            process.send_signal(signal.SIGKILL)
            await process.wait()
            await heard(readers, "no_lease")
        async with agent_process(server, path):
            await heard(readers, "lives", after="not_caught_up")
            await revoke(server)
            # A reader that takes another table up denies meanwhile, too.
            await heard(readers, "revoked", after="not_caught_up")
        assert await readers.wait() == 0


async def test_the_agent_answers_on_a_socket(server: Server, tmp_path: Path) -> None:
    """By query, JSON and AuthZEN; what cannot be read is denied or told."""
    path, socket = tmp_path / "table", tmp_path / "agent.sock"
    async with Agent(server.url, "guard", name="host", path=path) as agent:
        runner = await listen(agent, socket)
        connector = aiohttp.UnixConnector(str(socket))
        async with aiohttp.ClientSession("http://agent", connector=connector) as http:
            await agent.ready(LIMIT)
            assert stat.S_IMODE(socket.stat().st_mode) == 0o660

            async def asked(method: str, where: str, **more: Any) -> tuple[int, Any]:
                async with http.request(method, where, **more) as answer:
                    return answer.status, await answer.json(content_type=None)

            query = f"/v1/check?identifier={AGENT}"
            subject = dict(zip(("type", "id"), AGENT.split(":"), strict=True))
            evaluation = {"json": {"subject": subject}}
            assert (await asked("GET", "/ready"))[0] == 200
            assert (await asked("GET", query))[0] == 200
            presented = {"json": {"identifiers": [AGENT], "chain": [TEAM]}}
            assert (await asked("POST", "/v1/check", **presented))[1]["allowed"]
            _, told = await asked("POST", "/access/v1/evaluation", **evaluation)
            assert told == {"decision": True}
            await revoke(server)
            async with asyncio.timeout(LIMIT):
                while (await asked("GET", query))[0] != 403:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            _, told = await asked("POST", "/access/v1/evaluation", **evaluation)
            assert told["context"]["cause"]["target"] == TEAM
            _, told = await asked("POST", "/v1/check", **presented)
            assert (told["allowed"], told["path"][-1]) == (False, TEAM)

            for names in (None, "x", ["x"], [1], [AGENT] * 65):
                unread = {"json": {"identifiers": names}}
                _, told = await asked("POST", "/v1/check", **unread)
                assert (told["allowed"], told["reason"]) == (False, "unreadable")
            wrong: tuple[Any, ...] = (
                [],
                {"identifiers": [AGENT], "x": 1},
                {"identifiers": [AGENT], "issued_at": "now"},
                {"identifiers": [AGENT], "at_least": "x"},
            )
            for body in wrong:
                async with http.post("/v1/check", json=body) as answer:
                    assert answer.status == 400
            packed = gzip.compress(json.dumps({"identifiers": [AGENT]}).encode())
            for data, how in ((b"{", "identity"), (packed, "gzip")):
                coded = {"Content-Encoding": how}
                async with http.post("/v1/check", data=data, headers=coded) as answer:
                    assert answer.status == 400
        await runner.cleanup()


async def test_no_reader_allows_what_a_closed_revocation_ended(
    server: Server, tmp_path: Path
) -> None:
    """The agent's receipt speaks for all who read its file."""
    names = [f"s{number}" for number in range(10)]
    declared = [{"identifier": f"agent.id:{name}"} for name in names]
    status, _ = await server.post("/v1/adopt", "restorer", {"credentials": declared})
    assert status == 201
    path = tmp_path / "table"
    guard = SharedGuard(path)
    async with Agent(server.url, "guard", name="host", path=path):
        await asyncio.to_thread(guard.ready, LIMIT)
        for name in names:
            while not guard.check(f"agent.id:{name}").allowed:  # noqa: ASYNC110 - others write
                await asyncio.sleep(0.01)
            await closure.reached(server, await closure.revoke(server, name), "closed")
            assert not guard.check(f"agent.id:{name}").allowed
