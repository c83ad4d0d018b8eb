"""The HTTP side of a process: where the settings say, over TLS where they say so."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from streams.http.server import listen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

    from streams.apps.builders.access import AccessControl
    from streams.settings.server import Settings


@asynccontextmanager
async def accepting(
    app: web.Application, settings: Settings, entry: AccessControl
) -> AsyncIterator[str]:
    """Accept requests for the length of a block; give the URL that is bound.

    Raises:
        OSError: the address cannot be bound.
    """
    where = settings.listen
    runner, url = await listen(
        app, where.host, where.port, tls=entry.context, bounds=settings.connections
    )
    try:
        yield url
    finally:
        await runner.cleanup()
