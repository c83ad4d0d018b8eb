"""A guard that starts, in a process of its own that imports what a guard needs.

``python -m bench.guard_process URL FORM COUNT`` prints what it took as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, Final

from bench.credentials import accessor
from enforcement import feed
from enforcement.guard import Guard

DEADLINE: Final = 300.0
TICK: Final = 0.005  # seconds
TABLE: Final = "table"
FACTS: Final = "facts"


async def _guard(url: str, count: str) -> dict[str, Any]:
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            due = time.monotonic() + TICK
            await asyncio.sleep(TICK)
            longest = max(longest, time.monotonic() - due)

    last = accessor(int(count) - 1)
    entered = time.monotonic()
    async with (
        Guard(url, "guard", name="bench") as guard,
        asyncio.TaskGroup() as tasks,
    ):
        ticking = tasks.create_task(tick())
        async with asyncio.timeout(DEADLINE):
            while not guard.check(last).allowed:
                await guard.feed.progress()
        allowed_at = time.monotonic()
        ticking.cancel()
    return {
        "allowed_at": allowed_at,
        "caught_up": allowed_at - entered,
        "pause": longest,
        "cpu": time.process_time(),
    }


if __name__ == "__main__":
    if sys.argv[2] == FACTS:
        vars(feed)["SPOKEN"] = ()
    print(json.dumps(asyncio.run(_guard(sys.argv[1], sys.argv[3]))))
