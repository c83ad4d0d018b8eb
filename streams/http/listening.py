"""Listening: sockets are accepted one by one, and counted before anything is read."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiohttp import web
from attrs import define, field

from streams.http.connections import (
    CONNECTIONS,
    FIRST_SECONDS,
    PIECE,
    SWEEP_SECONDS,
    ConnectionEntry,
    Connections,
    Piecewise,
    address_of,
)
from streams.settings.limits import ConnectionSettings

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine

    from streams.http.connections import Handler

BACKLOG: Final = 1024
ANSWER_SECONDS: Final = 1.0  # for what is under way at the end
EXHAUSTED_SECONDS: Final = 0.5  # when there are no file descriptors left

log = structlog.get_logger()


@define(eq=False)
class Listening:
    """A listening server; `drain` and `cleanup` end it.

    Attributes:
        connections: all of them.
        address: the first that is bound: host and port.
    """

    _runner: web.AppRunner
    connections: Connections
    _tls: ssl.SSLContext | None
    address: tuple[str, int] = field(default=("", 0), init=False)
    _sockets: list[socket.socket] = field(factory=list, init=False)
    _tasks: set[asyncio.Task[None]] = field(factory=set, init=False)
    _buffer: memoryview = field(
        factory=lambda: memoryview(bytearray(PIECE)), init=False
    )

    async def start(self, host: str, port: int) -> None:
        """Bind every address of a host, and accept.

        Raises:
            OSError: an address cannot be bound.
        """
        loop = asyncio.get_running_loop()
        kind, passive = socket.SOCK_STREAM, socket.AI_PASSIVE
        try:
            found = await loop.getaddrinfo(host or None, port, type=kind, flags=passive)
        except socket.gaierror as error:
            text = f"cannot listen at {host}: no address is known of it"
            raise OSError(error.errno, text) from error
        for family, _, _, _, where in dict.fromkeys(found):
            bound = _bound(family, where)
            self._sockets.append(bound)
        self.address = self._sockets[0].getsockname()[:2]
        for each in self._sockets:
            self._begin(self._accept(each))
        self._begin(self._sweep())

    async def drain(self) -> None:
        """Accept no more, and let requests that are under way have their answers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # The loop waits for them no more: another connection may get their numbers.
        for each in self._sockets:
            each.close()
        await self.connections.idle(ANSWER_SECONDS)

    async def cleanup(self) -> None:
        """Accept no more, and end what is still open."""
        await self.drain()
        await self._runner.cleanup()

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                taken, peer = await loop.sock_accept(listening)
            except OSError as error:
                log.warning("not_accepted", error=error.strerror or str(error))
                await asyncio.sleep(EXHAUSTED_SECONDS)
                continue
            entry = self.connections.enter(address_of(peer), loop.time())
            if self._tls is None:
                await self._serve(taken, entry)
            else:
                self._begin(self._serve(taken, entry))

    async def _serve(self, taken: socket.socket, entry: ConnectionEntry) -> None:
        loop = asyncio.get_running_loop()
        entry.close = _ending(taken)
        server: Callable[[], asyncio.Protocol] | None = self._runner.server
        if server is None:
            taken.close()
            return
        with suppress(OSError):
            taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        protocol = Piecewise(server(), entry, self.connections, self._buffer)
        try:
            await loop.connect_accepted_socket(
                lambda: protocol,
                taken,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else FIRST_SECONDS,
            )
        except (OSError, ValueError):  # the peer left, or speaks no TLS
            self.connections.leave(entry)
            taken.close()

    async def _sweep(self) -> None:
        loop, told = asyncio.get_running_loop(), 0
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.connections.sweep(loop.time())
            if self.connections.cut != told:
                count, told = self.connections.cut - told, self.connections.cut
                log.warning("connections_cut", count=count)


def _bound(family: int, where: tuple[Any, ...]) -> socket.socket:
    """Return the listening socket that never blocks.

    Raises:
        OSError: the address cannot be bound; it says which and why.
    """
    try:
        bound = socket.create_server(where, family=family, backlog=BACKLOG)
    except OSError as error:
        why = os.strerror(error.errno or 0).lower()
        text = f"cannot listen at {where[0]}, port {where[1]}: {why}"
        raise OSError(error.errno, text) from error
    bound.settimeout(0)
    return bound


def _ending(taken: socket.socket) -> Callable[[], None]:
    """Return a function that ends a connection without a transport."""

    def end() -> None:
        with suppress(OSError):
            taken.shutdown(socket.SHUT_RDWR)

    return end


def connections_of(app: web.Application, bounds: ConnectionSettings) -> Connections:
    """Put an application behind a register of its connections.

    Strangers get at most half of the files that the process may open.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    strangers = bounds.strangers
    if files != resource.RLIM_INFINITY and strangers > files // 2:
        strangers = max(1, files // 2)
        log.warning("few_files", strangers=strangers, open_files=files)
    of_address = min(bounds.of_address, strangers)
    held = ConnectionSettings(strangers=strangers, of_address=of_address)
    connections = Connections(held)
    app[CONNECTIONS] = connections

    @web.middleware
    async def watched(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await connections.watched(request, handler)

    app.middlewares.insert(0, watched)
    return connections
