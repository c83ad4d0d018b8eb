"""A guard of the benchmark ``enforced`` in a process of its own: ``URL NAME [FLAW]``.

It checks what lives all the time, and answers commands, one JSON object a line. With
the flaw ``forgets`` it loses one cause in a hundred: the benchmark must see that.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from random import Random
from typing import Any, Final

from agents_registry.facts import Cause, Fact
from agents_registry.identifiers import Identifier
from enforcement.guard import Guard
from enforcement.replica import Replica

KIND: Final = "bench.key"
LOAD: Final = 20  # checks in a row, then a pause
PAUSE: Final = 0.005
DEADLINE: Final = 60.0


def parent(number: int) -> Identifier:
    """Name what is revoked."""
    return Identifier(KIND, f"p{number}")


def child(number: int) -> Identifier:
    """Name what is presented."""
    return Identifier(KIND, f"c{number}")


def living(number: int) -> Identifier:
    """Name what nobody revokes."""
    return Identifier(KIND, f"l{number}")


def tell(**said: Any) -> None:
    """Write one line."""
    print(json.dumps(said), flush=True)


async def allow(guard: Guard, numbers: list[int]) -> None:
    """Wait until every child is allowed, and tell how many are."""
    async with asyncio.timeout(DEADLINE):
        while not all(guard.check(child(number)).allowed for number in numbers):
            await guard.feed.progress()
    tell(checked=len(numbers))


async def deny(guard: Guard, numbers: list[int]) -> None:
    """Check children and parents under a lease, and tell which were allowed."""
    assert await guard.ready(DEADLINE)
    allowed = [
        number
        for number in numbers
        if guard.check(child(number)).allowed or guard.check(parent(number)).allowed
    ]
    tell(checked=len(numbers), allowed=allowed)


async def work(guard: Guard, lives: int) -> None:
    """Check what lives, again and again."""
    random = Random(1)
    while True:
        for _ in range(LOAD):
            guard.check(living(random.randrange(lives)))
        await asyncio.sleep(PAUSE)


async def main(url: str, name: str) -> None:
    """Serve commands until the end of input."""
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader(limit=1 << 22)
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    async with Guard(url, "guard", name=name) as guard, asyncio.TaskGroup() as tasks:
        going: list[asyncio.Task[None]] = []
        while line := await commands.readline():
            command = json.loads(line)
            if "load" in command:
                going.append(tasks.create_task(work(guard, command["load"])))
            elif "allow" in command:
                await allow(guard, command["allow"])
            else:
                await deny(guard, command["deny"])
        for task in going:
            task.cancel()
    tell(cpu=time.process_time(), stale=guard.counters.stale)


def forget() -> None:
    """Lose one cause in a hundred."""
    right = Replica._apply  # noqa: SLF001 - a planted bug

    def wrong(self: Replica, fact: Fact, at: int) -> None:
        if not isinstance(fact, Cause) or not fact.target.value.endswith("00"):
            right(self, fact, at)

    Replica._apply = wrong  # type: ignore[method-assign]  # noqa: SLF001


if __name__ == "__main__":
    if sys.argv[3:] == ["forgets"]:
        forget()
    asyncio.run(main(sys.argv[1], sys.argv[2]))
