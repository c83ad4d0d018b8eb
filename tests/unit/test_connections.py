"""The places of connections: strangers share theirs, known callers have their own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from attrs import define, field

from streams.http.connections import (
    FIRST_SECONDS,
    HEAD_BYTES,
    OF_CALLER,
    PIECE,
    UNREAD_SECONDS,
    ConnectionEntry,
    Connections,
    Piecewise,
    address_of,
)
from streams.settings.limits import ConnectionSettings

pytestmark = pytest.mark.unit


@define(eq=False)
class Transport:
    """A transport with so much unread."""

    unread: int = 0
    ended: bool = False
    written: bytes = b""

    def get_write_buffer_size(self) -> int:
        """Give what the peer did not read."""
        return self.unread

    def abort(self) -> None:
        """End it."""
        self.ended = True

    def write(self, data: bytes) -> None:
        """Keep what is written."""
        self.written += data

    close = abort


@define
class Request:
    """What is looked at of a request."""

    transport: Any
    headers: dict[str, str] = field(factory=dict)


def connection(
    all_: Connections, address: str = "a", now: float = 0.0
) -> tuple[ConnectionEntry, Transport]:
    """Open a connection."""
    entry, transport = all_.enter(address, now), Transport()
    all_.opened(entry, transport)  # type: ignore[arg-type]
    return entry, transport


def show(all_: Connections, transport: Transport, caller: str, **more: bool) -> None:
    """Show a credential on a connection."""
    request: Any = Request(transport)
    all_.prove(request, caller, guard=more.get("guard", False))


def test_the_quietest_stranger_makes_room() -> None:
    """The newcomer gets in, and nobody who proved itself goes."""
    register = Connections(ConnectionSettings(strangers=3, of_address=9))
    guard = connection(register)
    show(register, guard[1], "g", guard=True)
    first, *others = [connection(register) for _ in range(3)]
    connection(register)

    assert first[1].ended
    assert not guard[1].ended
    assert not any(one[1].ended for one in others)


def test_an_address_pushes_out_its_own_alone() -> None:
    """A flood from one place costs no other place."""
    register = Connections(ConnectionSettings(strangers=10, of_address=2))
    other = connection(register, "b")
    first = connection(register, "a")
    for _ in range(50):
        connection(register, "a")

    assert first[1].ended
    assert not other[1].ended
    assert register.cut == 49


async def test_who_asked_last_is_cut_last() -> None:
    """A connection in use outlives one that sits there."""
    register = Connections(ConnectionSettings(strangers=2, of_address=9))
    asking, idle = connection(register), connection(register)

    async def answer(_: Any) -> Any:
        return None

    request: Any = Request(asking[1])
    await register.watched(request, answer)
    connection(register)

    assert idle[1].ended
    assert not asking[1].ended


def test_a_credential_has_so_many_places_beside_those_of_strangers() -> None:
    """Further connections of it share the places of strangers."""
    register = Connections(ConnectionSettings(strangers=2, of_address=9))
    all_of_it = []
    for _ in range(OF_CALLER + 3):
        entry, transport = connection(register)
        show(register, transport, "ingest")
        all_of_it.append((entry, transport))

    assert [transport.ended for _, transport in all_of_it].count(True) == 1
    register.leave(all_of_it[0][0])
    late = connection(register)
    show(register, late[1], "ingest")
    assert late[0].caller == "ingest"


def test_a_request_that_is_never_whole_has_a_deadline() -> None:
    """Counted from the connection on, its handshake included."""
    register = Connections(ConnectionSettings())
    slow, asked = connection(register), connection(register)
    asked[0].asked = True
    register.sweep(FIRST_SECONDS)
    assert [slow[1].ended, asked[1].ended] == [False, False]
    register.sweep(FIRST_SECONDS + 0.1)

    assert [slow[1].ended, asked[1].ended] == [True, False]


def test_an_answer_that_nobody_reads_ends_its_connection() -> None:
    """While some of it is read, it may take as long as it takes."""
    register = Connections(ConnectionSettings())
    stuck, slow = connection(register), connection(register)
    for entry, transport in (stuck, slow):
        entry.asked, transport.unread = True, 70_000
    for now in range(int(UNREAD_SECONDS) + 2):
        slow[1].unread += 1
        register.sweep(float(now))

    assert stuck[1].ended
    assert not slow[1].ended


@define
class Parser(asyncio.Protocol):
    """Keeps what it is handed."""

    pieces: list[int] = field(factory=list)

    def data_received(self, data: bytes) -> None:
        """Keep the length."""
        self.pieces.append(len(data))


def test_a_head_without_end_is_refused() -> None:
    """Of a request that is under way, as many bytes as its handler reads may come."""
    register = Connections(ConnectionSettings())
    entry, transport = connection(register)
    parser, buffer = Parser(), memoryview(bytearray(PIECE))
    protocol = Piecewise(parser, entry, register, buffer)
    entry.busy = 1
    for _ in range(100):
        protocol.buffer_updated(len(protocol.get_buffer(-1)))
    assert len(parser.pieces) == 100
    entry.busy = 0
    for _ in range(HEAD_BYTES // PIECE + 1):
        protocol.buffer_updated(PIECE)

    assert len(parser.pieces) == 100 + HEAD_BYTES // PIECE
    assert transport.written.startswith(b"HTTP/1.1 431 ")
    assert transport.ended


def looked_at(*pieces: bytes) -> tuple[bytes | None, list[bytes], list[int]]:
    """Have a connection looked at when these came, and another piece after them.

    Give what came behind the request, what was looked at, and what was handed on.
    """
    register = Connections(ConnectionSettings())
    entry, transport = connection(register)
    parser, buffer = Parser(), memoryview(bytearray(PIECE))
    protocol = Piecewise(parser, entry, register, buffer)

    def come(data: bytes) -> None:
        buffer[: len(data)] = data
        protocol.buffer_updated(len(data))

    for piece in pieces:
        come(piece)
    seen: list[bytes] = []

    def look(data: bytes) -> bytes:
        seen.append(data)
        return data[1:]

    request: Any = Request(transport)
    rest = register.first_look(request, look)
    come(b"later")
    come(b"1")
    return rest, seen, parser.pieces


ASKED = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"


@pytest.mark.parametrize("cut", range(1, 5))
def test_an_end_that_comes_in_two_pieces_is_one(cut: int) -> None:
    """What comes behind it is known."""
    rest, _, _ = looked_at(ASKED[:-cut], ASKED[-cut:] + b"hello")

    assert b"hello" == rest


@pytest.mark.parametrize("behind", [b"", b"hello"])
def test_what_comes_behind_a_request_is_looked_at_first(behind: bytes) -> None:
    """And only what is left of it is handed on."""
    rest, seen, handed = looked_at(ASKED + behind)

    assert behind == rest
    assert [b"later", b"1"] == seen
    assert [len(ASKED + behind), len(b"ater")] == handed


@pytest.mark.parametrize(
    "pieces",
    [
        (ASKED, b"hello"),
        (ASKED + b"x" * 2000,),
        (ASKED + b"x\r\n\r\ny",),
        (ASKED[:-2], ASKED[-2:] + b"x\r\n\r\ny"),
        (ASKED[:-4], ASKED[-4:] + b"x\r\n\r\ny"),
    ],
)
def test_where_a_request_ended_is_known_or_nothing_is_looked_at(
    pieces: tuple[bytes, ...],
) -> None:
    """Else frames would be looked for where none begins."""
    rest, seen, handed = looked_at(*pieces)

    assert rest is None
    assert [] == seen
    assert [*map(len, pieces), 5, 1] == handed


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (("2001:db8:1:2:3:4:5:6", 5, 0, 0), "2001:db8:1:2"),
        (("2001:db8:1:2::6", 5, 0, 0), "2001:db8:1:2"),
        (("2001:db8::6", 5, 0, 0), "2001:db8:0:0"),
        (("::1", 5, 0, 0), "0:0:0:0"),
        (("fe80::1%eth0", 5, 0, 2), "fe80:0:0:0"),
        (("::ffff:192.0.2.1", 5, 0, 0), "::ffff:192.0.2.1"),
    ],
)
def test_an_address_of_ipv6_counts_with_its_network(peer: Any, address: str) -> None:
    """One host has a whole /64 of them."""
    assert address_of(peer) == address
