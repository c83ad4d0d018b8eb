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
from typing import TYPE_CHECKING, Any, Final, TextIO

from enforcement import Guard

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Watch = Callable[[dict[str, Any], TextIO], Coroutine[Any, Any, None]]

READY_SECONDS: Final = 20.0


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


async def run(watching: Watch) -> None:
    """Watch as the first line of standard input says, until that ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    order = json.loads(await reader.readline())
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(watching(order, sys.stdout))
        await reader.read()
        task.cancel()


if __name__ == "__main__":
    asyncio.run(run(watch))
