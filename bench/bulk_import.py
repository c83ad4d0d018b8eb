"""Does a bulk import cost a guard its lease?

Credentials are declared as fast as the server takes them, many requests one after the
other, while guards with a lease of a second are asked whether they hold it. Run as a
module (``python -m bench.bulk_import URL``) it is one of these guards.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from bench.credentials import accessor
from bench.processes import end, line, part
from bench.report import Row, rate
from enforcement.clocks import boottime
from enforcement.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Iterator

CREDENTIALS: Final = {"tiny": 2_000, "small": 100_000, "full": 1_000_000}
GUARDS: Final = {"tiny": 1, "small": 2, "full": 2}
BODY: Final = 10_000  # credentials in a request
LOOK: Final = 0.002  # seconds between two looks at the lease
MILLISECONDS: Final = 1000
DEADLINE: Final = 60.0


def rows(scale: str) -> list[Row]:
    """Import, and tell how long guards were without a lease."""
    # Only the parent needs the server's modules.
    from bench.realm import serving  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as name, ExitStack() as parts:
        url = parts.enter_context(serving(Path(name)))
        guards = [
            parts.enter_context(part("bench.bulk_import", url))
            for _ in range(GUARDS[scale])
        ]
        for each in guards:
            line(each)
        took = asyncio.run(_import(url, CREDENTIALS[scale]))
        told = [end(each, DEADLINE) for each in guards]
    return list(_report(CREDENTIALS[scale], took, told))


def _report(count: int, took: float, told: list[dict[str, float]]) -> Iterator[Row]:
    lost = max(each["lost"] for each in told)
    yield Row(
        what=f"lease lost during an import of {count:,} nodes, worst of {len(told)}",
        value=f"{lost * MILLISECONDS:.0f} ms",
        cpu=sum(each["cpu"] for each in told),
        target="none",
        met=lost == 0,
    )
    shortest = min(each["shortest"] for each in told)
    yield Row(
        what="shortest rest of a lease", value=f"{shortest * MILLISECONDS:.0f} ms"
    )
    yield Row(what="the import", value=f"{rate(count / took)}", peer=f"{took:.1f} s")


async def _import(url: str, count: int) -> float:
    """Declare credentials; give the seconds until the last was accepted."""
    headers = {"Authorization": "Bearer restorer"}
    started = time.monotonic()
    async with aiohttp.ClientSession(headers=headers) as session:
        for start in range(0, count, BODY):
            numbers = range(start, min(start + BODY, count))
            entries = [{"identifier": str(accessor(number))} for number in numbers]
            async with session.post(
                f"{url}/v1/adopt", json={"credentials": entries}
            ) as answer:
                assert answer.status == 201, await answer.text()
    return time.monotonic() - started


async def _hold(url: str) -> dict[str, Any]:
    """Look at the lease until the end of input."""
    lost = 0.0
    shortest = 1e9
    ended = asyncio.Event()

    async def read() -> None:
        await asyncio.to_thread(sys.stdin.read)
        ended.set()

    async with (
        Guard(url, "guard", name=f"bench-{id(ended)}") as guard,
        asyncio.TaskGroup() as tasks,
    ):
        assert await guard.ready(DEADLINE)
        print("ready", flush=True)
        tasks.create_task(read())
        seen = boottime()
        while not ended.is_set():
            await asyncio.sleep(LOOK)
            now = boottime()
            until = guard.standing.deadline
            # Since the last look the lease was gone from its end on.
            lost += max(0, now - max(until, seen)) / 1e9
            shortest = min(shortest, (until - now) / 1e9)
            seen = now
        caught_up = guard.standing.replica.position
    return {
        "lost": lost, "shortest": shortest, "cpu": time.process_time(),
        "position": caught_up,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_hold(sys.argv[1]))))
