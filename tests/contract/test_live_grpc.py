"""Running gRPC calls end with their credential, over a real socket."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc import aio

from enforcement.grpc import GuardInterceptor
from tests.contract.feed_server import ScriptedFeed
from tests.contract.guard_cases import CHILD, PARENT, revoke, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from enforcement import Guard

pytestmark = pytest.mark.contract

CREDENTIAL = (("credential", str(CHILD)),)
OPEN = (*CREDENTIAL, ("route", "fail_open"))


async def once(request: bytes, context: Any) -> bytes:
    """Answer at once."""
    return request


async def yields(request: bytes, context: Any) -> AsyncIterator[bytes]:
    """Answer, and then never again."""
    yield request
    await asyncio.Event().wait()


async def writes(request: bytes, context: Any) -> None:
    """Do the same in gRPC's other style."""
    await context.write(request)
    await asyncio.Event().wait()


async def echoes(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
    """Answer each request."""
    async for request in requests:
        yield request


async def gathers(requests: AsyncIterator[bytes], context: Any) -> bytes:
    """Answer when all was said."""
    return b"".join([request async for request in requests])


def told(name: str) -> Any:
    """Give a function that reads the metadata of a call."""

    def read(details: grpc.HandlerCallDetails) -> Any:
        return dict(details.invocation_metadata).get(name)

    return read


@asynccontextmanager
async def serving(guard: Guard) -> AsyncIterator[Any]:
    """Serve; give a channel to it."""
    interceptor = GuardInterceptor(
        guard, told("credential"), scope=told("scope"), route=told("route")
    )
    server = aio.server(interceptors=[interceptor])
    handlers: dict[str, Any] = {
        "once": grpc.unary_unary_rpc_method_handler(once),
        "yields": grpc.unary_stream_rpc_method_handler(yields),
        "writes": grpc.unary_stream_rpc_method_handler(writes),
        "echoes": grpc.stream_stream_rpc_method_handler(echoes),
        "gathers": grpc.stream_unary_rpc_method_handler(gathers),
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("orders", handlers),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(0.1)


async def code(call: Any) -> grpc.StatusCode:
    """Give how a call ended."""
    async with asyncio.timeout(20):
        with pytest.raises(aio.AioRpcError):
            await (call.read() if hasattr(call, "read") else call)
    found: grpc.StatusCode = await call.code()
    return found


async def test_calls_that_stream_end_with_the_parent(
    server: ScriptedFeed, guard: Guard
) -> None:
    """In either direction and style, with the reason."""
    async with serving(guard) as channel:
        calls: list[Any] = []
        for name in ("yields", "writes"):
            call = channel.unary_stream(f"/orders/{name}")(b"a", metadata=CREDENTIAL)
            assert await call.read() == b"a"
            calls.append(call)
        both = channel.stream_stream("/orders/echoes")(metadata=CREDENTIAL)
        await both.write(b"b")
        assert await both.read() == b"b"
        calls.append(both)
        up = channel.stream_unary("/orders/gathers")(metadata=CREDENTIAL)
        await up.write(b"c")
        await until(lambda: len(guard.sessions) == 4)
        await server.append(revoke(PARENT))

        for call in (*calls, up):
            assert await code(call) is grpc.StatusCode.UNAUTHENTICATED
            assert await call.details() == "revoked"


async def test_calls_are_checked_and_answered(
    server: ScriptedFeed, guard: Guard
) -> None:
    """What lives is served; what is dead, missing or unknown is not."""
    async with serving(guard) as channel:
        ask = channel.unary_unary("/orders/once")
        assert await ask(b"a", metadata=CREDENTIAL) == b"a"
        up = channel.stream_unary("/orders/gathers")(iter([b"a", b"b"]), metadata=OPEN)
        assert await up == b"ab"
        assert len(guard.sessions) == 0
        assert await code(ask(b"a")) is grpc.StatusCode.UNAUTHENTICATED
        watch = channel.unary_stream("/orders/yields")
        assert await code(watch(b"a")) is grpc.StatusCode.UNAUTHENTICATED
        nothing = channel.unary_unary("/orders/nothing")
        assert await code(nothing(b"")) is grpc.StatusCode.UNIMPLEMENTED

        server.answers = False
        await until(lambda: not guard.standing.holds())
        call = ask(b"a", metadata=CREDENTIAL)
        assert await code(call) is grpc.StatusCode.PERMISSION_DENIED
        assert await call.details() == "no_lease"
        assert await ask(b"a", metadata=OPEN) == b"a"
