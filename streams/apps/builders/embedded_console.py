"""The console of the embedded server: it asks its own server, from another thread."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from streams.apps.builders.console import ServerReach, console
from streams.console.login import one_time_link
from streams.console.templates import BASE
from streams.engines.embedded.analysis import Analysis
from streams.http.metrics import collect_also

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp import web

    from streams.apps.builders.embedded_context import EmbeddedContext
    from streams.http.tls import ServedTls


@asynccontextmanager
async def embedded_console(
    app: web.Application,
    about: EmbeddedContext,
    tls: ServedTls | None,
    opening: str,
) -> AsyncIterator[Callable[[str], str]]:
    """Run the console for the length of a block, unless it is turned off.

    Args:
        app: gets its routes.
        about: the settings and the clock.
        tls: what the server listens with.
        opening: credential of the session that the one-time link opens; "" for none.

    Yields:
        To be called with the URL at which the server listens, before anybody asks:
        gives the address for a person, "" where there is no console.
    """
    settings, clock = about.settings, about.clock
    if not settings.console.enabled:
        yield lambda _: ""
        return
    thread, reach = Analysis("console"), ServerReach.own(tls)
    link, key = one_time_link(opening, clock()) if opening else (None, "")

    def at(url: str) -> str:
        reach.at(url)
        where = reach.url + BASE
        return f"{where}/link?{urlencode({'key': key})}" if key else where

    async with thread.running():
        try:
            kinds = frozenset(settings.hashed_kinds)
            made = console(settings, reach, thread.run, clock, link, kinds)
            made.add_to(app)
            collect_also(app, made.tally)
            yield at
        finally:
            await thread.run(reach.close)
