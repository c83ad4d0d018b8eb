"""Running streams end with their credential: aiohttp and ASGI, over real sockets."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from enforcement import Guard, Mode
from enforcement.clocks import boottime
from tests.contract.feed_server import CREDENTIAL, ScriptedFeed
from tests.contract.guard_cases import (
    CHILD,
    PARENT,
    SECOND,
    connect,
    node,
    revoke,
    until,
)
from tests.contract.live_apps import on_aiohttp, on_uvicorn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    Serve = Callable[[Guard], AbstractAsyncContextManager[str]]

pytestmark = pytest.mark.contract

CALM_LEASE = 1.5
LONG_LEASE = 4.0  # seconds; a busy machine must not take as long to notice
STREAMS = ("/stream", "/stream?quiet", "/payload", "/payload?quiet")
GONE = (aiohttp.ClientPayloadError, aiohttp.ClientOSError, ConnectionError)


@pytest.fixture(params=[on_aiohttp, on_uvicorn], ids=["aiohttp", "uvicorn"])
def serve(request: pytest.FixtureRequest) -> Serve:
    """Give each way to serve the application."""
    return request.param  # type: ignore[no-any-return]


def guarding(server: ScriptedFeed, lease: float) -> Guard:
    """Give a guard, not yet entered."""
    return Guard(
        server.url,
        CREDENTIAL,
        name="g",
        routes={mode.value: mode for mode in Mode},
        lease=lease,
        live_sessions=True,
    )


@pytest.fixture
async def patient(server: ScriptedFeed) -> AsyncIterator[Guard]:
    """Give a guard with a lease that a busy machine does not use up."""
    async with guarding(server, LONG_LEASE) as guard:
        assert await guard.ready(10)
        yield guard


@pytest.fixture
async def calm(server: ScriptedFeed) -> AsyncIterator[Guard]:
    """Give a guard with a lease that is not lost while the test runs."""
    async with guarding(server, CALM_LEASE) as guard:
        assert await guard.ready(10)
        yield guard


@asynccontextmanager
async def client(url: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Give a client of the application."""
    async with aiohttp.ClientSession(
        url, timeout=aiohttp.ClientTimeout(total=40)
    ) as session:
        yield session


def query(path: str, credential: Any = CHILD, route: str = "fail_closed") -> str:
    """Give a path with what is presented."""
    mark = "&" if "?" in path else "?"
    return f"{path}{mark}credential={credential}&route={route}"


async def drained(response: aiohttp.ClientResponse) -> bool:
    """Read a stream to its end; tell whether it was cut, rather than whole."""
    try:
        async for _ in response.content.iter_any():
            pass
    except GONE:
        return True
    finally:
        response.close()
    return False


async def test_streams_are_cut_within_the_lease(
    server: ScriptedFeed, patient: Guard, serve: Serve
) -> None:
    """The parent is revoked; streams that are silent end as well."""
    async with serve(patient) as url, client(url) as web:
        streams = [await web.get(query(path)) for path in STREAMS]
        for got in streams:
            assert got.status == 200
            assert await got.content.readuntil(b"\n\n") == b"data: first\n\n"
        await server.append(node(PARENT))  # no reason to end anything
        asked = boottime()
        await server.append(revoke(PARENT))

        assert all([await drained(got) for got in streams])
        assert boottime() - asked < LONG_LEASE * SECOND
        assert patient.sessions.ended.denied == {"revoked": len(STREAMS)}
        async with web.get(query("/stream")) as again:
            assert again.status == 401


async def test_a_websocket_is_closed_within_the_lease(
    server: ScriptedFeed, patient: Guard, serve: Serve
) -> None:
    """With the code for a policy, and the reason."""
    async with serve(patient) as url, client(url) as web:
        async with web.ws_connect(query("/chat")) as socket:
            await socket.send_str("hello")
            assert await socket.receive_str() == "hello"
            asked = boottime()
            await server.append(revoke(PARENT))
            message = await socket.receive()

            assert message.type is aiohttp.WSMsgType.CLOSE
            assert (message.data, message.extra) == (1008, "revoked")
            assert boottime() - asked < LONG_LEASE * SECOND
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            await web.ws_connect(query("/chat"))


async def test_a_handler_that_does_not_give_way_sends_nothing_more(
    server: ScriptedFeed, serve: Serve
) -> None:
    """It swallows its cancellation; the connection ends without it."""
    async with connect(server) as guard:
        assert await guard.ready(5)
        async with (
            serve(guard) as url,
            client(url) as web,
            web.ws_connect(query("/chat?stubborn"), autoclose=False) as socket,
        ):
            await until(lambda: len(guard.sessions))
            await server.append(revoke(PARENT))
            message = await socket.receive()

            assert message.type is not aiohttp.WSMsgType.TEXT


async def test_a_handler_that_fails_in_tidying_up_changes_nothing(
    server: ScriptedFeed, calm: Guard, serve: Serve
) -> None:
    """Its error goes to the server's log, after the goodbye."""
    async with (
        serve(calm) as url,
        client(url) as web,
        web.ws_connect(query("/chat?bug")) as socket,
    ):
        await until(lambda: len(calm.sessions))
        await server.append(revoke(PARENT))

        assert (await socket.receive()).data == 1008


async def test_a_client_that_does_not_say_goodbye_is_cut(
    server: ScriptedFeed, serve: Serve
) -> None:
    """It got the close, and does not answer."""
    async with connect(server) as guard:
        assert await guard.ready(5)
        async with (
            serve(guard) as url,
            client(url) as web,
            web.ws_connect(query("/chat"), autoclose=False) as socket,
        ):
            await until(lambda: len(guard.sessions))
            await server.append(revoke(PARENT))
            assert (await socket.receive()).data == 1008

            assert (await socket.receive()).type in {
                aiohttp.WSMsgType.CLOSED,
                aiohttp.WSMsgType.ERROR,
            }


async def test_a_lost_lease_ends_what_fails_closed_one_lease_later(
    server: ScriptedFeed, serve: Serve
) -> None:
    """What fails open goes on; what it knows to be dead is cut nevertheless."""
    async with connect(server) as guard:
        assert await guard.ready(5)
        async with (
            serve(guard) as url,
            client(url) as web,
            web.get(query("/stream", route="fail_open")) as stays,
            web.get(query("/stream?quiet")) as cut,
            web.ws_connect(query("/chat")) as socket,
        ):
            deadline = guard.standing.deadline
            server.answers = False
            message = await socket.receive()
            assert await drained(cut)

            assert message.data == 1008
            assert message.extra == "no_lease"
            assert boottime() >= deadline + guard.standing.lease.length
            assert guard.sessions.ended.denied == {"no_lease": 2}
            await stays.content.readuntil(b"\n\n")
            async with web.get(query("/plain")) as refused:
                assert refused.status == 403
                assert (await refused.json())["reason"] == "no_lease"

            server.answers = True
            await server.append(revoke(PARENT))
            assert await drained(stays)


async def test_what_is_refused_is_told_why(
    server: ScriptedFeed, calm: Guard, serve: Serve
) -> None:
    """A problem document with the reason alone, 401 or 403."""
    await server.append(revoke(CHILD))
    await until(lambda: not calm.check(CHILD).allowed)
    async with serve(calm) as url, client(url) as web:
        async with web.get(query("/plain")) as got:
            assert got.status == 401
            assert got.content_type == "application/problem+json"
            assert got.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
            assert await got.json() == {
                "type": "about:blank",
                "title": "Unauthorized",
                "status": 401,
                "reason": "revoked",
            }
        async with web.get("/plain") as got:
            assert got.status == 401
            assert got.headers["WWW-Authenticate"] == "Bearer"
            assert (await got.json())["reason"] == "no_credential"
        async with web.get(query("/plain", "nonsense")) as got:
            assert got.status == 401
            assert (await got.json())["reason"] == "unreadable"
        async with web.get(query("/plain", PARENT)) as got:
            assert got.status == 200
            assert await got.json() == {"path": "/plain"}


async def test_a_session_that_ends_by_itself_is_forgotten(
    calm: Guard, serve: Serve
) -> None:
    """The client goes, or all was sent: nothing is left to watch."""
    async with serve(calm) as url, client(url) as web:
        async with web.get(query("/plain")) as got:
            assert got.status == 200
        async with web.ws_connect(query("/chat")) as socket:
            await socket.send_str("hello")
            await socket.receive_str()
            assert len(calm.sessions) == 1
        async with web.get(query("/stream")):
            await until(lambda: len(calm.sessions) == 1)
        await until(lambda: not len(calm.sessions))

    assert calm.sessions.ended.denied == {}


async def test_many_streams_of_one_parent_end_together(
    server: ScriptedFeed, calm: Guard, serve: Serve
) -> None:
    """One cause, as many streams as there are."""
    async with serve(calm) as url, client(url) as web, asyncio.TaskGroup() as tasks:
        opened = [await web.get(query("/stream?quiet")) for _ in range(50)]
        await until(lambda: len(calm.sessions) == 50)
        await server.append(revoke(PARENT))
        ends = [tasks.create_task(drained(each)) for each in opened]
        assert all([await each for each in ends])
