"""Bodies of requests: read in bounded time and size, or refused in plain words."""

from __future__ import annotations

import asyncio
import http
from typing import Final

from aiohttp import web

from streams.http.problems import ProblemError

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
    try:
        async with asyncio.timeout(SECONDS):
            return await request.read()
    except TimeoutError as error:
        detail = f"send a body within {SECONDS:.0f} s, or several smaller ones"
        status = http.HTTPStatus.REQUEST_TIMEOUT
        raise ProblemError(status, "too slow", detail) from error
    except web.RequestPayloadError as error:
        detail = "the body breaks off, or is not what Content-Encoding says"
        status = http.HTTPStatus.BAD_REQUEST
        raise ProblemError(status, "broken body", detail) from error
