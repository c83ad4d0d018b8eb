"""Open a span for each request, and continue the trace that it came with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from streams.observability import tracing

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware


def tracers() -> list[Middleware]:
    """Middlewares for traces; empty where they are off."""
    return [_traced] if tracing.on() else []


@web.middleware
async def _traced(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.method != "POST":
        return await handler(request)  # nothing is written by it
    route = request.match_info.route.resource
    name = route.canonical if route is not None else "unknown"
    with tracing.span(f"POST {name}", request.headers.get(tracing.HEADER)) as opened:
        response = await handler(request)
        opened.set_attribute("http.request.method", "POST")
        opened.set_attribute("http.route", name)
        opened.set_attribute("http.response.status_code", response.status)
        return response
