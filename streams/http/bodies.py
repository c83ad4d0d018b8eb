"""Bodies of requests: read in bounded time and size, or refused in plain words."""

from __future__ import annotations

import asyncio
import http
from typing import TYPE_CHECKING, Final, TypeVar

from aiohttp import web

from streams.http.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any


T = TypeVar("T")

SECONDS: Final = 60.0


async def body_of(request: web.Request, holder: object) -> bytes:
    """Read a whole body, unpacked; who sends it is known by then.

    Args:
        request: its cap counts unpacked bytes.
        holder: who sends it.

    Raises:
        ProblemError: 400, it cannot be unpacked or breaks off; 408, it is too slow.
        web.HTTPRequestEntityTooLarge: it is larger than the cap.
    """
    del holder  # only what was let in may cost memory
    return await _in_time(request.read())


async def short_body_of(
    request: web.Request, holder: object, most: int
) -> bytes | None:
    """Read a body as `body_of` does; None: it has more than ``most`` bytes.

    Of a longer one not more than that is held in memory.

    Raises:
        ProblemError: 400, it cannot be unpacked or breaks off; 408, it is too slow.
    """
    del holder  # as above
    return await _in_time(_short(request, most))


async def _short(request: web.Request, most: int) -> bytes | None:
    body = bytearray()
    if (request.content_length or 0) > most:
        return None
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > most:
            return None
    return bytes(body)


async def _in_time(reading: Coroutine[Any, Any, T]) -> T:
    try:
        async with asyncio.timeout(SECONDS):
            return await reading
    except TimeoutError as error:
        detail = f"send a body within {SECONDS:.0f} s, or several smaller ones"
        status = http.HTTPStatus.REQUEST_TIMEOUT
        raise ProblemError(status, "too slow", detail) from error
    except web.RequestPayloadError as error:
        detail = "the body breaks off, or is not what Content-Encoding says"
        status = http.HTTPStatus.BAD_REQUEST
        raise ProblemError(status, "broken body", detail) from error
