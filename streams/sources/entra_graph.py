"""Handshakes and checks of Microsoft's push deliveries, as pure functions.

Graph signs nothing: each notification repeats the ``clientState`` that you chose on
subscribing. Sources: Graph, "Receive change notifications through webhooks"; Event
Grid, "Endpoint validation"; CloudEvents, "HTTP 1.1 Web Hooks" section 4.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

import orjson

from streams.sources.envelope import Event, events
from streams.sources.fields import listed, mapping, nested, text

if TYPE_CHECKING:
    from collections.abc import Mapping

# Graph, "Reduce missing subscriptions and change notifications": what a lifecycle
# notification means for us, who hold no subscription and cannot renew it.
LIFECYCLE: Final = {
    "reauthorizationRequired": (
        "subscription_expires: Graph will stop sending; renew the subscription"
    ),
    "subscriptionRemoved": (
        "events_lost: Graph ended the subscription; subscribe again, and read the "
        "directory audits of the time between"
    ),
    "missed": (
        "events_lost: Graph dropped notifications; read the directory audits of that "
        "time"
    ),
}
_MAX_TOKEN: Final = 4_096
_EVENT_GRID: Final = "aeg-event-type"
_ORIGIN: Final = "webhook-request-origin"


def validation(query: Mapping[str, str]) -> bytes | None:
    """Give the text/plain body for 200 when Graph validates the endpoint.

    Args:
        query: the decoded query of the POST.

    Returns:
        ``validationToken`` as it came; None when this is no validation.
    """
    token = query.get("validationToken", "")
    return token.encode(errors="replace") if 0 < len(token) <= _MAX_TOKEN else None


def authentic(secret: str, data: bytes) -> bool:
    """Tell whether every notification of a body carries the client state."""
    items = list(events(data, ""))
    return bool(secret and items) and all(
        isinstance(item, Event) and _equal(secret, item.body.get("clientState"))
        for item in items
    )


def _equal(secret: str, given: object) -> bool:
    return type(given) is str and hmac.compare_digest(
        secret.encode(), given.encode(errors="replace")
    )


def event_grid_validation(headers: Mapping[str, str], data: bytes) -> bytes | None:
    """Give the JSON body for 200 when Event Grid validates; else None."""
    if _header(headers, _EVENT_GRID).casefold() != "subscriptionvalidation":
        return None
    for event in listed(nested(data.decode(errors="replace"))):
        code = text(mapping(mapping(event).get("data")).get("validationCode"))
        if code is not None:
            return orjson.dumps({"validationResponse": code})
    return None


def allowed_origin(headers: Mapping[str, str]) -> str | None:
    """Give WebHook-Allowed-Origin for the answer to a CloudEvents OPTIONS request."""
    return _header(headers, _ORIGIN) or None


def _header(headers: Mapping[str, str], name: str) -> str:
    for key, value in headers.items():
        if key.casefold() == name:
            return value
    return ""
