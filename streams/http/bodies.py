"""Bodies of requests: read in bounded time and size, or refused in plain words.

What no handler reads stays packed, and its connection is closed.
"""

from __future__ import annotations

import asyncio
import http
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aiohttp import web

from streams.http.problems import ProblemError, bad_request, unreadable
from streams.http.unpacking import (
    IDENTITY,
    PackedError,
    encoding_of,
    refuse_packed,
    too_large,
    unpacked,
)
from streams.model import documents

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from streams.http.auth import CredentialHolder


T = TypeVar("T")

SECONDS: Final = 60.0


async def body_of(
    request: web.Request, holder: object, most: int | None = None
) -> bytes:
    """Read a whole body, unpacked; who sends it is known by then.

    Args:
        request: its cap counts unpacked bytes.
        holder: who sends it.
        most: a smaller cap.

    Raises:
        ProblemError: 400, it cannot be unpacked or breaks off; 408, it is too slow;
            415, its encoding is unknown.
        web.HTTPRequestEntityTooLarge: it is larger than the cap.
    """
    del holder  # only what was let in may cost memory
    cap = request.client_max_size
    least = cap if most is None else min(most, cap)
    return await _in_time(_whole(request, encoding_of(request), least))


async def unproven_body_of(
    request: web.Request, most: int | None = None
) -> bytes | None:
    """Read the body that has to prove who sent it; None: it has more than ``most``.

    Of a longer one not more than that is held in memory, and none is unpacked.

    Raises:
        ProblemError: 400, it breaks off; 408, it is too slow; 415, it is packed.
        web.HTTPRequestEntityTooLarge: without ``most``, it is larger than the cap.
    """
    refuse_packed(request)
    if most is None:
        cap = request.client_max_size
        return await _in_time(_whole(request, IDENTITY, cap))
    return await _in_time(_short(request, most))


async def packed_body_of(request: web.Request) -> bytes:
    """Read a whole body as it came, for another process; its caps are that one's.

    Raises:
        ProblemError: 400, it breaks off; 408, it is too slow.
        web.HTTPRequestEntityTooLarge: it is larger than the cap.
    """
    return await _in_time(_whole(request, IDENTITY, request.client_max_size))


async def _whole(request: web.Request, encoding: str, most: int) -> bytes:
    if (request.content_length or 0) > most:
        raise too_large(most, request.content_length or 0)
    body = bytearray()
    async for piece in unpacked(request.content.iter_any(), encoding, most):
        body += piece
    return bytes(body)


async def _short(request: web.Request, most: int) -> bytes | None:
    try:
        body = bytearray()
        if (request.content_length or 0) > most:
            return None
        async for piece in unpacked(request.content.iter_any(), IDENTITY, most):
            body += piece
    except web.HTTPRequestEntityTooLarge:
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
    except (web.RequestPayloadError, PackedError) as error:
        detail = "the body breaks off, or is not what Content-Encoding says"
        raise bad_request("broken body", detail) from error


async def json_object(
    request: web.Request, holder: CredentialHolder, *, named: bool = False
) -> dict[str, Any]:
    """Read the JSON object, of at most `documents.MOST` bytes, of a token's holder.

    Args:
        request: with the body.
        holder: of the token.
        named: its ``identifier`` may be a secret, which the caller hashes.

    Raises:
        ProblemError: 422, the body is none, or a secret stands in it.
        web.HTTPRequestEntityTooLarge: it is longer.
    """
    data = await body_of(request, holder, documents.MOST)
    try:
        return documents.object_of(data, named=named)
    except documents.DocumentError as error:
        raise unreadable(str(error)) from error
