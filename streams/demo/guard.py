"""The demo's guard, a process of its own: it tells when a verdict changes.

It reads one JSON line from standard input (where the server is, the credential, what
to watch), writes one line a changed verdict, and ends with its input. Times are of
CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, TextIO

from enforcement import Guard

READY_SECONDS = 20.0


async def watch(order: dict[str, Any], lines: TextIO) -> None:
    """Check everything that is watched whenever the replica made progress."""
    seen: dict[str, tuple[bool, str]] = {}
    url, credential = order["url"], order["credential"]
    async with Guard(url, credential, name="demo") as guard:
        await guard.ready(READY_SECONDS)
        while True:
            changed = False
            for name in order["watch"]:
                verdict = guard.check(name)
                said = (verdict.allowed, verdict.reason.value)
                if seen.get(name) == said:
                    continue
                seen[name] = said
                changed = True
                target = verdict.cause and str(verdict.cause.target)
                told = {
                    "name": name,
                    "allowed": verdict.allowed,
                    "reason": verdict.reason.value,
                    "cause": target,
                    "at": time.monotonic_ns(),
                }
                lines.write(json.dumps(told) + "\n")
            if changed:
                lines.flush()
            await guard.feed.progress()


async def run() -> None:
    """Watch until standard input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    order = json.loads(await reader.readline())
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch(order, sys.stdout))
        await reader.read()
        # Before Python 3.13 a cancellation that meets a failure of a task group is
        # lost (python/cpython#116720), and when the demo is killed the server fails
        # at this very moment. So it is said until it is heard.
        while not watching.done():
            watching.cancel()
            await asyncio.wait({watching}, timeout=0.2)


if __name__ == "__main__":
    asyncio.run(run())
