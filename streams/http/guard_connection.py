"""The connection of one guard: what was sent to it, and what it says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import WSMsgType, web
from attrs import define, field

from streams.http.direct_path import DirectPath, direct_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.http.receipts import Session
    from streams.stages.closure.guard_names import Bearer

UNREAD_SECONDS: Final = 20.0  # for a guard to take a frame; the slowest need less
MAX_FRAME: Final = 64 << 10  # bytes of a frame that a guard sends


class UnreadError(ConnectionError):
    """A guard does not read what it is sent."""


@define(eq=False)
class Connection:
    """One guard; it was sent all facts below its position.

    Attributes:
        end: cuts it.
        holder: of the credential.
        moved: when its position did last (s, of the loop).
        session: of a guard that sends receipts.
        relayed: a relay sends it the facts, and says how far.
        path: the direct way to it and back, where there is one.
        ready: it was sent all there was, and its task waits for news.
        due: it is in the queue of those that are written to directly.
    """

    socket: web.WebSocketResponse
    guard: str
    end: Callable[[], None]
    holder: str = ""
    position: int = 0
    moved: float = 0.0
    session: Session | None = None
    relayed: bool = False
    path: DirectPath | None = None
    ready: bool = False
    due: bool = False
    news: asyncio.Event = field(factory=asyncio.Event)

    @property
    def direct(self) -> bool:
        """Whether it can be written to without its task, and reads what it is sent."""
        return self.ready and self.path is not None and self.path.free

    def write(self, frames: bytes) -> None:
        """Send frames on the direct way."""
        if self.path is not None:
            self.path.write(frames)

    async def next(self) -> dict[str, Any] | None:
        """Return the next message on the long way, None at the end of the connection.

        Raises:
            ValueError: the frame is no JSON object.
        """
        frame = await self.socket.receive()
        if frame.type is not WSMsgType.TEXT:
            return None
        message = orjson.loads(frame.data)
        if not isinstance(message, dict):
            raise ValueError("a message is an object")  # noqa: TRY004 - of the peer
        return message

    def handled(self) -> None:
        """Note that the message of `next` was taken; what follows may overtake none."""
        if self.path is not None:
            self.path.handled()

    async def close(self, code: int, message: bytes = b"") -> None:
        """Say why it ends, and wait for the guard's farewell."""
        if self.path is not None:
            self.path.answer = None
        await self.socket.close(code=code, message=message)

    async def send(self, data: str | bytes) -> None:
        """Send a frame; who does not read costs no more than that one.

        Raises:
            UnreadError: it was not taken in time; the connection is cut.
            ConnectionError: the connection ended.
        """
        socket = self.socket
        sent = socket.send_str if isinstance(data, str) else socket.send_bytes
        try:
            async with asyncio.timeout(UNREAD_SECONDS):
                await sent(data)  # type: ignore[arg-type]
        except TimeoutError as error:
            self.end()
            raise UnreadError(f"nothing read for {UNREAD_SECONDS:.0f} s") from error


async def send(connection: Connection, message: dict[str, Any]) -> None:
    """Send a message.

    Raises:
        UnreadError: it was not taken in time; the connection is cut.
        ConnectionError: the connection ended.
    """
    await connection.send(orjson.dumps(message).decode())


async def connected(request: web.Request, bearer: Bearer) -> Connection:
    """Open the WebSocket that a guard asks for."""
    socket = web.WebSocketResponse(
        compress=False, max_msg_size=MAX_FRAME, heartbeat=None
    )
    await socket.prepare(request)

    def end() -> None:
        if request.transport is not None:
            request.transport.abort()

    connection = Connection(socket, bearer.name, end, bearer.name)
    connection.path = direct_path(request)
    return connection
