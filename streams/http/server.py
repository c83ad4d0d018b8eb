"""The HTTP side of the server: routes, limits, listening."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web
from attrs import frozen

from streams.http.listening import Listening, connections_of
from streams.http.problems import bad_request, problems
from streams.http.refused_feeds import RefusedFeeds
from streams.http.traced import tracers
from streams.settings.limits import ConnectionSettings
from streams.stages.closure.guard_names import Bearer

if TYPE_CHECKING:
    import ssl

    from streams.http.auth import Tokens
    from streams.http.feed import FeedServer

# Also for a first request whose headers never end; a guard's feed is not idle.
IDLE_SECONDS: Final = 60.0
LONGEST_HEADER: Final = 8190


@frozen
class FeedPage:
    """The handler of ``/v1/feed`` where one realm is served."""

    tokens: Tokens
    feed: FeedServer
    refused: RefusedFeeds

    def add_to(self, app: web.Application) -> None:
        """Add the route."""
        app.router.add_get("/v1/feed", self.guard)

    async def guard(self, request: web.Request) -> web.StreamResponse:
        """Let a guard in and feed it."""
        with self.refused.counting(request):
            token = self.tokens.holder(request, "guard")
            require_websocket(request)
        return await self.feed.serve(request, Bearer(token.name, token.guards))


def require_websocket(request: web.Request) -> None:
    """Refuse a request for the feed that opens no WebSocket.

    Raises:
        ProblemError: 400.
    """
    if request.headers.get(hdrs.UPGRADE, "").lower() != "websocket":
        detail = "a guard connects here by WebSocket: see docs/feed-protocol.md"
        raise bad_request("no WebSocket", detail)


def application(max_body_bytes: int) -> web.Application:
    """Make what answers, without routes; longer request bodies are refused with 413."""
    return web.Application(
        middlewares=[*tracers(), problems], client_max_size=max_body_bytes
    )


async def listen(
    app: web.Application,
    host: str,
    port: int,
    longest_header: int = LONGEST_HEADER,
    tls: ssl.SSLContext | None = None,
    bounds: ConnectionSettings = ConnectionSettings(),  # noqa: B008 - immutable
) -> tuple[Listening, str]:
    """Listen; give what listens, to be cleaned up, and the URL that is bound.

    Args:
        app: what answers.
        host: address to listen at.
        port: 0 takes a free one.
        longest_header: bytes of the first line and of each header.
        tls: to serve HTTPS with.
        bounds: of the connections of strangers.

    Raises:
        OSError: the address cannot be bound.
    """
    connections = connections_of(app, bounds)
    # What is under way was waited for by then, and the feed closed guards' sockets.
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=0.1,
        keepalive_timeout=IDLE_SECONDS,
        max_line_size=longest_header,
        max_field_size=longest_header,
        auto_decompress=False,  # see streams.http.unpacking
        lingering_time=0.0,  # what no handler read is not read to be thrown away
    )
    await runner.setup()
    listening = Listening(runner, connections, tls)
    try:
        await listening.start(host, port)
    except OSError:
        await listening.cleanup()
        raise
    bound = listening.address
    name = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
    scheme = "http" if tls is None else "https"
    return listening, f"{scheme}://{name}:{bound[1]}"
