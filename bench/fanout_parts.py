"""The subscribers of the benchmark ``fanout``, many in a process.

``guards URL COUNT LEASE`` are whole guards. ``feed URL COUNT`` are subscribers of the
feed, ``tracking PORT COUNT`` clients of Redis with CLIENT TRACKING BCAST, and both do
no more than to find the number in what they get. Each process says ``ready``, waits for
the number that it is told as the last one, and says when the last of its subscribers
had each revocation, on CLOCK_MONOTONIC.
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
# A delta holds more than one where several were accepted before it was sent.
DELTA: Final = re.compile(rb'"type":"delta","from":(\d+),"to":(\d+),')
# RFC 6455: the key is any 16 bytes, and a client's frame is masked, here with zeros.
UPGRADE: Final = (
    "GET /v1/feed HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer guard\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
HELLO: Final = b'{"type":"hello","guard":"lean","genesis":null,"position":null}'


class Seen:
    """When the last subscriber had each revocation, and how many have it."""

    def __init__(self, subscribers: int) -> None:
        """Start with none of so many subscribers."""
        self.last: dict[int, int] = {}
        self.count: Counter[int] = Counter()
        self._subscribers = subscribers
        self._news = asyncio.Event()

    def note(self, number: int) -> None:
        """Take note of one subscriber that has it now."""
        self.last[number] = time.monotonic_ns()
        self.count[number] += 1
        self._news.set()

    async def tell(self) -> None:
        """Wait for the end of input and for what it names, and print what was seen."""
        print("ready", flush=True)
        number = int(await asyncio.to_thread(sys.stdin.read))
        async with asyncio.timeout(DEADLINE):
            while self.count[number] < self._subscribers:
                self._news.clear()
                await self._news.wait()
        cpu = time.process_time()
        told = {"last": self.last, "count": self.count, "cpu": cpu}
        print(json.dumps(told))


async def guards(url: str, count: str, lease: str) -> None:
    """Run guards; a revocation is one offset of the log."""
    seen = Seen(int(count))
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


class Subscriber(asyncio.Protocol):
    """One connection that finds numbers in what it gets."""

    def __init__(self, seen: Seen, number: re.Pattern[bytes], asked: bytes) -> None:
        """Subscribe.

        Args:
            seen: gets each number.
            number: finds one, or the first of several and the one after the last.
            asked: what makes the other side send them.
        """
        self._seen = seen
        self._number = number
        self._asked = asked
        self._rest = b""
        self.subscribed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._asked)

    def data_received(self, data: bytes) -> None:
        """Find numbers."""
        data = self._rest + data
        end = 0
        for match in self._number.finditer(data):
            first, *last = map(int, match.groups())
            for each in range(first, *last) if last else (first,):
                self._seen.note(each)
            end = match.end()
        self._rest = data[end:]
        # The answer to the question: Redis says so, the feed ends its snapshot.
        if b"+OK\r\n" in data or b'"more":false' in data:
            self.subscribed.set()


async def subscribers(
    port: int, count: int, number: re.Pattern[bytes], asked: bytes
) -> None:
    """Run connections to a port of this host."""
    loop = asyncio.get_running_loop()
    seen = Seen(int(count))
    for _ in range(count):
        _, one = await loop.create_connection(
            lambda: Subscriber(seen, number, asked), "127.0.0.1", port
        )
        await asyncio.wait_for(one.subscribed.wait(), DEADLINE)
    await seen.tell()


async def feed(url: str, count: str) -> None:
    """Subscribe to the feed without being a guard."""
    port = int(url.rpartition(":")[2])
    frame = bytes((0x81, 0x80 | len(HELLO), 0, 0, 0, 0)) + HELLO
    await subscribers(port, int(count), DELTA, UPGRADE.encode() + frame)


async def tracking(port: str, count: str) -> None:
    """Run clients of Redis; a revocation is the number in a key."""
    asked = b"HELLO 3\r\nCLIENT TRACKING ON BCAST PREFIX r:\r\n"
    await subscribers(int(port), int(count), KEY, asked)


PARTS: Final = {"guards": guards, "feed": feed, "tracking": tracking}


if __name__ == "__main__":
    asyncio.run(PARTS[sys.argv[1]](*sys.argv[2:]))  # type: ignore[operator]
