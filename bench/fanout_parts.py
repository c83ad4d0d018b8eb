"""The subscribers of the benchmark ``fanout``, many in a process.

``guards URL COUNT LEASE`` are guards; ``tracking PORT COUNT`` are clients of Redis
with CLIENT TRACKING BCAST, which do no more than to find the key in what they get.
Each process says ``ready``, and at the end of its input when the last of its
subscribers had each revocation, on CLOCK_MONOTONIC.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from enforcement.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE: Final = 120.0
KEY: Final = re.compile(rb"\r\nr:(\d+)\r\n")


class Seen:
    """When the last subscriber had each revocation, and how many have it."""

    def __init__(self) -> None:
        """Start with none."""
        self.last: dict[int, int] = {}
        self.count: Counter[int] = Counter()

    def note(self, number: int) -> None:
        """Take note of one subscriber that has it now."""
        self.last[number] = time.monotonic_ns()
        self.count[number] += 1

    async def tell(self) -> None:
        """Wait for the end of input, and print what was seen."""
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        cpu = time.process_time()
        told = {"last": self.last, "count": self.count, "cpu": cpu}
        print(json.dumps(told))


async def guards(url: str, count: str, lease: str) -> None:
    """Run guards; a revocation is one offset of the log."""
    seen = Seen()
    async with AsyncExitStack() as stack:
        running = []
        for number in range(int(count)):
            guard = Guard(
                url, "guard", name=f"g{os.getpid()}-{number}", lease=float(lease)
            )
            running.append(await stack.enter_async_context(guard))
        for guard in running:
            assert await guard.ready(DEADLINE)
        for guard in running:
            guard.standing.refresh = watched(guard, seen)  # type: ignore[method-assign]
        await seen.tell()


def watched(guard: Guard, seen: Seen) -> Callable[[], None]:
    """Give what a guard does after each message, and a look at its position."""
    right = guard.standing.refresh
    position = guard.standing.replica.position or 0

    def refresh() -> None:
        nonlocal position
        right()
        now = guard.standing.replica.position or 0
        for offset in range(position, now):
            seen.note(offset)
        position = now

    return refresh


class Tracking(asyncio.Protocol):
    """One client of Redis."""

    def __init__(self, seen: Seen) -> None:
        """Tell ``seen`` of each key."""
        self._seen = seen
        self._rest = b""
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for every key of the revocations."""
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"HELLO 3\r\nCLIENT TRACKING ON BCAST PREFIX r:\r\n")

    def data_received(self, data: bytes) -> None:
        """Find keys."""
        data = self._rest + data
        end = 0
        for match in KEY.finditer(data):
            self._seen.note(int(match[1]))
            end = match.end()
        self._rest = data[end:]
        if b"+OK\r\n" in self._rest and not self.ready.done():
            self.ready.set_result(None)
            self._rest = b""


async def tracking(port: str, count: str) -> None:
    """Run clients of Redis; a revocation is the number in a key."""
    loop = asyncio.get_running_loop()
    seen = Seen()
    for _ in range(int(count)):
        _, client = await loop.create_connection(
            lambda: Tracking(seen), "127.0.0.1", int(port)
        )
        await asyncio.wait_for(client.ready, DEADLINE)
    await seen.tell()


PARTS: Final = {"guards": guards, "tracking": tracking}


if __name__ == "__main__":
    asyncio.run(PARTS[sys.argv[1]](*sys.argv[2:]))  # type: ignore[operator]
