"""The HTTP side of a process: where the settings say, over TLS where they say so."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from streams.http.metrics import listen_apart
from streams.http.server import listen
from streams.process.lifecycle import say_ready

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

    from streams.apps.builders.access import AccessControl
    from streams.settings.server import Settings


class FeedOfGuards(Protocol):
    """Connections of guards, which end last."""

    async def close(self) -> None:
        """Ask every guard to come back later."""


@asynccontextmanager
async def accepting(
    app: web.Application,
    settings: Settings,
    entry: AccessControl,
    feed: FeedOfGuards | None = None,
) -> AsyncIterator[str]:
    """Accept requests for the length of a block; give the URL that is bound.

    At its end guards are let go last: each goes on under its lease while the requests
    that are under way are answered.

    Raises:
        OSError: the address cannot be bound, or the URL cannot be written into the
            file of the settings.
    """
    where, apart = settings.listen, settings.metrics_listen
    async with AsyncExitStack() as cleanup:
        if apart is not None:
            told = await listen_apart(app, apart)
            cleanup.push_async_callback(told.cleanup)
        runner, url = await listen(
            app, where.host, where.port, tls=entry.context, bounds=settings.connections
        )
        cleanup.push_async_callback(runner.cleanup)
        if feed is not None:
            cleanup.push_async_callback(feed.close)
        cleanup.push_async_callback(runner.drain)
        say_ready(settings.ready_file, url)
        yield url
