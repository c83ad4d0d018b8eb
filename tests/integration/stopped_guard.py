"""Guards in a process of its own that a test stops: ``URL COUNT LEASE``.

What it is first asked after SIGCONT comes before anything else that it does, and it
tells the answers: ``resumed`` and one word a guard, ``True`` where it allowed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from typing import Final

from enforcement import Guard

LIVING: Final = "vault.accessor:living"


def tell(*words: object) -> None:
    """Write a line, also from within a signal's handler."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def main(url: str, count: int, lease: float) -> None:
    """Tell when all guards allow after each stop, until killed."""
    told = False
    async with AsyncExitStack() as stack:
        guards = [
            await stack.enter_async_context(
                Guard(url, "guard", name=f"stopped{number}", lease=lease)
            )
            for number in range(count)
        ]

        def answers() -> list[bool]:
            return [guard.check(LIVING).allowed for guard in guards]

        def go_on(*_: object) -> None:
            nonlocal told
            tell("resumed", *answers())
            told = False

        signal.signal(signal.SIGCONT, go_on)
        while True:
            if not told and all(answers()):
                told = True
                tell("allows")
            await asyncio.sleep(0.001)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
