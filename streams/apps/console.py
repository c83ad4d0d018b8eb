"""The composition root of a console of its own: pages for a server elsewhere."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web

from enforcement.clocks import wall
from streams.apps.builders.access import ConfigurationError, access
from streams.apps.builders.console import ServerReach, console
from streams.apps.builders.door import checking
from streams.apps.builders.http_listener import accepting
from streams.console.templates import BASE
from streams.http.metrics import Metrics
from streams.http.probes import Probes
from streams.http.problems import problems
from streams.observability import metrics
from streams.process.aside import here
from streams.process.lifecycle import until_stopped
from streams.process.loop_hold import LoopHold

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streams.settings.server import Settings

_SERVER: Final = re.compile(r"https?://[^\s/?#@]+/?")

log = structlog.get_logger()


async def show(
    settings: Settings,
    url: str,
    ca: Path | None = None,
    *,
    stop: asyncio.Event | None = None,
    started: Callable[[str], None] | None = None,
    clock: Callable[[], int] = wall,
) -> None:
    """Serve the console until ``stop`` is set, or SIGTERM or SIGINT comes.

    Args:
        settings: where HTTP listens, the console's own, and ``oidc`` of its login.
        url: of the server that it asks: an ingress, or `rescind serve`.
        ca: who may have signed the server's certificate; the system's by default.
        stop: ends it.
        started: called with its address once it accepts requests.
        clock: gives the time (ns).

    Raises:
        ConfigurationError: the settings or the URL cannot be used.
        OSError: the address cannot be bound.
    """
    if not settings.console.enabled:
        raise ConfigurationError("console.enabled: it is false, so there is no console")
    held, entry = LoopHold(), access(settings, clock)
    reach = reaching(url, ca)
    pages = console(settings, reach, here, clock)
    async with AsyncExitStack() as running:
        running.push_async_callback(reach.close)
        app = web.Application(middlewares=[problems])
        pages.add_to(app)
        Probes(lambda _: (), lambda _: ()).add_to(app)
        Metrics(metrics.CONSOLE, held, pages.tally).add_to(app)
        bound = await running.enter_async_context(accepting(app, settings, entry))
        log.info("showing", url=bound, server=reach.url)
        if started is not None:
            started(f"{bound}{BASE}")
        loops = (held.watch, *entry.loops())
        await until_stopped(stop or asyncio.Event(), *(each() for each in loops))


def reaching(url: str, ca: Path | None) -> ServerReach:
    """Reach of a server elsewhere.

    Raises:
        ConfigurationError: the URL is none, or the CA's file cannot be used.
    """
    if not _SERVER.fullmatch(url):
        text = "write it as https://HOST:PORT, without a path"
        raise ConfigurationError(f"--url {url!r}: {text}")
    secure = url.startswith("https:")
    return ServerReach(url.rstrip("/"), checking(ca, "--ca") if secure else None)
