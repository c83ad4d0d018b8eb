"""Run a Faust app inside a loop that is already there, and host loops of ours in it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from mode import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from faust import App


class Engine(Service):
    """A loop of ours as a service: it starts, stops and breaks with its app."""

    def __init__(
        self,
        start: Callable[[Callable[[Any], None]], Coroutine[Any, Any, None]],
        stop: asyncio.Event,
        **kwargs: Any,
    ) -> None:
        """Set up.

        Args:
            start: makes the loop, given what it calls once it works.
            stop: ends it; and it is set when the loop ends.
            kwargs: of `mode.Service`.
        """
        super().__init__(**kwargs)
        self._start = start
        self._stop = stop
        self._loop_of_ours: asyncio.Future[None] | None = None

    async def on_start(self) -> None:
        """Start the loop; what it raises before it works is raised here."""
        works: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._loop_of_ours = self.add_future(self._run(works))
        await works

    async def _run(self, works: asyncio.Future[None]) -> None:
        def told(_: Any) -> None:
            if not works.done():
                works.set_result(None)

        try:
            await self._start(told)
        # The boundary to Faust, which logs a crash and never raises it.
        except BaseException as error:
            if works.done():
                raise
            works.set_exception(error)
        finally:
            self._stop.set()
        told(None)

    async def on_stop(self) -> None:
        """Let the loop end by itself: it commits what is done."""
        self._stop.set()
        if self._loop_of_ours is not None:
            await asyncio.wait([self._loop_of_ours])


async def run_app(
    app: App,
    stop: asyncio.Event,
    *,
    started: Callable[[], None] | None = None,
    crashed: Callable[[BaseException], None] | None = None,
) -> None:
    """Run an app until it is told to stop, or breaks.

    Args:
        app: not yet started.
        stop: ends it.
        started: called once all its services work.
        crashed: called at once when it breaks, before anything is cleaned up.

    Raises:
        BaseException: why a service broke.
    """
    app.finalize()
    try:
        await app.start()
        if started is not None and not app.crashed:
            started()
        async with asyncio.TaskGroup() as tasks:
            ends = [
                tasks.create_task(stop.wait()),
                tasks.create_task(app.wait_until_stopped()),
            ]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if app.crashed and crashed is not None:
                crashed(app.crash_reason or RuntimeError("the app crashed"))
            for each in ends:
                each.cancel()
    finally:
        await app.stop()
    if app.crash_reason is not None:
        raise app.crash_reason
