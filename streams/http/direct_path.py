"""The direct way to a guard and back: its connection without a task and without a wait.

A ping is answered in the turn of the event loop in which it came, and facts are written
to all guards in one turn: nobody's task is woken and no timer is set. That is possible
while a guard reads what it is sent. Where it does not, or says something out of the
ordinary, the long way does the same: the WebSocket of aiohttp, and the guard's task,
which waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.http.connections import first_look
from streams.http.text_frames import ClientFrames

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from aiohttp import web


BURST: Final = 64  # messages of one piece that are answered at once


class DirectPath:
    """One connection.

    Attributes:
        answer: gives the frames that answer a text, or None where the long way has to
            take it; without one everything goes the long way.
    """

    answer: Callable[[bytes], bytes | None] | None = None

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        """Stand beside a WebSocket that nothing was read of yet."""
        self._transport = transport
        self._frames = ClientFrames()
        self._waiting = 0

    @property
    def free(self) -> bool:
        """Whether the guard has read everything that it was sent."""
        transport = self._transport
        return not transport.is_closing() and not transport.get_write_buffer_size()

    def write(self, frames: bytes) -> None:
        """Send frames; what the guard does not read at once is kept for it."""
        if not self._transport.is_closing():
            self._transport.write(frames)

    def handled(self) -> None:
        """Note that a message was taken that went the long way."""
        self._waiting -= 1

    def passed(self, data: bytes) -> None:
        """Note what the long way has already, also of a frame that is not whole."""
        self.take(data)
        self._frames.hand_on()

    def take(self, data: bytes) -> bytes:
        """Answer what can be answered at once; give what has to go the long way.

        Messages keep their order: behind one on the long way all go there.
        """
        passed: list[bytes] = []
        answers: list[bytes] = []
        for part in self._frames.parts(data):
            direct = not self._waiting and len(answers) < BURST
            answered = self._answered(part.text) if direct else None
            if answered is None:
                self._waiting += part.ends
                passed.append(part.raw)
            else:
                answers.append(answered)
        if frames := b"".join(answers):
            self.write(frames)
        return b"".join(passed)

    def _answered(self, text: bytes | None) -> bytes | None:
        return None if text is None or self.answer is None else self.answer(text)


def direct_path(request: web.Request) -> DirectPath | None:
    """Direct way beside the WebSocket that a request has opened just now.

    None: there is none, since it is not known what came behind the request.
    """
    transport = request.transport
    if transport is None:
        return None
    path = DirectPath(transport)
    rest = first_look(request, path.take)
    if rest is None:
        return None
    path.passed(rest)
    return path
