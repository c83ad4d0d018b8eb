"""Handshake and checks of Microsoft Graph's push deliveries, as pure functions.

Graph signs nothing: each notification repeats the ``clientState`` that you chose on
subscribing. Source: Graph, "Receive change notifications through webhooks".
"""

from __future__ import annotations

import hmac
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import orjson

from streams.model.documents import crowded
from streams.sources.reading.envelope import Event, events

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
MOST_UNPROVEN: Final = 20_000  # JSON values; a notification has about twelve
_MAX_TOKEN: Final = 4_096


def validation(query: Mapping[str, str]) -> bytes | None:
    """Text/plain body for 200 when Graph validates the endpoint.

    Args:
        query: the decoded query of the POST.

    Returns:
        ``validationToken`` as it came; None when this is no validation.
    """
    token = query.get("validationToken", "")
    return token.encode(errors="replace") if 0 < len(token) <= _MAX_TOKEN else None


def authentic(secret: str, data: bytes) -> bool:
    """Whether every notification of a body carries the client state.

    Anybody may send one, so none is looked through that is broken or holds very much.
    """
    if not _readable(data):
        return False
    items = list(events(data, ""))
    return bool(secret and items) and all(
        isinstance(item, Event) and _equal(secret, item.body.get("clientState"))
        for item in items
    )


def _readable(data: bytes) -> bool:
    with suppress(orjson.JSONDecodeError):
        return not crowded(data, MOST_UNPROVEN) and orjson.loads(data) is not None
    return False


def _equal(secret: str, given: object) -> bool:
    return type(given) is str and hmac.compare_digest(
        secret.encode(), given.encode(errors="replace")
    )
