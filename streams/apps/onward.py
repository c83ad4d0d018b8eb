"""The composition root of a relay that reads the feed of a server or another relay."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import structlog
from aiohttp import TCPConnector, web

from enforcement.clocks import wall
from streams.apps.builders.access import access
from streams.apps.builders.door import checking, guard_credential
from streams.apps.builders.http_listener import accepting
from streams.apps.builders.passed_realm import PassedContext, passed
from streams.apps.builders.relayed_realms import (
    RelayedRealms,
    Relaying,
    first_realms,
)
from streams.apps.builders.sources import configured_sources
from streams.http.metrics import Metrics
from streams.http.passed_feed import UpstreamFeed
from streams.http.probes import Probes
from streams.http.problems import problems
from streams.observability import metrics
from streams.outbound.client import plain_session
from streams.process.lifecycle import until_stopped
from streams.process.loop_hold import LoopHold

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import ClientSession

    from streams.settings.relay import RelaySettings
    from streams.settings.server import Settings

log = structlog.get_logger()


async def onward(
    settings: Settings,
    own: RelaySettings,
    *,
    stop: asyncio.Event | None = None,
    started: Callable[[Relaying], None] | None = None,
    clock: Callable[[], int] = wall,
) -> None:
    """Feed guards until ``stop`` is set, or SIGTERM or SIGINT comes.

    Args:
        settings: credentials of guards, kinds, the lease, and where HTTP listens.
        own: of this relay, with an upstream.
        stop: ends it.
        started: called once it accepts guards.
        clock: gives the time (ns).

    Raises:
        ConfigurationError: the settings contradict themselves.
        OSError: the address cannot be bound.
    """
    held, entry = LoopHold(), access(settings, clock)
    async with AsyncExitStack() as running:
        session = await running.enter_async_context(
            plain_session(TCPConnector(limit=0, use_dns_cache=False), {})
        )
        about = _context(settings, own, session)
        realms = RelayedRealms(
            partial(passed, about), entry.tokens, first_realms(settings)
        )
        app = web.Application(middlewares=[problems])
        realms.add_to(app)
        Probes(realms.stalled, realms.waiting).add_to(app)
        Metrics(metrics.RELAY, held, realms).add_to(app)
        entry.guard(app)
        url = await running.enter_async_context(accepting(app, settings, entry, realms))
        log.info("relaying", url=url, upstream=own.upstream)
        if started is not None:
            started(Relaying(url, realms))
        loops = (realms.run, held.watch, *entry.loops())
        await until_stopped(stop or asyncio.Event(), *(each() for each in loops))


def _context(
    settings: Settings, own: RelaySettings, session: ClientSession
) -> PassedContext:
    """Make what each realm is passed on with.

    Raises:
        ConfigurationError: the upstream's token or CA cannot be read.
    """
    url = own.upstream or ""
    credential = guard_credential(
        own.upstream_token, "RESCIND_RELAY_UPSTREAM_TOKEN", "RESCIND_RELAY_UPSTREAM"
    )
    tls = None
    if url.startswith("https:"):
        tls = checking(own.upstream_ca, "RESCIND_RELAY_UPSTREAM_CA")
    vocabulary, _ = configured_sources(settings)
    upstream = UpstreamFeed(url, session, tls)
    return PassedContext(upstream, credential, vocabulary, settings.lease_seconds)
