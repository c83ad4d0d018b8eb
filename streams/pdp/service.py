"""The decision point, put together and run."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiohttp import web
from attrs import frozen

from enforcement.steady import LIMIT
from streams.clients.jwks_cache import JwksCache
from streams.http.metrics import listen_apart
from streams.http.probes import Probes
from streams.http.problems import problems
from streams.http.server import listen
from streams.http.tls import ServedTls
from streams.model.times import SECOND
from streams.outbound.client import HttpClient
from streams.pdp.callers import PdpCallers
from streams.pdp.decider import Decider
from streams.pdp.decision_log import DecisionLog
from streams.pdp.gateways import Gateways
from streams.pdp.issuers import fetcher
from streams.pdp.metrics import DecisionMetrics
from streams.pdp.questions import AuthZen, Introspection
from streams.pdp.tokens import LONGEST
from streams.process.lifecycle import say_ready

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from enforcement.guard import AnyGuard
    from enforcement.steady import SteadyClock
    from streams.pdp.grpc_server import GrpcServer
    from streams.pdp.settings import Issuer, PdpSettings

CLOCK_SECONDS: Final = 1.0
MAX_BODY: Final = 1 << 20  # bytes
LONGEST_HEADER: Final = 2 * LONGEST  # a token, and what gateways put before paths

log = structlog.get_logger()


@frozen
class Deciding:
    """A decision point that accepts requests.

    Attributes:
        url: where; the port is the one that was bound.
        decider: what answers.
        grpc: ``HOST:PORT`` for Envoy, where the settings want it.
    """

    url: str
    decider: Decider
    grpc: str | None = None


async def serve(
    settings: PdpSettings,
    guard: AnyGuard[Any, Any],
    *,
    stop: asyncio.Event,
    started: Callable[[Deciding], None] | None = None,
    clock: Callable[[], int] | None = None,
) -> None:
    """Decide until ``stop`` is set.

    Args:
        settings: of the decision point.
        guard: with the settings' mode and routes; not yet entered.
        stop: ends it.
        started: called once requests are accepted; a lease may come later.
        clock: ns since 1970 (UTC), by default the guard's, which does not go back.

    Raises:
        OSError: an address cannot be bound, or the log of decisions not be opened.
        ValueError: the extra for gRPC is not installed, or the certificate of the
            settings cannot be used.
    """
    clock = clock or guard.time
    tls = None if settings.tls is None else ServedTls(settings.tls)
    grpc_listen = _grpc_listener(settings, tls)
    async with AsyncExitStack() as cleanup:
        client = await cleanup.enter_async_context(HttpClient())
        keys = {each.issuer: _keys(each, client) for each in settings.issuers}
        decider = Decider(settings, guard, keys, clock)
        written = _decision_log(settings, clock)
        if written is not None:
            cleanup.callback(written.close)
        metrics = DecisionMetrics(guard, keys, written)
        app = application(decider, metrics, keys)
        url = await cleanup.enter_async_context(_accepting(app, settings, tls))
        address = None
        if grpc_listen is not None:
            server = await grpc_listen(decider, metrics, keys)
            cleanup.push_async_callback(server.close)
            address = server.address
        tasks = await cleanup.enter_async_context(asyncio.TaskGroup())
        loops = [metrics.held.watch, *(each.run for each in keys.values())]
        if tls is not None:
            loops.append(tls.run)
        readers = [tasks.create_task(each()) for each in loops]
        readers.append(tasks.create_task(tell_clock(guard.time)))
        cleanup.callback(lambda: [each.cancel() for each in readers])
        await cleanup.enter_async_context(guard)
        log.info("deciding", url=url, grpc=address, guard=settings.name)
        say_ready(settings.ready_file, url)
        if started is not None:
            started(Deciding(url, decider, address))
        await stop.wait()
        log.info("stopping")


async def tell_clock(time: SteadyClock) -> None:
    """Log when the wall clock comes to differ from the server's, until cancelled.

    The decision point stays ready: a server with a wrong clock could else take all
    gateways down, and what had expired does not live again by either clock.
    """
    wrong = False
    while True:
        offset = time.offset
        if (abs(offset) > LIMIT) is not wrong:
            wrong = not wrong
            say = log.error if wrong else log.info
            seconds = round(offset / SECOND, 3)
            say("clock_wrong" if wrong else "clock_right", offset_seconds=seconds)
        await asyncio.sleep(CLOCK_SECONDS)


def missing(decider: Decider, keys: Mapping[str, JwksCache]) -> Sequence[str]:
    """Name what decisions still wait for."""
    # Tried is enough: one issuer that is down must not keep out all others.
    sets = [f"keys of {name}" for name, each in keys.items() if not each.readings]
    return sets if decider.guard.standing.holds() else ["lease", *sets]


@asynccontextmanager
async def _accepting(
    app: web.Application, settings: PdpSettings, tls: ServedTls | None
) -> AsyncIterator[str]:
    """Accept requests over HTTP for the length of a block; give the URL."""
    where, context = settings.listen, None if tls is None else tls.context
    async with AsyncExitStack() as cleanup:
        if settings.metrics_listen is not None:
            apart = await listen_apart(app, settings.metrics_listen)
            cleanup.push_async_callback(apart.cleanup)
        runner, url = await listen(
            app, where.host, where.port, LONGEST_HEADER, context, settings.connections
        )
        cleanup.push_async_callback(runner.cleanup)
        yield url


def _decision_log(
    settings: PdpSettings, clock: Callable[[], int]
) -> DecisionLog | None:
    if settings.decision_log is None:
        return None
    instance = secrets.token_hex(8)
    return DecisionLog(settings.decision_log, settings.name, clock, instance)


def _keys(issuer: Issuer, client: HttpClient) -> JwksCache:
    fetch = fetcher(issuer.jwks, client)
    return JwksCache(issuer.issuer, fetch, time.monotonic, issuer.refresh_seconds)


def _grpc_listener(
    settings: PdpSettings, tls: ServedTls | None
) -> (
    Callable[[Decider, DecisionMetrics, Mapping[str, JwksCache]], Awaitable[GrpcServer]]
    | None
):
    """Return the listener for Envoy, where the settings want one.

    Raises:
        ValueError: its libraries are not installed.
    """
    where = settings.grpc_listen
    if where is None:
        return None
    try:
        from streams.pdp.ext_authz import Authorization  # noqa: PLC0415 - an extra
        from streams.pdp.grpc_server import listen  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        message = "grpc_listen: install rescind with its extra grpc (rescind[grpc])"
        raise ValueError(message) from error

    async def start(
        decider: Decider, metrics: DecisionMetrics, keys: Mapping[str, JwksCache]
    ) -> GrpcServer:
        authorization = Authorization(decider, metrics)
        return await listen(
            authorization, lambda: not missing(decider, keys), where, tls
        )

    return start


def application(
    decider: Decider, metrics: DecisionMetrics, keys: Mapping[str, JwksCache]
) -> web.Application:
    """Put the handlers behind their routes."""
    app = web.Application(middlewares=[problems], client_max_size=MAX_BODY)
    callers = PdpCallers(decider.settings.callers)
    Gateways(decider, metrics).add_to(app)
    AuthZen(decider, callers, metrics).add_to(app)
    Introspection(decider, callers, metrics).add_to(app)
    Probes(lambda _: (), lambda _: missing(decider, keys)).add_to(app)
    metrics.told.add_to(app)
    return app
