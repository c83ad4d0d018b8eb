"""Connections: strangers have a bounded number of places, and known callers their own.

A connection is a stranger's until a request on it shows a good credential. Where all
places of strangers are taken, or too many by one address, the newcomer gets the place
of the one that was quiet longest: so a guard, which proves itself with its first
request, gets in however many others only sit there, and no stranger can push it out.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import hdrs, web
from attrs import define, field

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from streams.settings.limits import ConnectionSettings

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PIECE: Final = 16 << 10  # bytes handed to the parser at once
HEAD_BYTES: Final = 192 << 10  # before a request is whole, its first pieces included
FIRST_SECONDS: Final = 10.0  # until the first request is whole, the handshake included
UNREAD_SECONDS: Final = 30.0  # that an answer may lie unread
SWEEP_SECONDS: Final = 1.0
HEAD_ENDS: Final = b"\r\n\r\n"
LONGEST_REST: Final = 1 << 10  # bytes kept of what came behind a head
OF_CALLER: Final = 256  # places of a credential beside those of strangers
STREAM: Final = "text/event-stream"
OF_GUARD: Final = 4096  # the same of a credential of guards
_TOO_LONG: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)

log = structlog.get_logger()


@define(eq=False)
class ConnectionEntry:
    """One connection.

    Attributes:
        since: when it was accepted (s of the event loop).
        asked: a whole request came.
        busy: requests under way.
        upgraded: it is a WebSocket.
        head: bytes that came while none was.
        unread: how much of answers lay unread at the last look, and since when.
        caller: whose credential it showed.
        last: bytes of the piece before, which a head may end with.
        rest: what came behind the head of a request, where all of that is known.
        look: sees first what comes, and gives what is to be handed on.
    """

    address: str
    since: float
    close: Callable[[], None] = lambda: None
    transport: asyncio.Transport | None = None
    asked: bool = False
    busy: int = 0
    upgraded: bool = False
    head: int = 0
    unread: tuple[int, float] = (0, 0.0)
    caller: str | None = None
    last: bytes = b""
    rest: bytes | None = None
    look: Callable[[bytes], bytes] | None = None


@define
class Connections:
    """All connections of one listener.

    Attributes:
        cut: how many were ended to make room, or since they kept us waiting.
    """

    bounds: ConnectionSettings
    cut: int = 0
    _strangers: dict[ConnectionEntry, None] = field(factory=dict)
    _by_address: dict[str, dict[ConnectionEntry, None]] = field(factory=dict)
    _callers: Counter[str] = field(factory=Counter)
    _open: dict[ConnectionEntry, None] = field(factory=dict)
    _idle: asyncio.Event | None = None
    _by_transport: dict[asyncio.BaseTransport, ConnectionEntry] = field(factory=dict)

    def enter(self, address: str, now: float) -> ConnectionEntry:
        """Take a new connection in; where there is no room, an old one ends."""
        entry = ConnectionEntry(address, now)
        here = self._by_address.get(address, {})
        if len(here) >= self.bounds.of_address:
            self._cut(next(iter(here)))
        elif len(self._strangers) >= self.bounds.strangers:
            self._cut(next(iter(self._strangers)))
        self._open[entry] = None
        self._strangers[entry] = None
        self._by_address.setdefault(address, {})[entry] = None
        return entry

    def opened(self, entry: ConnectionEntry, transport: asyncio.Transport) -> None:
        """Note the transport of a connection."""
        entry.transport, entry.close = transport, transport.abort
        self._by_transport[transport] = entry

    def leave(self, entry: ConnectionEntry) -> None:
        """Forget a connection that ended."""
        self._open.pop(entry, None)
        self._no_stranger(entry)
        if entry.caller is not None:
            self._callers[entry.caller] -= 1
            if not self._callers[entry.caller]:
                del self._callers[entry.caller]
            entry.caller = None
        if entry.transport is not None:
            self._by_transport.pop(entry.transport, None)

    def prove(self, request: web.Request, caller: str, *, guard: bool) -> None:
        """Move a connection to its caller's quota, while there is room in it."""
        transport = request.transport
        entry = None if transport is None else self._by_transport.get(transport)
        if entry is None or entry.caller is not None:
            return
        if self._callers[caller] >= (OF_GUARD if guard else OF_CALLER):
            return
        entry.caller = caller
        self._callers[caller] += 1
        self._no_stranger(entry)

    def first_look(
        self, request: web.Request, look: Callable[[bytes], bytes]
    ) -> bytes | None:
        """Have what comes on a connection looked at first, from now on.

        Returns:
            What came behind the head of the request already; None: that is not known,
            and nothing is looked at.
        """
        transport = request.transport
        entry = None if transport is None else self._by_transport.get(transport)
        if entry is None or entry.rest is None or entry.look is not None:
            return None
        entry.look = look
        return entry.rest

    def sweep(self, now: float) -> None:
        """End the connections that kept us waiting for too long."""
        for entry in [*self._open]:
            late = not entry.asked and now - entry.since > FIRST_SECONDS
            if late or self._unread(entry, now) > UNREAD_SECONDS:
                self._cut(entry)

    async def idle(self, seconds: float) -> None:
        """Wait until no request is under way but on WebSockets, at most so long."""
        self._idle = asyncio.Event()
        if self._answering():
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._idle.wait()

    def _answering(self) -> bool:
        return any(entry.busy and not entry.upgraded for entry in self._open)

    def _unread(self, entry: ConnectionEntry, now: float) -> float:
        """Time for which the same bytes have waited to be read (s)."""
        transport = entry.transport
        size = 0 if transport is None else transport.get_write_buffer_size()
        if not size or size != entry.unread[0]:
            entry.unread = size, now
        return now - entry.unread[1] if size else 0.0

    def _cut(self, entry: ConnectionEntry) -> None:
        self.cut += 1
        self.leave(entry)
        entry.close()

    def _no_stranger(self, entry: ConnectionEntry) -> None:
        self._strangers.pop(entry, None)
        here = self._by_address.get(entry.address)
        if here is not None:
            here.pop(entry, None)
            if not here:
                del self._by_address[entry.address]

    async def watched(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        """Note that a connection asks; who asked last is cut last."""
        transport = request.transport
        entry = None if transport is None else self._by_transport.get(transport)
        if entry is None:
            return await handler(request)
        entry.asked, entry.head = True, 0
        # Nor is a stream of news waited for at the end: it goes on for ever.
        entry.upgraded = hdrs.UPGRADE in request.headers or (
            STREAM in request.headers.get(hdrs.ACCEPT, "")
        )
        entry.busy += 1
        try:
            return await handler(request)
        finally:
            entry.busy -= 1
            if self._idle is not None and not self._answering():
                self._idle.set()
            if entry in self._strangers:
                for places in (self._strangers, self._by_address[entry.address]):
                    del places[entry]
                    places[entry] = None


CONNECTIONS: Final = web.AppKey("connections", Connections)


def prove(request: web.Request, caller: str, *, guard: bool = False) -> None:
    """Note that a request showed a good credential."""
    connections = request.config_dict.get(CONNECTIONS)
    if connections is not None:
        connections.prove(request, caller, guard=guard)


def first_look(request: web.Request, look: Callable[[bytes], bytes]) -> bytes | None:
    """Have what comes on a connection looked at first; see `Connections.first_look`."""
    connections = request.config_dict.get(CONNECTIONS)
    return None if connections is None else connections.first_look(request, look)


class Piecewise(asyncio.BufferedProtocol):
    """Hands what comes to a protocol of aiohttp, in pieces, and within bounds."""

    def __init__(
        self,
        inner: asyncio.Protocol,
        entry: ConnectionEntry,
        connections: Connections,
        buffer: memoryview,
    ) -> None:
        """Stand before a protocol; the buffer is shared by those of one event loop."""
        self._inner = inner
        self._entry = entry
        self._connections = connections
        self._buffer = buffer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport, and go on."""
        self._connections.opened(self._entry, transport)  # type: ignore[arg-type]
        self._inner.connection_made(transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Buffer for one piece."""
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Pass a piece on, unless the head of a request is too long."""
        entry, data = self._entry, bytes(self._buffer[:nbytes])
        if entry.look is not None:
            if data := entry.look(data):
                self._inner.data_received(data)
            return
        if not entry.busy and entry.caller is None:
            entry.head += nbytes
            if entry.head > HEAD_BYTES and entry.transport is not None:
                entry.transport.write(_TOO_LONG)
                entry.transport.close()
                return
        # Of several ends only who reads the requests knows which it is.
        _, end, rest = (entry.last + data).partition(HEAD_ENDS)
        is_known = end and HEAD_ENDS not in rest and len(rest) <= LONGEST_REST
        entry.rest, entry.last = (rest if is_known else None), data[-3:]
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass the end on."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """Pass on that the peer does not read."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that it reads again."""
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._connections.leave(self._entry)
        self._inner.connection_lost(exc)


def address_of(peer: socket._RetAddress) -> str:
    """Address that a connection counts for; of IPv6 its /64."""
    host = str(peer[0]) if isinstance(peer, tuple) and peer else ""
    if ":" not in host or "." in host:
        return host
    parts = host.partition("%")[0].split("::")
    front = [part for part in parts[0].split(":") if part]
    return ":".join([*front, *["0"] * 4][:4]) if len(parts) > 1 else ":".join(front[:4])
