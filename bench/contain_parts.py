"""The guards of the benchmark ``contain``, several in a process.

``URL GUARDS COUNT MATCHES``. Each guard looks after each message whether it denies the
first credential of either label. The process answers lines: the name of a label with
the times of the guards' first denials since it was allowed last (CLOCK_MONOTONIC, ns),
``sample`` with how many one guard denies of each label and of the others, and ``end``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import AsyncExitStack
from typing import Final

from agents_registry.life import Reason
from bench.credentials import accessor
from enforcement.guard import Guard

MANY: Final = "many"
ONE: Final = "one"
DEADLINE: Final = 300.0
SAMPLED: Final = 2000  # credentials of a sample, with a label and without
AT_ONCE: Final = 200  # checks between two turns of the loop


class Watched:
    """Since when a guard denies the first credential of each label."""

    def __init__(self, guard: Guard, count: int) -> None:
        """Watch one guard of a realm of so many credentials."""
        self.guard = guard
        self.denied: dict[str, int] = {}
        self._names = {MANY: accessor(0), ONE: accessor(count - 1)}

    async def run(self) -> None:
        """Look after each message, until cancelled."""
        while True:
            for label, name in self._names.items():
                verdict = self.guard.check((name,))
                if verdict.allowed:
                    self.denied.pop(label, None)
                elif verdict.reason is Reason.SUSPENDED:  # and not for a lost lease
                    self.denied.setdefault(label, time.monotonic_ns())
            await self.guard.feed.progress()


async def sample(guard: Guard, count: int, matches: int) -> dict[str, int]:
    """Count what a guard denies as suspended, of some with each label and of others."""
    with_it = range(0, matches, -(-matches // SAMPLED))
    without = range(matches, count - 1, -(-(count - matches) // SAMPLED))
    told = {MANY: 0, ONE: 0, "others": 0}
    for label, numbers in ((MANY, with_it), (ONE, [count - 1]), ("others", without)):
        for number in numbers:
            if not number % AT_ONCE:
                await asyncio.sleep(0)
            verdict = guard.check((accessor(number),))
            told[label] += verdict.reason is Reason.SUSPENDED
    return told


async def guards(url: str, guards_here: int, count: int, matches: int) -> None:
    """Run the guards, and answer until the input ends."""
    async with AsyncExitStack() as stack:
        running = []
        for number in range(guards_here):
            one = Guard(url, "guard", name=f"g{os.getpid()}-{number}")
            running.append(await stack.enter_async_context(one))
        async with asyncio.timeout(DEADLINE):
            for guard in running:
                while not guard.check((accessor(count - 1),)).allowed:
                    await guard.feed.progress()
        watched = [Watched(guard, count) for guard in running]
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        watching = [tasks.create_task(each.run()) for each in watched]
        print("ready", flush=True)
        while (asked := (await asyncio.to_thread(sys.stdin.readline)).strip()) != "end":
            if asked == "sample":
                told: object = await sample(running[0], count, matches)
            else:
                found = (each.denied.get(asked) for each in watched)
                told = {"denied": [at for at in found if at is not None]}
            print(json.dumps(told), flush=True)
        for task in watching:
            task.cancel()
    print(json.dumps({"cpu": time.process_time()}))


if __name__ == "__main__":
    place, *numbers = sys.argv[1:]
    asyncio.run(guards(place, *map(int, numbers)))
