"""A line between a guard and what feeds it, that a test cuts and slows down.

A cut lets nothing more in, in the ways that are cut. What is in already arrives, and
what was held goes on when the line is whole again: so does TCP over a network that
loses packets. Nobody is told of a cut; `drop` ends the connections as well.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, Self

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

CHUNK: Final = 1 << 16
END: Final = b""


@define(eq=False)
class Way:
    """One direction of the line.

    Attributes:
        open: set while it lets bytes in.
        delay: seconds that bytes take.
    """

    open: asyncio.Event = field(factory=asyncio.Event)
    delay: float = 0.0

    def __attrs_post_init__(self) -> None:
        """Begin whole."""
        self.open.set()


@define
class _Pair:
    """Both ways of one connection."""

    slow: bool = False


@define(eq=False)
class CutProxy:
    """A TCP proxy in this process.

    Attributes:
        up: from the guard.
        down: to the guard.
        port: where it listens on loopback.
        slow: says yes to bytes that came up: their connection is delayed from then on.
    """

    port_of_server: int
    up: Way = field(factory=Way)
    down: Way = field(factory=Way)
    port: int = 0
    slow: Callable[[bytes], bool] = lambda _: True
    _refuses: bool = False
    _writers: set[asyncio.StreamWriter] = field(factory=set)

    @contextlib.asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[Self]:
        """Listen until the context ends."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self._abort()
            self.up.open.set()
            self.down.open.set()
            await server.wait_closed()

    def cut(self, *ways: Way) -> None:
        """Let nothing more in; both ways where none is named."""
        for way in ways or (self.up, self.down):
            way.open.clear()

    def drop(self) -> None:
        """End every connection and take no new one."""
        self._refuses = True
        self._abort()

    def heal(self) -> None:
        """Be whole, and fast."""
        self._refuses = False
        self.slow = lambda _: True
        for way in (self.up, self.down):
            way.delay = 0.0
            way.open.set()

    def _abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self.port_of_server)
        self._writers |= {writer, back}
        pair = _Pair()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._carry(reader, back, self.up, pair))
                tasks.create_task(self._carry(there, writer, self.down, pair))
        except* (OSError, asyncio.CancelledError):
            pass  # an end of the connection went away
        finally:
            self._writers -= {writer, back}
            writer.transport.abort()
            back.transport.abort()

    async def _carry(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        way: Way,
        pair: _Pair,
    ) -> None:
        """Take bytes in while the way is open, and let each out when it is due."""
        loop = asyncio.get_running_loop()
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def take_in() -> None:
            while True:
                chunk = await source.read(CHUNK)
                await way.open.wait()
                if way is self.up:
                    pair.slow = pair.slow or self.slow(chunk)
                line.put_nowait((loop.time() + way.delay * pair.slow, chunk))
                if chunk == END:
                    return

        async with asyncio.TaskGroup() as both:
            both.create_task(take_in())
            while True:
                due, chunk = await line.get()
                await asyncio.sleep(due - loop.time())
                if chunk == END:
                    sink.write_eof()
                    return
                sink.write(chunk)
                await sink.drain()
