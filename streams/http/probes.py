"""What orchestrators ask: is it live, is it ready, has it started."""

from __future__ import annotations

import asyncio
import http
from typing import TYPE_CHECKING

from aiohttp import web
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Missing = Callable[[float], Sequence[str]]


@define(eq=False)
class Probes:
    """Handlers of ``/healthz``; open, they name parts of the process and nothing else.

    Live is for restarts: it stays true while Kafka is away, where a new process would
    be no better off. Ready is for traffic. Startup is ready once, and then for good; a
    wrong clock is no part of it, since a restart mends none.

    Attributes:
        still: names what stands still, by the event loop's time.
        waiting: names what it waits for before it can serve.
        wrong: says what is wrong with its clock.
        notes: what else there is to say of its state, a line each; no reason not to
            be ready.
    """

    _still: Missing
    _waiting: Missing
    _wrong: Callable[[], Sequence[str]] = tuple
    _notes: Callable[[], Sequence[str]] = tuple
    _started: bool = field(default=False, init=False)

    def add_to(self, app: web.Application) -> None:
        """Put the handlers behind their routes."""
        app.router.add_get("/healthz/live", self.live)
        app.router.add_get("/healthz/ready", self.ready)
        app.router.add_get("/healthz/startup", self.startup)

    async def live(self, _: web.Request) -> web.Response:
        """Answer 200 while everything turns and gets on."""
        return _answer("live", self._still(asyncio.get_running_loop().time()))

    async def ready(self, _: web.Request) -> web.Response:
        """Answer 200 while it can serve."""
        missing = self._waiting(asyncio.get_running_loop().time())
        self._started |= not missing
        return _answer("ready", [*missing, *self._wrong()], self._notes())

    async def startup(self, request: web.Request) -> web.Response:
        """Answer 200 from when it was ready for the first time."""
        if not self._started:
            await self.ready(request)
        return _answer("started", () if self._started else ["not ready yet"])


def _answer(
    word: str, missing: Sequence[str], notes: Sequence[str] = ()
) -> web.Response:
    more = "".join(f"{note}\n" for note in notes)
    if not missing:
        return web.Response(text=f"{word}\n{more}")
    status = http.HTTPStatus.SERVICE_UNAVAILABLE
    text = f"not {word}: {', '.join(missing)}\n{more}"
    return web.Response(text=text, status=status)
