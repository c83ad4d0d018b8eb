"""What coroutines of one event loop wait for and another thread brings about."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def call_in(loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
    """Call a function in an event loop: now where that is this one, else soon.

    Where that loop is closed nobody waits for it any more.
    """
    try:
        here = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    if here is loop:
        function()
    else:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(function)


def end_in_its_loop(future: asyncio.Future[None]) -> None:
    """End a future of any event loop unless somebody did."""
    call_in(future.get_loop(), _Done(future))


class Bell(asyncio.Event):
    """An event of the event loop that made it, which any thread may set.

    Whoever waits clears it before looking whether there is work.
    """

    def __init__(self) -> None:
        super().__init__()
        self._mine = asyncio.get_running_loop()
        self._rung = False

    def set(self) -> None:
        """Wake who waits; the work is there by now."""
        if not self._rung:
            self._rung = True
            call_in(self._mine, super().set)

    def clear(self) -> None:
        """Wait for the next time."""
        self._rung = False
        super().clear()


class Watermark:
    """A number that one thread raises; coroutines of any event loop wait for it.

    Attributes:
        value: how far it is.
    """

    def __init__(self) -> None:
        self.value = 0
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def raise_to(self, value: int) -> None:
        """Set it, and wake who waited for that."""
        with self._lock:
            self.value = value
            due = [future for at, future in self._waiting if at <= value]
            if due:
                self._waiting = [each for each in self._waiting if each[0] > value]
        for future in due:
            end_in_its_loop(future)

    async def reached(self, value: int) -> None:
        """Wait until it is there."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._lock:
            if self.value >= value:
                return
            self._waiting.append((value, future))
        try:
            await future
        finally:
            if future.cancelled():
                with self._lock:
                    self._waiting = [e for e in self._waiting if e[1] is not future]


class Latch:
    """Set once, for coroutines of any event loop."""

    def __init__(self) -> None:
        self._mark = Watermark()

    def set(self) -> None:
        """Let all pass from now on."""
        self._mark.raise_to(1)

    def is_set(self) -> bool:
        """Whether the latch is set."""
        return self._mark.value > 0

    async def wait(self) -> None:
        """Wait until it is."""
        await self._mark.reached(1)


class _Done:
    """Ends a future unless somebody did."""

    def __init__(self, future: asyncio.Future[None]) -> None:
        self._future = future

    def __call__(self) -> None:
        if not self._future.done():
            self._future.set_result(None)
