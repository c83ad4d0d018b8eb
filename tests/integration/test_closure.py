"""Closure with real guards at a real server: who enforces a revocation, at every step.

Nothing here depends on how fast the machine is: each step waits for its condition,
and what must not happen is asked where it cannot happen any more.
"""

from __future__ import annotations

import asyncio
import functools
import os
import re
import signal
import sys
from asyncio import subprocess
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from enforcement import Guard, Mode
from streams.cli import query as ask_commands
from streams.cli.revoke import Order, carry_out
from streams.clients.rescind import Client, ClientError
from tests.integration.serving import Server, running, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.integration

LEASE = 0.5  # of the guard that is stopped
PATIENT = 6.0  # of the others, which a slow machine must not fence
AGENT = "agent.id:planner"
STOPPED = """
import asyncio, sys
from enforcement import Guard
async def main():
    url, lease = sys.argv[1], float(sys.argv[2])
    async with Guard(url, "guard", name="stopped", lease=lease) as guard:
        await guard.ready(50)
        print("ready", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


def guard(server: Server, name: str, **more: Any) -> Guard:
    """Give a guard of the server."""
    return Guard(server.url, "guard", name=name, lease=PATIENT, **more)


async def revoke(server: Server, name: str) -> str:
    """Revoke something; give the revocation's id."""
    status, answer = await server.post(
        "/v1/revocations", "revoker", {"identifier": f"agent.id:{name}"}
    )
    assert status == 201, answer
    return str(answer["id"])


async def look(server: Server, revocation: str) -> dict[str, Any]:
    """Give what is known of a revocation."""
    status, answer = await server.get(f"/v1/revocations/{revocation}")
    assert status == 200, answer
    return dict(answer)


async def reached(server: Server, revocation: str, state: str) -> dict[str, Any]:
    """Wait until a revocation is in a state."""

    async def is_it() -> dict[str, Any] | None:
        answer = await look(server, revocation)
        return answer if answer["state"] == state else None

    return dict(await until(is_it))


async def guards(server: Server) -> dict[str, dict[str, Any]]:
    """Give the guards by name."""
    _, answer = await server.get("/v1/guards")
    return {each["guard"]: each for each in answer["guards"]}


@asynccontextmanager
async def process(server: Server) -> AsyncIterator[subprocess.Process]:
    """Run a guard in a process of its own."""
    started = await subprocess.create_subprocess_exec(
        sys.executable, "-c", STOPPED, server.url, str(LEASE), stdout=subprocess.PIPE
    )
    try:
        assert started.stdout is not None
        assert await started.stdout.readline() == b"ready\n"
        yield started
    finally:
        started.kill()
        await started.wait()


async def test_ten_guards_one_stopped_and_one_fail_open_and_cut(tmp_path: Path) -> None:
    """The states and the laggards are right at every step."""
    async with (
        running(tmp_path, closure={"deadline": 3.0}) as server,
        AsyncExitStack() as stack,
    ):
        cut = guard(server, "cut", mode=Mode.FAIL_OPEN)
        watcher = guard(server, "watcher", mode=Mode.OBSERVE)
        healthy = [guard(server, f"g{number}") for number in range(7)]
        for each in (*healthy, watcher):
            await stack.enter_async_context(each)
        await cut.__aenter__()
        stopped = await stack.enter_async_context(process(server))
        assert all([await each.ready(50) for each in (*healthy, watcher, cut)])

        first = await reached(server, await revoke(server, "one"), "closed")
        assert (9, [], [], 0) == tuple(
            first[key] for key in ("applied", "fenced", "laggards", "left")
        )
        assert first["observing"] == ["watcher"]

        os.kill(stopped.pid, signal.SIGSTOP)
        second = await revoke(server, "two")
        before = await look(server, second)
        if before["state"] == "pending":
            assert "stopped" in before["laggards"]
        after = await reached(server, second, "closed")
        assert (8, ["stopped"], []) == (
            after["applied"],
            after["fenced"],
            after["laggards"],
        )
        assert after["seconds"] >= 1.1 * LEASE

        # Cut without a goodbye: its feed dies, the name stays registered.
        cut.feed._receipts = None
        await cut.__aexit__(None, None, None)
        third = await revoke(server, "three")
        await reached(server, third, "partial")

        async def all_but_one() -> bool:
            answer = await look(server, third)
            return (7, ["cut"]) == (answer["applied"], answer["laggards"])

        await until(all_but_one)
        found = await until(server.findings)
        assert [("closure_partial", "agent.id:three")] == [
            (each["kind"], each["presented"]) for each in found
        ]
        assert "cut" in found[0]["message"]

        # Silent for ten leases, and stopped is no member any more; cut stays one.
        async def gone() -> bool:
            return "stopped" not in await guards(server)

        await until(gone)
        assert "cut" in await guards(server)
        assert (await look(server, third))["state"] == "partial"
        headers = {"Authorization": "Bearer restorer"}
        url = f"{server.url}/v1/guards/cut"
        async with server.session.delete(url, headers=headers) as response:
            assert response.status == 200
        closed = await reached(server, third, "closed")
        assert (7, []) == (closed["applied"], closed["laggards"])

        # It registers anew when it runs again, and is counted from then on.
        os.kill(stopped.pid, signal.SIGCONT)

        async def back() -> bool:
            return "stopped" in await guards(server)

        await until(back)
        last = await reached(server, await revoke(server, "four"), "closed")
        assert (8, 0) == (last["applied"], len(last["laggards"]))


async def test_a_guard_that_says_goodbye_is_waited_for_no_more(tmp_path: Path) -> None:
    """And what is revoked when nobody is left is unknown, and says so."""
    async with running(tmp_path) as server:
        async with guard(server, "g", mode=Mode.FAIL_OPEN) as one:
            body = {"credentials": [{"identifier": AGENT}]}
            assert (await server.post("/v1/adopt", "restorer", body))[0] == 201
            await until(lambda: one.check(AGENT).allowed)
            assert list(await guards(server)) == ["g"]
        assert not one.check(AGENT).allowed

        async def empty() -> bool:
            return not await guards(server)

        await until(empty)
        await reached(server, await revoke(server, "one"), "unknown")


async def test_a_restart_loses_no_laggard(tmp_path: Path) -> None:
    """Nor what it lags behind."""
    async with running(tmp_path) as server:
        cut = guard(server, "cut", mode=Mode.FAIL_OPEN)
        await cut.__aenter__()
        assert await cut.ready(50)
        cut.feed._receipts = None
        await cut.__aexit__(None, None, None)
        revocation = await revoke(server, "one")
        assert (await look(server, revocation))["laggards"] == ["cut"]
    async with running(tmp_path) as server:
        assert (await look(server, revocation))["state"] == "pending"
        assert (await look(server, revocation))["laggards"] == ["cut"]
        async with guard(server, "cut", mode=Mode.FAIL_OPEN) as again:
            assert await again.ready(50)
            closed = await reached(server, revocation, "closed")
            assert (1, 0) == (closed["applied"], closed["left"])


async def test_the_commands_say_who_enforces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They end with 0 when every guard does, and name who does not."""
    async with running(tmp_path) as server:
        client = Client(server.url, "revoker")

        async def revoke(wait: float) -> tuple[int, str]:
            given = Order("revoke", [AGENT], {})
            order = functools.partial(carry_out, client, given, wait=wait)
            code = await asyncio.to_thread(order, output="table")
            return code, capsys.readouterr().out

        code, said = await revoke(50)
        assert 1 == code
        assert "UNKNOWN: no guard sends receipts, so nothing is proven." in said

        async with guard(server, "g") as one:
            assert await one.ready(50)
            code, said = await revoke(50)
            assert 0 == code
            assert re.search(r"CLOSED after [\d.]+ s: 1 guard applied it\.", said)

            cut = guard(server, "cut", mode=Mode.FAIL_OPEN)
            await cut.__aenter__()
            assert await cut.ready(50)
            cut.feed._receipts = None
            await cut.__aexit__(None, None, None)
            code, said = await revoke(0)
            assert 1 == code
            assert re.search(r"PENDING: .*not confirmed by .*cut", said)
            await asyncio.to_thread(ask_commands.guards, client, "table")
            lines = capsys.readouterr().out.splitlines()
            assert ["cut", "g"] == [line.split()[0] for line in lines[1:]]

            restorer = Client(server.url, "restorer")
            remove = ask_commands.remove_guard
            assert 0 == await asyncio.to_thread(remove, restorer, "cut", "table")
            with pytest.raises(ClientError, match="no such guard"):
                await asyncio.to_thread(remove, restorer, "cut", "table")
            with pytest.raises(ClientError, match="role missing"):
                await asyncio.to_thread(remove, client, "g", "table")
            store = server.served.stages.store
            rows = await store.read("SELECT actor, action FROM audit")
            assert rows[-1] == ("restorer", "remove guard cut")
