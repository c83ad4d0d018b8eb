"""What was sent and no handler read: a little of it is waited for, the rest is not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from typing import Any

LITTLE: Final = 64 << 10  # bytes
SECONDS: Final = 0.5


async def leave_unread(request: web.Request, response: web.StreamResponse) -> None:
    """See to it that the connection ends where a body was not read.

    A short body is on its way together with its headers: it is taken off the line, so
    that the sender reads the answer and not a reset connection (RFC 9112 section 9.6).

    Args:
        request: that is answered.
        response: to it; closes the connection where the body still comes.
    """
    if response.prepared or response.keep_alive is False or request.content.is_eof():
        return
    if (request.content_length or LITTLE + 1) <= LITTLE:
        try:
            async with asyncio.timeout(SECONDS):
                await _thrown_away(request.content)
        except (TimeoutError, web.RequestPayloadError):
            pass
    if not request.content.is_eof():
        response.force_close()


async def _thrown_away(content: Any) -> None:
    async for _ in content.iter_any():
        pass
