"""A client is started and stopped as a whole: half of that leaves a connection open.

A client that starts asks the first broker for the others, and nobody closes that
connection where it is cancelled meanwhile. One that stops takes a cancellation of ours
for that of a task of its own, and we would go on; or it passes the end of such a task
on as if it were ours. And its fetcher may take its end for that of a fetch, and wait
for an assignment that never comes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from enforcement.tasks import cancelled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

SECONDS: Final = 3.0

T = TypeVar("T")


async def whole(work: Coroutine[Any, Any, T], seconds: float = SECONDS) -> T:
    """Await something; when cancelled, let it come to its end before.

    Args:
        work: such as the start of a client.
        seconds: for that end at most; then it is cancelled as well.

    Raises:
        ConnectionAbortedError: it was cancelled, and nobody cancelled us.
    """
    doing = asyncio.gather(work)
    try:
        (result,) = await asyncio.shield(doing)
    except asyncio.CancelledError:
        if not cancelled():
            raise ConnectionAbortedError("the client broke off") from None
        try:
            await asyncio.wait([doing], timeout=seconds)
        finally:
            doing.cancel()
        if doing.done() and not doing.cancelled():
            doing.exception()  # what came of it matters to nobody
        raise
    return result


async def stopped(
    stop: Callable[[], Awaitable[None]], seconds: float = SECONDS
) -> None:
    """Await the end of a client, by all means.

    Args:
        stop: ends it.
        seconds: until what that waits for is cancelled once more; then it goes on.

    Raises:
        TimeoutError: it does not go on.
        KafkaError: what a task of the client ended with, such as a right that it lacks.
    """

    async def in_time() -> None:
        async with asyncio.timeout(seconds):
            await stop()

    try:
        await whole(in_time(), 2 * seconds)
    except Exception as error:
        # Its connections are what it ends last; a second stop would do nothing.
        connections = getattr(getattr(stop, "__self__", None), "_client", None)
        if connections is not None:
            await whole(connections.close(), seconds)
        if not isinstance(error, ConnectionAbortedError):
            raise
