"""The middlewares at their edges: what servers and applications rarely do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from attrs import define, field

from enforcement.aiohttp import AllowedRequest, protect
from enforcement.asgi import GuardMiddleware
from tests.unit.test_sessions import (
    CHILD,
    FAMILY,
    ROOT,
    World,
    cause,
    settled,
    until,
    watching,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.unit

WEBSOCKET = {"type": "websocket", "extensions": {}}


@define
class Server:
    """A server's side of one connection.

    Attributes:
        sent: what the application sent.
        stuck: takes nothing more.
    """

    sent: list[Any] = field(factory=list)
    stuck: bool = False

    async def receive(self) -> Any:
        """Give the connect, and then what a client says."""
        await asyncio.sleep(0)
        return {"type": "websocket.connect"}

    async def send(self, message: Any) -> None:
        """Take a message."""
        if self.stuck:
            await asyncio.Event().wait()
        self.sent.append(message)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Give a guard with a lease whose sessions are watched."""
    made = World()
    made.fill(*FAMILY)
    async with watching(made):
        yield made


async def serve(
    world: World, app: Callable[..., Any], server: Server, scope: Any = WEBSOCKET
) -> None:
    """Serve one connection that presents the child."""
    middleware = GuardMiddleware(app, world.guard, lambda _: "vault.accessor:child")
    await middleware(scope, server.receive, server.send)


async def accept(world: World, send: Any) -> None:
    """Accept a WebSocket whose credential is revoked the next moment."""
    await send({"type": "websocket.accept"})
    world.say(cause(ROOT))


def test_a_guard_that_may_not_watch_is_refused_at_the_start() -> None:
    """Not with the first stream, in production."""
    guard = World().guard
    guard.live_sessions = False
    with pytest.raises(ValueError, match="live_sessions=True"):
        protect(web.Application(), guard, lambda _: None)

    async def app(*_: Any) -> None:
        pytest.fail("it must not be asked")

    with pytest.raises(ValueError, match="live_sessions=True"):
        GuardMiddleware(app, guard, lambda _: None)


async def test_a_websocket_whose_handshake_was_interrupted_is_cut(
    world: World,
) -> None:
    """It cannot be closed, and must not be completed either."""
    task = asyncio.current_task()
    assert task is not None
    request = make_mocked_request("GET", "/")
    exchange = AllowedRequest(world.guard, request, CHILD, None, None, task, 60.0)
    exchange.watch(web.WebSocketResponse())
    world.say(cause(ROOT))
    with pytest.raises(asyncio.CancelledError):
        await asyncio.Event().wait()
    await exchange.finish(None)

    assert request.transport.abort.called  # type: ignore[union-attr]


async def test_what_is_no_connection_passes(world: World) -> None:
    """The lifespan of the application concerns no credential."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["type"], receive, send))

    server = Server()
    await serve(world, app, server, {"type": "lifespan"})

    assert seen == [("lifespan", server.receive, server.send)]


async def test_a_websocket_is_refused_where_the_server_knows_no_answers(
    world: World,
) -> None:
    """Without the extension a close before the acceptance is all there is."""
    world.say(cause(ROOT))
    server = Server()

    async def app(*_: Any) -> None:
        pytest.fail("it must not be asked")

    await serve(world, app, server)

    assert server.sent == [{"type": "websocket.close", "code": 1008}]


async def test_an_application_that_swallows_its_end_hears_of_a_disconnect(
    world: World,
) -> None:
    """And can send nothing more."""
    heard: list[Any] = []

    async def app(_: Any, receive: Any, send: Any) -> None:
        await accept(world, send)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.append(await receive())
        await send({"type": "websocket.send", "text": "too late"})

    server = Server()
    await serve(world, app, server)

    assert heard == [{"type": "websocket.disconnect", "code": 1008}]
    assert server.sent == [
        {"type": "websocket.accept"},
        {"type": "websocket.close", "code": 1008, "reason": "revoked"},
    ]


async def test_a_stream_that_is_ended_stays_incomplete(world: World) -> None:
    """Its application is told of a disconnect; the server cuts the rest."""
    heard: list[Any] = []

    async def app(_: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        world.say(cause(ROOT))
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.append(await receive())

    server = Server()
    await serve(world, app, server, {"type": "http"})

    assert heard == [{"type": "http.disconnect"}]
    assert server.sent == [{"type": "http.response.start", "status": 200}]


@pytest.mark.parametrize(
    "error",
    [
        ExceptionGroup("", [ConnectionResetError()]),
        BaseExceptionGroup("", [asyncio.CancelledError(), ConnectionAbortedError()]),
    ],
)
async def test_an_end_in_any_shape_is_an_end(
    world: World, error: BaseException
) -> None:
    """Task groups wrap it."""

    async def app(_: Any, receive: Any, send: Any) -> None:
        await accept(world, send)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise error from None

    server = Server()
    await serve(world, app, server)

    assert server.sent[-1]["code"] == 1008


@pytest.mark.parametrize(
    "error", [ValueError("bug"), ExceptionGroup("", [ValueError("bug")])]
)
async def test_a_bug_is_not_swallowed(world: World, error: Exception) -> None:
    """It goes to the server's log, after the goodbye."""

    async def app(_: Any, receive: Any, send: Any) -> None:
        await accept(world, send)
        try:
            await asyncio.Event().wait()
        finally:
            raise error

    server = Server()
    with pytest.raises(type(error)):
        await serve(world, app, server)

    assert server.sent[-1]["code"] == 1008


async def test_another_cancellation_is_heeded(world: World) -> None:
    """A server that shuts down cancels as well, perhaps at the same moment."""

    async def app(_: Any, receive: Any, send: Any) -> None:
        await accept(world, send)
        task = asyncio.current_task()
        assert task is not None
        try:
            await asyncio.Event().wait()
        finally:
            task.cancel()

    with pytest.raises(asyncio.CancelledError):
        async with asyncio.TaskGroup() as tasks:
            await tasks.create_task(serve(world, app, Server()))


async def test_a_client_that_does_not_read_holds_nothing_up(world: World) -> None:
    """Its goodbye waits for a part of a lease at most."""
    server = Server()

    async def app(_: Any, receive: Any, send: Any) -> None:
        await accept(world, send)
        server.stuck = True
        await asyncio.Event().wait()

    await serve(world, app, server)

    assert server.sent == [{"type": "websocket.accept"}]


async def test_a_websocket_that_was_closed_is_not_closed_again(world: World) -> None:
    """The application was faster, and still tidies up when its credential dies."""

    async def app(_: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})
        world.say(cause(ROOT))
        await asyncio.Event().wait()

    server = Server()
    await serve(world, app, server)

    assert [message.get("code") for message in server.sent] == [None, 1000]


async def test_a_connection_that_ends_is_watched_no_longer(world: World) -> None:
    """Whether it ends well or with an error."""

    async def app(_: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        raise ValueError("bug")

    with pytest.raises(ValueError, match="bug"):
        await serve(world, app, Server())
    await settled(world)
    await until(lambda: len(world.guard.sessions) == 0)
