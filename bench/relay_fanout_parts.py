"""The subscribers of the benchmark ``relay_fanout``: guards that keep no table.

Run as a module with ``URL NAME COUNT LEASE [receipts]``: so many connections, each of
which says hello, pings four times in a lease, and keeps a lease by the pongs whose end
it has been sent, as docs/feed-protocol.md has it. With ``receipts`` it is registered,
and says what it has applied. The process says ``ready`` once all hold a lease.
At the end of its input, which names the last number, it says when the last one had each
number, what was lost of leases, and its CPU-seconds. Times are of CLOCK_MONOTONIC.

One loop reads and writes plain sockets: a guard brings its own host, and thousands of
them in a process must not be what is measured.
"""

from __future__ import annotations

import json
import os
import re
import select
import socket
import sys
import time
from collections import Counter
from contextlib import suppress
from typing import Any, Final

import orjson
from attrs import Factory, define

from bench.fanout_parts import UPGRADE

DEADLINE: Final = 120.0
PER_LEASE: Final = 4  # pings
PER_REPORT: Final = 10  # receipts in a lease at most
AT_ONCE: Final = 25  # that connect; as many more follow once these hold a lease
TICK: Final = 0.005  # s; pings that are due within one go out together
TEXT: Final = 0x81
HEAD: Final = b"\r\n\r\n"
NUMBER: Final = re.compile(r"bench\.key:r(\d+)")
PIECE: Final = 256 << 10  # bytes


def framed(message: dict[str, Any]) -> bytes:
    """One text frame of a client, masked with zeros (RFC 6455 section 5.3)."""
    body = orjson.dumps(message)
    size = len(body)
    if size < 126:
        return bytes((0x81, 0x80 | size, 0, 0, 0, 0)) + body
    return bytes((0x81, 0x80 | 126)) + size.to_bytes(2) + bytes(4) + body


def frames_in(data: bytes) -> tuple[list[bytes], bytes]:
    """Texts of whole frames of a server, and the rest."""
    frames, at = [], 0
    while len(data) >= at + 2:
        size, begin = data[at + 1], at + 2
        if size >= 126:
            begin += 2 if size == 126 else 8
            size = int.from_bytes(data[at + 2 : begin])
        if len(data) < begin + size:
            break
        if data[at] == TEXT:  # a farewell is followed by the end
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
        ended: connections that the relay ended; they are made anew.
    """

    last: dict[int, int] = Factory(dict)
    count: Counter[int] = Factory(Counter)
    lost: list[float] = Factory(list)
    rest: float = 1e9
    ended: int = 0


class Subscriber:
    """One connection."""

    def __init__(
        self, told: Told, name: str, lease: float, *, receipts: bool = False
    ) -> None:
        """Set up.

        Args:
            told: takes what it sees.
            name: of this guard.
            lease: seconds.
            receipts: it is registered, and says what it has applied.
        """
        self._told = told
        self._name = name
        self._lease = lease
        self._receipts = receipts
        self._connection: socket.socket
        self._data = self._talks = b""
        self._sent: dict[int, float] = {}
        self._seq = 0
        self._position = -1
        self._proofs: list[tuple[int, float]] = []
        self._genesis = ""
        self._reported = (-1, 0.0)  # position, and when
        self._sequence = 1
        self.deadline = 0.0

    def connect(self, connection: socket.socket) -> None:
        """Ask for what is missing, and for a proof."""
        self._connection = connection
        self._data = b""
        self._talks = b""  # the end of the answer's head, once it came
        known = self._position >= 0
        hello: dict[str, Any] = {
            "type": "hello", "guard": self._name,
            "genesis": self._genesis if known else None,
            "position": self._position if known else None,
        }  # fmt: skip
        if self._receipts:
            hello["receipt"] = self._receipt(
                "registered", lease_ms=round(1000 * self._lease), mode="fail_closed",
                routes=[], live_sessions=False,
            )  # fmt: skip
        connection.sendall(UPGRADE.encode() + framed(hello))
        self.ping()

    def ping(self) -> None:
        """Ask for a proof; say what is applied where that is due."""
        now = time.monotonic()
        self._seq += 1
        self._sent[self._seq] = now
        told = self._report(now, self._lease / 2)
        self._connection.sendall(told + framed({"type": "ping", "seq": self._seq}))

    def _receipt(self, status: str, **more: Any) -> dict[str, Any]:
        common = {"guard": self._name, "instance": self._name, "status": status}
        return common | {"sequence": self._sequence} | more

    def _report(self, now: float, silent: float) -> bytes:
        """Receipt of what is applied, if it is news and not too soon, or too late."""
        position, at = self._reported
        since, moved = now - at, self._position > position
        soon = moved and since >= self._lease / PER_REPORT
        if not self._receipts or self._position < 0 or not (soon or since >= silent):
            return b""
        self._reported = self._position, now
        self._sequence += 1
        receipt = self._receipt(
            "applied", genesis=self._genesis, applied=self._position
        )
        return framed({"type": "receipt", "receipt": receipt})

    def read(self) -> None:
        """Take what came.

        Raises:
            ConnectionError: the relay ended the connection.
        """
        data = self._connection.recv(PIECE)
        if not data:
            raise ConnectionResetError("ended")
        self.take(data)

    def take(self, data: bytes) -> None:
        """Take bytes of the relay."""
        self._data += data
        if not self._talks:
            _, self._talks, rest = self._data.partition(HEAD)
            if not self._talks:
                return
            self._data = rest
        frames, self._data = frames_in(self._data)
        for frame in frames:
            self._read(orjson.loads(frame))
        self._prove()
        if told := self._report(time.monotonic(), self._lease):
            with suppress(ConnectionError):
                self._connection.sendall(told)

    def _read(self, message: dict[str, Any]) -> None:
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
            self._position, self._genesis = message["offset"], message["genesis"]

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
        self._proofs = waiting


class Subscribers:
    """All connections of the process; `turn` reads what came and pings who is due."""

    def __init__(self, told: Told, port: int, lease: float, *, receipts: bool) -> None:
        """Start without any.

        Args:
            told: takes what they see.
            port: of the relay, on this host.
            lease: seconds.
            receipts: they are registered, and say what they have applied.
        """
        self._told, self._port, self._lease = told, port, lease
        self._receipts = receipts
        self._events = select.epoll()
        self._by_file: dict[int, Subscriber] = {}
        self._open: dict[int, socket.socket] = {}
        self._began = time.monotonic()
        self._pinged = 0  # of this round
        self.all: list[Subscriber] = []

    def add(self, name: str) -> None:
        """Connect one more."""
        one = Subscriber(self._told, name, self._lease, receipts=self._receipts)
        self.all.append(one)
        self._connect(one)

    def _connect(self, one: Subscriber) -> None:
        connection = socket.create_connection(("127.0.0.1", self._port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open[connection.fileno()] = connection
        self._by_file[connection.fileno()] = one
        self._events.register(connection, select.EPOLLIN)
        one.connect(connection)

    def turn(self) -> None:
        """Wait a moment for what comes, take it, and ping."""
        for file, _ in self._events.poll(TICK):
            one = self._by_file[file]
            try:
                one.read()
            except ConnectionError:
                self._told.ended += 1
                self._events.unregister(file)
                self._open.pop(file).close()
                self._connect(one)
        between = self._lease / PER_LEASE
        now = time.monotonic()
        due = min(len(self.all), int((now - self._began) / between * len(self.all)) + 1)
        for each in self.all[self._pinged : due]:
            with suppress(ConnectionError):  # it is connected anew when that is read
                each.ping()
        self._pinged = due
        if now - self._began >= between:
            self._began, self._pinged = self._began + between, 0


def run(url: str, name: str, count: int, lease: float, *, receipts: bool) -> None:
    """Run them until the end of input, and say what they saw."""
    told = Told()
    port = int(url.rpartition(":")[2])
    each_of = Subscribers(told, port, lease, receipts=receipts)
    for first in range(0, count, AT_ONCE):
        for number in range(first, min(first + AT_ONCE, count)):
            each_of.add(f"{name}-{number}")
        until = time.monotonic() + DEADLINE
        while not all(one.deadline for one in each_of.all[first:]):
            assert time.monotonic() < until, "the relay gave no lease"
            each_of.turn()
    told.lost.clear()  # the start of so many at once is another matter
    told.rest, told.ended, used = 1e9, 0, time.process_time()
    print("ready", flush=True)
    _run_to_end(each_of, told, count)
    now = time.monotonic()
    told.lost += [now - each.deadline for each in each_of.all if each.deadline < now]
    print(json.dumps({
        "last": told.last, "count": told.count, "lost": told.lost, "rest": told.rest,
        "ended": told.ended, "cpu": time.process_time() - used,
    }))  # fmt: skip


def _run_to_end(each_of: Subscribers, told: Told, count: int) -> None:
    """Go on until the input ended and all have the number that it named."""
    given, until = b"", float("inf")
    os.set_blocking(sys.stdin.fileno(), False)
    while until == float("inf") or told.count[int(given)] < count:
        each_of.turn()
        assert time.monotonic() < until, "a revocation did not reach all"
        if until == float("inf"):
            try:
                piece = os.read(sys.stdin.fileno(), 64)
            except BlockingIOError:
                continue
            given += piece
            if not piece:
                until = time.monotonic() + DEADLINE


if __name__ == "__main__":
    url, name, count, lease, *more = sys.argv[1:]
    run(url, name, int(count), float(lease), receipts="receipts" in more)
