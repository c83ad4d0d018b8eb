"""How a guard reaches its server, also beside a connection that fell silent.

An attempt at an address whose host is gone is never answered, and the next one may
reach the new host; TLS with a busy server takes seconds. So an attempt is given up soon
for another, and one that is patient stands beside those that follow.

A connection can die without a word (NAT, a fail-over) while new ones work. Where
two pings in a row bring nothing, another connection is made beside it, and whichever
answers first is used.
"""

from __future__ import annotations

import asyncio
import functools
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import aiohttp
from attrs import define

from enforcement.replica import FeedBrokenError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeAlias

    Socket: TypeAlias = aiohttp.ClientWebSocketResponse
    Connect: TypeAlias = Callable[[], Awaitable[Socket]]

MAX_FRAME: Final = 16 << 20  # bytes; a chunk of a snapshot is far smaller
QUICK: Final = (0.5, 1.0)  # seconds of the first attempt, and of each that follows
PATIENT: Final = 10.0  # seconds of the attempt beside these
LOOKS: Final = 2  # in the time between two pings
MISSED: Final = 2  # pings in a row that bring nothing


def connecting(session: aiohttp.ClientSession, url: str) -> Connect:
    """Return what makes a connection to a server's feed."""
    closing = aiohttp.ClientWSTimeout(ws_close=0.5)
    return functools.partial(
        session.ws_connect, url, timeout=closing, max_msg_size=MAX_FRAME
    )


async def reach(connect: Connect) -> Socket:
    """Return the connection of the first attempt that is answered.

    Raises:
        TimeoutError: none was for as long as the patient one may take.
        aiohttp.ClientError, OSError: one failed otherwise.
    """
    first, later = QUICK
    with suppress(TimeoutError):
        return await _within(first, connect)
    ends: asyncio.Queue[tuple[float, Socket | Exception]] = asyncio.Queue()

    async def attempt(seconds: float) -> None:
        try:
            ends.put_nowait((seconds, await _within(seconds, connect)))
        except (aiohttp.ClientError, OSError) as error:
            ends.put_nowait((seconds, error))

    end: Socket | Exception | None = None
    try:
        async with asyncio.TaskGroup() as group:
            patient = group.create_task(attempt(PATIENT))
            while True:
                quick = group.create_task(attempt(later))
                seconds, end = await ends.get()
                if not (seconds == later and isinstance(end, TimeoutError)):
                    break
            patient.cancel()
            quick.cancel()
    except asyncio.CancelledError:
        await _close(end)
        raise
    finally:
        while not ends.empty():
            await _close(ends.get_nowait()[1])
    if isinstance(end, Exception):
        raise end
    return end


async def _close(end: Socket | Exception | None) -> None:
    if end is not None and not isinstance(end, Exception):
        await end.close()


async def _within(seconds: float, connect: Connect) -> Socket:
    async with asyncio.timeout(seconds):
        return await connect()


@define(eq=False)
class SecondPath:
    """Looks whether a connection is silent, and makes another beside it.

    Attributes:
        waits: a frame of the connection is waited for; nothing else holds its reader.
        found: a connection that answered first; nobody uses it yet.
    """

    waits: bool = False
    found: Socket | None = None
    _spoke: bool = False
    _looks: int = 0

    def heard(self) -> None:
        """Note a frame."""
        self.waits = False
        self._spoke = True
        self._looks = 0

    async def watch(
        self, connect: Connect, interval: float, jitter: Callable[[], float]
    ) -> None:
        """Look on until cancelled.

        Looks are counted instead of time: a loop that was held for seconds has frames
        that it did not read yet. None counts before the first frame: a server may take
        a while to register a guard and to make its table.

        Args:
            connect: makes another.
            interval: seconds between two pings.
            jitter: gives a random number in [0, 1); where a server hangs, all its
                guards find it silent at once.

        Raises:
            FeedBrokenError: the connection is silent, and another is `found`.
        """
        while True:
            await asyncio.sleep(interval / LOOKS)
            self._looks = self._looks + 1 if self.waits and self._spoke else 0
            if self._looks > LOOKS * MISSED:
                await asyncio.sleep(jitter() * interval)
                await self._look_elsewhere(connect)

    async def _look_elsewhere(self, connect: Connect) -> None:
        try:
            socket = await reach(connect)
        except (aiohttp.ClientError, OSError):
            self._looks = 0  # as many again before the next attempt
            return
        if self._looks:
            self.found = socket
            raise FeedBrokenError("silent, and another connection is answered")
        await socket.close()

    async def take(self, connect: Connect) -> Socket:
        """Return the connection that was found, or else a new one.

        Raises:
            TimeoutError: see `reach`.
            aiohttp.ClientError, OSError: see `reach`.
        """
        found, self.found = self.found, None
        self.waits, self._spoke, self._looks = False, False, 0
        if found is not None and not found.closed:
            return found
        return await reach(connect)

    async def drop(self) -> None:
        """End a connection that was found and will not be used."""
        if self.found is not None:
            await self.found.close()
