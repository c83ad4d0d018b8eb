"""The flood of the benchmark ``ssf_flood``: bad tokens, as fast as they are due.

It minds no answer: requests are written ahead on each connection, and a connection that
the server closes is opened again. Commands come by lines (``start``, ``stop``); what
was offered and answered is told at the end of input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

CONNECTIONS: Final = 32
TICK: Final = 0.01  # seconds


class Flood:
    """Writes requests over some connections."""

    def __init__(self, host: str, port: int, request: bytes, a_second: int) -> None:
        self.host, self.port, self.request = host, port, request
        self.a_second = a_second
        self.on = False
        self.offered = self.answered = 0
        self.seconds = 0.0

    async def connection(self) -> None:
        """Keep one connection open, write what is due on it, count the answers."""
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection(self.host, self.port)
                counting = asyncio.create_task(self.count(reader))
                try:
                    await self.write(writer, counting)
                finally:
                    counting.cancel()
                    writer.close()
            await asyncio.sleep(TICK)

    async def count(self, reader: asyncio.StreamReader) -> None:
        """Count the answers until the server closes."""
        while data := await reader.read(1 << 16):
            self.answered += data.count(b"HTTP/1.1 ")

    async def write(
        self, writer: asyncio.StreamWriter, counting: asyncio.Task[None]
    ) -> None:
        """Write what is due, until the server closes."""
        share = self.a_second / CONNECTIONS
        last, owed = time.monotonic(), 0.0
        while not counting.done():
            await asyncio.sleep(TICK)
            now = time.monotonic()
            took, last = now - last, now
            if not self.on:
                continue
            owed += took * share
            self.seconds += took / CONNECTIONS
            number, owed = int(owed), owed % 1
            self.offered += number
            writer.write(self.request * number)
            await writer.drain()


async def main(host: str, port: str, request: str, a_second: str) -> None:
    """Flood while told to."""
    body = await asyncio.to_thread(Path(request).read_bytes)
    flood = Flood(host, int(port), body, int(a_second))
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(flood.connection()) for _ in range(CONNECTIONS)]
        print("ready", flush=True)
        while command := await asyncio.to_thread(sys.stdin.readline):
            flood.on = command.strip() == "start"
            print(command.strip(), flush=True)
        for each in running:
            each.cancel()
    told = {
        "offered": flood.offered,
        "answered": flood.answered,
        "seconds": flood.seconds,
        "cpu": time.process_time(),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
