"""Envoy's external authorization in gRPC mode: the same decisions over another wire.

Envoy sends what it knows of the client's request, and passes the request on or sends
our answer back. As over HTTP only the token's header is read of it. The route comes
from Envoy's own configuration (``context_extensions``), which no client can write.

Any failure denies, also the ones of our own: an error of the call itself would be
left to Envoy, which may be set to let requests pass then.
"""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, Any, Final

import grpc
import structlog
from aiohttp import hdrs

from streams.pdp.envoy import SERVICE, CheckRequest, CheckResponse
from streams.pdp.gateways import REASON, headers_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.pdp.decider import Decider, Decision
    from streams.pdp.metrics import DecisionMetrics

ROUTE: Final = "rescind.route"  # the key in Envoy's context_extensions
SURFACE: Final = "ext_authz"
MOST_HEADERS: Final = 1024  # of one request; Envoy itself takes 100 by default
_OVERWRITE: Final = 2  # HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
_CODES: Final = {
    http.HTTPStatus.OK: grpc.StatusCode.OK,
    http.HTTPStatus.UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    http.HTTPStatus.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
}

log = structlog.get_logger()


class Authorization:
    """The service ``envoy.service.auth.v3.Authorization``."""

    def __init__(self, decider: Decider, metrics: DecisionMetrics) -> None:
        self._decider = decider
        self._metrics = metrics

    def handlers(self) -> grpc.GenericRpcHandler:
        """Service's one method, for a server."""
        check = grpc.unary_unary_rpc_method_handler(
            self.check,
            request_deserializer=CheckRequest.FromString,
            response_serializer=CheckResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"Check": check})

    async def check(self, request: Any, _: Any) -> Any:
        """Answer a CheckRequest with a CheckResponse."""
        try:
            if _headers_of(request.attributes.request.http) > MOST_HEADERS:
                return _denied(http.HTTPStatus.FORBIDDEN, {REASON: "too_many_headers"})
            decision = await self._decide(request.attributes)
        except Exception:  # boundary: whatever breaks here denies
            log.exception("check_failed")
            return _denied(http.HTTPStatus.FORBIDDEN, {REASON: "internal_error"})
        if decision is None:
            return _denied(http.HTTPStatus.FORBIDDEN, {REASON: "unknown_route"})
        self._metrics.count(SURFACE, decision)
        return response_to(decision)

    async def _decide(self, attributes: Any) -> Decision | None:
        """Decide about the token of a request; None where its route is not known."""
        settings = self._decider.settings
        route = attributes.context_extensions.get(ROUTE)
        if route is not None and route not in settings.routes:
            return None
        values = list(header_values(attributes.request.http, settings.header))
        return await self._decider.decide_header(values, route=route)


def header_values(request: Any, name: str) -> Iterator[str]:
    """Yield the values of a header, from either form that Envoy sends headers in.

    Envoy joins repeated headers with commas in one form, and keeps them apart in the
    other (``encode_raw_headers``); its names are in lower case.

    Args:
        request: an AttributeContext.HttpRequest.
        name: of the header, in any case.
    """
    wanted = name.lower()
    if wanted in request.headers:
        yield request.headers[wanted]
    for header in request.header_map.headers:
        if header.key.lower() == wanted:
            # Bytes that are no text stay what no token has.
            yield header.value or header.raw_value.decode("utf-8", "replace")


def _headers_of(request: Any) -> int:
    return len(request.headers) + len(request.header_map.headers)


def response_to(decision: Decision) -> Any:
    """CheckResponse that says what HTTP status and headers would.

    An allowed request goes on with the reason as a header, in place of any that the
    client sent.
    """
    headers = headers_of(decision)
    if not decision.allowed:
        return _denied(decision.status, headers)
    del headers[hdrs.CACHE_CONTROL]  # the upstream's request has none of ours
    response = CheckResponse()
    response.status.code = grpc.StatusCode.OK.value[0]
    _set(response.ok_response.headers, headers)
    return response


def _denied(status: http.HTTPStatus, headers: dict[str, str]) -> Any:
    response = CheckResponse()
    response.status.code = _CODES[status].value[0]
    response.denied_response.status.code = status.value
    _set(response.denied_response.headers, headers)
    return response


def _set(options: Any, headers: dict[str, str]) -> None:
    for name, value in headers.items():
        option = options.add(append_action=_OVERWRITE)
        option.header.key, option.header.value = name, value
