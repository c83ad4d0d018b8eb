"""The event loop of what may take long: registry, sentinel, posture, alerts, questions.

It turns in a thread of its own. The main loop accepts, feeds guards and proves their
leases, and never waits for this one; what it needs of the table it asks for here. So
the table is only ever touched by one thread. See docs/adr/0055-the-lease-path.md.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

P = ParamSpec("P")
T = TypeVar("T")

# Seconds after which a thread that computes lets another one go on. The main loop asks
# for its turn after each call of the system: with the usual 5 ms a pong takes 20.
SWITCH_SECONDS: Final = 0.0005


class Analysis:
    """An event loop in another thread, and the way to have things done there."""

    def __init__(self, name: str = "analysis") -> None:
        """Make one; the name is that of its thread."""
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the loop; at the end all that runs there is cancelled and waited for."""
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        notify = functools.partial(
            asyncio.get_running_loop().call_soon_threadsafe, started.set_result, None
        )
        thread = threading.Thread(
            target=self._turn, args=(notify,), name=self._name, daemon=True
        )
        before = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_SECONDS)
        thread.start()
        try:
            await started
            yield
        finally:
            if self._loop is not None and self._stop is not None:
                self._loop.call_soon_threadsafe(self._stop.set)
            await asyncio.to_thread(thread.join)
            sys.setswitchinterval(before)

    def _turn(self, notify: Callable[[], Any]) -> None:
        async def until_stopped() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            notify()
            await self._stop.wait()

        asyncio.run(until_stopped())

    async def run(
        self,
        function: Callable[P, Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a coroutine function there, and give what it gives.

        To cancel this is to cancel that.

        Raises:
            RuntimeError: the loop does not run.
        """
        if self._loop is None:
            raise RuntimeError("the loop of the analysis does not run")
        coroutine = function(*args, **kwargs)
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:  # it is closed
            coroutine.close()
            raise
        return await asyncio.wrap_future(future)

    async def call(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a function there, between two steps of whatever runs, in no time."""

        async def called() -> T:
            return function(*args, **kwargs)

        return await self.run(called)
