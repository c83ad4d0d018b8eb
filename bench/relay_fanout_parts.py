"""The subscribers of the benchmark ``relay_fanout``: guards that keep no table.

Run as a module with ``URL NAME COUNT LEASE``: so many connections, each of which says
hello, pings four times in a lease, and keeps a lease by the pongs whose end it has been
sent, as docs/feed-protocol.md has it. The process says ``ready`` once all hold a lease.
At the end of its input, which names the last number, it says when the last one had each
number, what was lost of leases, and its CPU-seconds. Times are of CLOCK_MONOTONIC.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter
from typing import Any, Final

from attrs import Factory, define

from bench.fanout_parts import UPGRADE

DEADLINE: Final = 120.0
PER_LEASE: Final = 4  # pings
AT_ONCE: Final = 25  # that connect; as many more follow once these hold a lease
HEAD: Final = b"\r\n\r\n"
NUMBER: Final = re.compile(r"bench\.key:r(\d+)")


def framed(message: dict[str, Any]) -> bytes:
    """One short text frame of a client, masked with zeros (RFC 6455 section 5.3)."""
    body = json.dumps(message).encode()
    assert len(body) < 126
    return bytes((0x81, 0x80 | len(body), 0, 0, 0, 0)) + body


def frames_in(data: bytes) -> tuple[list[bytes], bytes]:
    """Whole frames of a server, and the rest."""
    frames, at = [], 0
    while len(data) >= at + 2:
        size, begin = data[at + 1], at + 2
        if size >= 126:
            begin += 2 if size == 126 else 8
            size = int.from_bytes(data[at + 2 : begin])
        if len(data) < begin + size:
            break
        frames.append(data[begin : begin + size])
        at = begin + size
    return frames, data[at:]


@define(eq=False)
class Told:
    """What all of them saw.

    Attributes:
        last: when the last one had a number (ns).
        count: how many had it.
        lost: seconds without a lease once there was one, an entry each time.
        rest: seconds that were left of a lease when the next proof came, at least.
    """

    last: dict[int, int] = Factory(dict)
    count: Counter[int] = Factory(Counter)
    lost: list[float] = Factory(list)
    rest: float = 1e9


class Subscriber(asyncio.Protocol):
    """One connection."""

    def __init__(self, told: Told, name: str, lease: float) -> None:
        """Set up.

        Args:
            told: takes what it sees.
            name: of this guard.
            lease: seconds.
        """
        self._told = told
        self._name = name
        self._lease = lease
        self._data = b""
        self._talks = b""  # the end of the answer's head, once it came
        self._sent: dict[int, float] = {}
        self._seq = 0
        self._position = -1
        self._proofs: list[tuple[int, float]] = []
        self._transport: asyncio.Transport
        self.deadline = 0.0
        self.ended = ""
        self.holds = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for everything."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        hello = framed({"type": "hello", "guard": self._name, "genesis": None,
                        "position": None})  # fmt: skip
        transport.write(UPGRADE.encode() + hello)

    def connection_lost(self, _: Exception | None) -> None:
        """Say so to who waits for a lease; nothing proves another one."""
        self.ended = self._data[:200].decode(errors="replace") or "nothing"
        self.holds.set()

    def ping(self) -> None:
        """Ask for a proof."""
        self._seq += 1
        self._sent[self._seq] = time.monotonic()
        self._transport.write(framed({"type": "ping", "seq": self._seq}))

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        self._data += data
        if not self._talks:
            _, self._talks, rest = self._data.partition(HEAD)
            if not self._talks:
                return
            self._data = rest
        frames, self._data = frames_in(self._data)
        for frame in frames:
            self._take(json.loads(frame))
        self._prove()

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "pong":
            sent = self._sent.pop(message["seq"])
            until = sent + min(self._lease, message["remaining_ms"] / 1e3)
            self._proofs.append((message["end"], until))
        elif kind == "delta":
            self._position = message["to"]
            now = time.monotonic_ns()
            for fact in message["facts"]:
                if fact["fact"] == "cause":
                    number = int(NUMBER.fullmatch(fact["target"])[1])  # type: ignore[index]
                    self._told.last[number] = now
                    self._told.count[number] += 1
        elif kind == "snapshot" and not message["more"]:
            self._position = message["offset"]

    def _prove(self) -> None:
        now, waiting = time.monotonic(), []
        for end, until in self._proofs:
            if end > self._position:
                waiting.append((end, until))
            elif until > max(now, self.deadline):
                if self.deadline:
                    self._told.rest = min(self._told.rest, self.deadline - now)
                    if now > self.deadline:
                        self._told.lost.append(now - self.deadline)
                self.deadline = until
                self.holds.set()
        self._proofs = waiting


async def run(url: str, name: str, count: int, lease: float) -> None:
    """Run them until the end of input, and say what they saw."""
    told, port = Told(), int(url.rpartition(":")[2])
    loop = asyncio.get_running_loop()
    subscribers: list[Subscriber] = []

    async def pings() -> None:
        """Have each ping in turn, all of them four times in a lease."""
        while True:
            began = loop.time()
            for number, each in enumerate([*subscribers]):
                due = began + number * lease / PER_LEASE / max(count, 1)
                await asyncio.sleep(max(0.0, due - loop.time()))
                each.ping()
            rest = began + lease / PER_LEASE - loop.time()
            await asyncio.sleep(max(0.001, rest))

    pinging = asyncio.create_task(pings())
    for first in range(0, count, AT_ONCE):
        for number in range(first, min(first + AT_ONCE, count)):
            one = Subscriber(told, f"{name}-{number}", lease)
            await loop.create_connection(lambda one=one: one, "127.0.0.1", port)  # type: ignore[misc]
            subscribers.append(one)
        async with asyncio.timeout(DEADLINE):
            for one in subscribers[first:]:
                await one.holds.wait()
                assert not one.ended, f"the relay answered and ended it: {one.ended}"
    told.lost.clear()  # the start of so many at once is another matter
    told.rest, used = 1e9, time.process_time()
    print("ready", flush=True)
    last = int(await asyncio.to_thread(sys.stdin.read))
    async with asyncio.timeout(DEADLINE):
        while told.count[last] < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    now = time.monotonic()
    told.lost += [now - each.deadline for each in subscribers if each.deadline < now]
    pinging.cancel()
    print(json.dumps({
        "last": told.last, "count": told.count, "lost": told.lost, "rest": told.rest,
        "cpu": time.process_time() - used,
    }))  # fmt: skip


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
