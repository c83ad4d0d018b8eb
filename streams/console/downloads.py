"""Files that a browser saves: whole, or made while they are sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import web

from streams.console import headers

if TYPE_CHECKING:
    from streams.console.page import Exported, Streamed
    from streams.process.aside import Aside


WRITE_SECONDS: Final = 60.0


def saved(made: Exported) -> web.Response:
    """Answer with a whole file."""
    return web.Response(body=made.body, headers=_headers(made))


async def sent(
    request: web.Request, made: Streamed, aside: Aside
) -> web.StreamResponse:
    """Send the parts of a file as they are made; a browser that is slow is waited for.

    One that takes nothing for `WRITE_SECONDS` is left.

    Args:
        request: that is answered.
        made: the file.
        aside: gets to where its parts are made.
    """

    async def following() -> bytes:
        return await anext(made.parts, b"")

    async def close() -> None:
        await made.parts.aclose()

    response = web.StreamResponse(headers=_headers(made))
    try:
        await response.prepare(request)
        while part := await aside(following):
            async with asyncio.timeout(WRITE_SECONDS):
                await response.write(part)
        await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    finally:
        await aside(close)
    return response


def _headers(made: Exported | Streamed) -> dict[str, str]:
    return {
        **headers.SAVED,
        "Content-Type": made.media_type,
        "Content-Disposition": f'attachment; filename="{made.filename}"',
    }
