"""Messages out of the frames of a feed's connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import aiohttp

from enforcement.replica import FeedBrokenError, MalformedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PART: Final = object()  # the type of a binary frame; no JSON can claim it


async def message_in(
    socket: aiohttp.ClientWebSocketResponse,
    silence: float,
    decoded: Callable[[str], Awaitable[Any]],
) -> dict[str, Any]:
    """Next message of a connection.

    Args:
        socket: the connection.
        silence: seconds after which it is dead.
        decoded: reads the JSON of a frame; a ValueError where it is none.

    Raises:
        FeedBrokenError: the connection ended, or fell silent.
        MalformedError: the frame is no JSON object.
    """
    try:
        frame = await socket.receive(timeout=silence)
    except TimeoutError as error:
        raise FeedBrokenError(f"nothing heard for {silence} s") from error
    if frame.type is aiohttp.WSMsgType.BINARY:
        return {"type": PART, "bytes": frame.data}
    if frame.type is not aiohttp.WSMsgType.TEXT:
        why = f": {frame.extra}" if frame.extra else ""
        raise FeedBrokenError(f"{frame.type.name} {socket.close_code}{why}")
    try:
        message = await decoded(frame.data)
    except ValueError as error:
        raise MalformedError(f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise MalformedError("not an object")
    return message
