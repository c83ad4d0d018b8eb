"""What gateways ask before they let a request pass: Envoy, nginx, Caddy and others.

200 lets it pass; 401 and 403 go back to the client. Any method and any path under
the check are answered alike, since Envoy asks with the client's own (ext_authz in
HTTP mode). Nothing but the token's header is read of the request: all else comes
from the client, and route and scope come from the settings.

- ``/v1/check`` and all below it: the default mode, no scope.
- ``/v1/routes/NAME/check`` and all below it: mode and scope of that route.
"""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

from streams.http.problems import forbidden

if TYPE_CHECKING:
    from streams.pdp.decider import Decider, Decision
    from streams.pdp.metrics import DecisionMetrics

REASON: Final = "X-Rescind-Reason"
OBSERVED: Final = "X-Rescind-Observed"


class Gateways:
    """Handlers of the checks; open, they tell a client about its own token only."""

    def __init__(self, decider: Decider, metrics: DecisionMetrics) -> None:
        self._decider = decider
        self._metrics = metrics

    def add_to(self, app: web.Application) -> None:
        """Put the handlers behind their routes."""
        for path in ("/v1/check", "/v1/routes/{route}/check"):
            app.router.add_route("*", path, self.check)
            # Newlines too, which a dot would leave out.
            app.router.add_route("*", path + r"/{below:[\s\S]*}", self.check)

    async def check(self, request: web.Request) -> web.Response:
        """Answer for the token of a client's request.

        Raises:
            ProblemError: 403, the settings have no such route.
        """
        route = request.match_info.get("route")
        if route is not None and route not in self._decider.settings.routes:
            raise forbidden("unknown route", "name a route of the settings")
        values = request.headers.getall(self._decider.settings.header, [])
        decision = await self._decider.decide_header(values, route=route)
        self._metrics.count("check", decision)
        return web.Response(status=decision.status, headers=headers_of(decision))


def headers_of(decision: Decision) -> dict[str, str]:
    """Headers that tell gateway and client why (RFC 6750 section 3)."""
    headers = {REASON: decision.reason, hdrs.CACHE_CONTROL: "no-store"}
    if decision.observed:
        headers[OBSERVED] = "would be denied"
    if decision.status == http.HTTPStatus.UNAUTHORIZED:
        headers[hdrs.WWW_AUTHENTICATE] = _challenge(decision.reason)
    return headers


def _challenge(reason: str) -> str:
    if reason == "no_token":  # no error code for a client that did not know
        return "Bearer"
    return f'Bearer error="invalid_token", error_description="{reason}"'
