"""What stands beside a server in the tests of its console, in a thread of its own.

Guards that follow it, an issuer that obeys and answers its probes, and a door in front
of its API that can be made slow, broken or shut.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import aiohttp
from aiohttp import web
from attrs import define, field
from standardwebhooks import Webhook

from enforcement import Guard, Mode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from contextlib import AbstractAsyncContextManager

T = TypeVar("T")

KEY: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECONDS: Final = 60.0
_OF_A_HOP: Final = frozenset({"connection", "host", "keep-alive", "transfer-encoding"})


@define
class Loop:
    """An event loop in a thread; what is held there ends with it, the last first."""

    loop: asyncio.AbstractEventLoop
    _held: list[tuple[asyncio.Event, Future[None]]] = field(factory=list)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something there and give what comes of it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(SECONDS)

    def hold(self, entered: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """Enter a context there, in a task of its own; give what it gives."""
        stop, told = asyncio.Event(), Future[T]()

        async def held() -> None:
            try:
                async with entered() as given:
                    told.set_result(given)
                    await stop.wait()
            except BaseException as error:
                if told.done():
                    raise
                told.set_exception(error)

        self._held.append((stop, asyncio.run_coroutine_threadsafe(held(), self.loop)))
        return told.result(SECONDS)

    def close(self) -> None:
        """End what is held."""
        while self._held:
            stop, ended = self._held.pop()
            self.loop.call_soon_threadsafe(stop.set)
            ended.result(SECONDS)
        # Streams of pages that are open still; `asyncio.run` does the same.
        self.run(_cancelled())


async def _cancelled() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for each in left:
        each.cancel()
    await asyncio.gather(*left, return_exceptions=True)


@contextmanager
def beside() -> Iterator[Loop]:
    """Run an event loop until the context ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    one = Loop(loop)
    try:
        yield one
    finally:
        one.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(SECONDS)
        loop.close()


@asynccontextmanager
async def listening(app: web.Application) -> AsyncIterator[str]:
    """Serve on a free port until the context ends; give the URL."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@define
class Issuer:
    """A system that ends keys, and says whether they are dead; it hears alerts too.

    Attributes:
        holds: what it does not end.
        reason: that it gives for every answer.
    """

    url: str = ""
    dead: set[str] = field(factory=set)
    holds: set[str] = field(factory=set)
    reason: str = ""

    async def end(self, request: web.Request) -> web.Response:
        """End what the order names."""
        body = Webhook(KEY).verify(await request.read(), dict(request.headers))
        if (name := body["data"]["identifier"]) not in self.holds:
            self.dead.add(name)
        return web.Response(status=202)

    async def state(self, request: web.Request) -> web.Response:
        """Say whether it is dead."""
        body = Webhook(KEY).verify(await request.read(), dict(request.headers))
        name = body["data"]["identifier"]
        return web.json_response({
            "id": request.headers["webhook-id"], "identifier": name,
            "state": "dead" if name in self.dead else "alive", "reason": self.reason,
        })  # fmt: skip

    async def hear(self, request: web.Request) -> web.Response:
        """Take an alert, or refuse it."""
        name = request.match_info["name"]
        return web.Response(status=204 if name == "soc" else 503)

    @property
    def app(self) -> web.Application:
        """Its handlers."""
        app = web.Application()
        app.router.add_post("/{name:soc|pager}", self.hear)
        app.router.add_post("/end", self.end)
        app.router.add_post("/state", self.state)
        return app


@define
class Door:
    """A way to an API that passes every request on, unless it is told otherwise.

    Attributes:
        status: what is answered in place of the API; 0 asks it.
        held: each request waits until it is not.
        shut: connections are closed without an answer.
        asked: methods and paths.
    """

    behind: str
    url: str = ""
    status: int = 0
    held: bool = False
    shut: bool = False
    asked: list[str] = field(factory=list)

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """Answer as told, else as the API does."""
        self.asked.append(f"{request.method} {request.path_qs}")
        while self.held:  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.01)
        if self.shut:
            if request.transport is not None:
                request.transport.abort()
            raise web.HTTPBadGateway
        if self.status:
            return web.Response(status=self.status, text="<b>broken</b>")
        sent = {k: v for k, v in request.headers.items() if k.lower() not in _OF_A_HOP}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method, self.behind + request.raw_path,
                headers=sent, data=await request.read(), allow_redirects=False,
            ) as got,
        ):  # fmt: skip
            told = {k: v for k, v in got.headers.items() if k.lower() not in _OF_A_HOP}
            told.pop("Content-Length", None)
            return web.Response(status=got.status, headers=told, body=await got.read())

    @property
    def app(self) -> web.Application:
        """Its handlers."""
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self.pass_on)
        return app

    @contextmanager
    def fault(self, **how: Any) -> Iterator[None]:
        """Be slow, broken or shut until the context ends."""
        was = {name: getattr(self, name) for name in how}
        for name, value in how.items():
            setattr(self, name, value)
        try:
            yield
        finally:
            for name, value in was.items():
                setattr(self, name, value)


@asynccontextmanager
async def guarding(url: str, name: str, mode: str) -> AsyncIterator[Guard]:
    """Run a guard until the context ends; it holds a lease."""
    async with Guard(url, "guard", name=name, mode=Mode(mode)) as guard:
        assert await guard.ready(SECONDS, required=False)
        yield guard
