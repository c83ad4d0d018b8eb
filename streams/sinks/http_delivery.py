"""Post a delivery to its endpoint: the one place of the sinks that does IO.

One attempt, one answer: `post` raises nothing for what a network or a receiver does,
it tells it as an `Outcome`, and the notify stage decides what follows.

The name of the endpoint is resolved once an attempt, each address is checked, and
the connection goes to the checked addresses, so a name that changes its mind between
check and use (DNS rebinding) gains nothing. Redirects are not followed. Of the answer
the status and Retry-After count; its body is read up to a cap and thrown away.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

import aiohttp
from attrs import field, frozen
from yarl import URL

from streams.sinks import ocsf, standard_webhooks
from streams.sinks.pinned import (
    RefusedAddressError,
    UnresolvedError,
    addresses,
    session,
)
from streams.stages.deliveries import Outcome
from streams.times import SECOND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.stages.deliveries import Delivery

TIMEOUT: Final = 15.0
RESPONSE_CAP: Final = 64 * 1024
PORTS: Final = frozenset({443, 8443})


class EndpointError(ValueError):
    """An endpoint that must not be posted to; the text names no secret."""


@frozen(kw_only=True)
class Endpoint:
    """A receiver of alerts.

    Attributes:
        name: that of its route in the notify stage.
        url: https on port 443 or 8443, without user and password.
        secrets: ``whsec_...``, the newest first; all sign.
        allow_private: http, any port and private addresses too: for a receiver on
            the same machine or network.
        timeout: seconds for one attempt, from the name to the answer.
    """

    name: str
    url: str
    secrets: tuple[str, ...] = field(repr=False)
    allow_private: bool = False
    timeout: float = TIMEOUT

    def __attrs_post_init__(self) -> None:
        """Refuse a URL or a secret that no attempt could use."""
        url = URL(self.url)
        if url.scheme not in ("http", "https") or not url.host:
            raise EndpointError(f"{self.name}: the URL is not one of http or https")
        if url.user is not None or url.password is not None:
            raise EndpointError(f"{self.name}: the URL must not hold a password")
        public = url.scheme == "https" and url.port in PORTS
        if not (self.allow_private or public):
            message = "without allow_private, https and port 443 or 8443 are needed"
            raise EndpointError(f"{self.name}: {message}")
        if not self.secrets:
            raise EndpointError(f"{self.name}: at least one secret is needed")
        for secret in self.secrets:
            standard_webhooks.checked_secret(secret)


async def post(endpoint: Endpoint, delivery: Delivery, now: int) -> Outcome:
    """Make one attempt.

    Args:
        endpoint: of the delivery's route.
        delivery: one that was due.
        now: ns; the timestamp that is signed.

    Returns:
        The status and the wait that the receiver asked for, or the name of what went
        wrong: ``timeout``, ``refused_address``, ``unresolved``, ``unreachable``.
    """
    try:
        async with asyncio.timeout(endpoint.timeout):
            return await _attempt(endpoint, delivery, now)
    except TimeoutError:
        return Outcome(error="timeout")
    except RefusedAddressError:
        return Outcome(error="refused_address")
    except UnresolvedError:
        return Outcome(error="unresolved")
    except (aiohttp.ClientError, OSError):
        return Outcome(error="unreachable")


async def _attempt(endpoint: Endpoint, delivery: Delivery, now: int) -> Outcome:
    body = ocsf.body(delivery)
    url = URL(endpoint.url)
    checked = await addresses(url, allow_private=endpoint.allow_private)
    headers = standard_webhooks.headers(endpoint.secrets, delivery.id, now, body)
    async with (
        session(checked) as posting,
        posting.post(
            url,
            data=body,
            headers={
                **headers,
                "content-type": "application/json",
                "user-agent": "Rescind",
            },
            allow_redirects=False,
        ) as response,
    ):
        # The status has come and counts, whatever becomes of the body.
        with suppress(aiohttp.ClientError, TimeoutError):
            await _drain(response.content)
        retry_after = _retry_after(response.headers, now)
        return Outcome(status=response.status, retry_after=retry_after)


async def _drain(content: aiohttp.StreamReader) -> None:
    """Read what fits under the cap, so that a receiver may finish its answer."""
    async with asyncio.timeout(1):
        left = RESPONSE_CAP
        while left > 0 and (chunk := await content.read(left)):
            left -= len(chunk)


def _retry_after(headers: Mapping[str, str], now: int) -> int | None:
    """Read Retry-After, seconds or a date (RFC 9110 section 10.2.3), as ns."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return int(text[:9]) * SECOND
    with suppress(ValueError, OverflowError):
        date = parsedate_to_datetime(text)
        return max(0, int(date.timestamp()) * SECOND - now)
    return None
