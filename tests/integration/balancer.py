"""A balancer between a guard and its server, whose backend dies and is replaced.

What it carried for a backend that died stays open and silent: neither end is told, as
behind a NAT that forgot a connection, or a host that is gone. New connections go where
it sends them then.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from typing import TYPE_CHECKING, Self

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHUNK = 1 << 16


class Backend(Enum):
    """What a new connection meets.

    Attributes:
        LIVES: the server.
        SILENT: a host that takes it and never answers.
        REFUSES: one that ends it at once.
    """

    LIVES = auto()
    SILENT = auto()
    REFUSES = auto()


@define(eq=False)
class Balancer:
    """A TCP balancer in this process.

    Attributes:
        server: port of the server.
        backend: of new connections.
        port: where it listens on loopback.
        stranded: connections whose backend died.
    """

    server: int
    backend: Backend = Backend.LIVES
    port: int = 0
    stranded: int = 0
    _carried: set[asyncio.Task[None]] = field(factory=set)
    _writers: list[asyncio.StreamWriter] = field(factory=list)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Self]:
        """Listen until the context ends."""
        listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = listener.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            listener.close()
            self.strand()
            self.reset()
            await listener.wait_closed()

    def strand(self) -> None:
        """Let what stands fall silent, whatever new connections meet."""
        self.stranded += len(self._carried)
        for task in self._carried:
            task.cancel()

    def reset(self) -> None:
        """End what stands at the guard's end, as a balancer does that noticed."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self.backend is Backend.REFUSES:
            writer.transport.abort()
            return
        self._writers.append(writer)
        if self.backend is Backend.SILENT:
            self.stranded += 1
            return  # it stays open, and nobody reads it
        there, back = await asyncio.open_connection("127.0.0.1", self.server)
        self._writers.append(back)
        both = asyncio.create_task(_carry(reader, writer, there, back))
        self._carried.add(both)
        with suppress(asyncio.CancelledError):
            await asyncio.wait({both})
        self._carried.discard(both)


async def _carry(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    there: asyncio.StreamReader,
    back: asyncio.StreamWriter,
) -> None:
    """Carry both ways until one ends; cancelled, both ends stay open and silent."""

    async def way(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while chunk := await source.read(CHUNK):
            sink.write(chunk)
            await sink.drain()

    ways = {
        asyncio.create_task(way(reader, back)),
        asyncio.create_task(way(there, writer)),
    }
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        for each in ways:
            each.cancel()
        raise
    for each in ways:
        each.cancel()
    writer.transport.abort()
    back.transport.abort()
