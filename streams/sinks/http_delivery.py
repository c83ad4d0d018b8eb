"""Post a delivery to its endpoint: the one place of the HTTP sinks that does IO.

One attempt, one answer: `post` raises nothing for what a network or a receiver does,
it tells it as an `AttemptOutcome`, and the notify stage decides what follows.

The name of the endpoint is resolved once an attempt, each address is checked, and
the connection goes to the checked addresses, so a name that changes its mind between
check and use (DNS rebinding) gains nothing. Redirects are not followed. Of the answer
the status, Retry-After and what the sink asked for count; no more than a cap of its
body is read.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import aiohttp
from attrs import field, frozen
from yarl import URL

from streams.model.times import SECOND
from streams.sinks.pinned import (
    RefusedAddressError,
    UnresolvedError,
    addresses,
    session,
)
from streams.stages.notify.deliveries import AttemptOutcome

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ssl import SSLContext

    from streams.sinks.sink import Sink, SinkRequest
    from streams.stages.notify.deliveries import Delivery

TIMEOUT: Final = 15.0
RESPONSE_CAP: Final = 64 * 1024
ASK_EVERY: Final = 1.0


class EndpointError(ValueError):
    """An endpoint that must not be posted to; the text names no secret."""


def resolver(name: str) -> ThreadPoolExecutor:
    """Threads that resolve the names of one endpoint.

    A name server that hangs holds threads beyond every timeout. Each endpoint has its
    own, so that it holds up nobody else.
    """
    return ThreadPoolExecutor(2, thread_name_prefix=f"resolve-{name}")


@frozen(kw_only=True)
class Endpoint:
    """A receiver of alerts.

    Attributes:
        name: that of its route in the notify stage.
        sink: makes the requests. Its URL is https on a port of its vendor's, without
            user and password.
        allow_private: http, any port and private addresses too: for a receiver on
            the same machine or network.
        timeout: seconds for one attempt, from the name to the last answer.
        tls: whom to trust, where that is not who everybody trusts.
    """

    name: str
    sink: Sink = field(repr=False)
    allow_private: bool = False
    timeout: float = TIMEOUT
    tls: SSLContext | None = field(default=None, repr=False)
    resolving: ThreadPoolExecutor = field(init=False, repr=False, eq=False)

    @resolving.default
    def _threads(self) -> ThreadPoolExecutor:
        return resolver(self.name)

    def __attrs_post_init__(self) -> None:
        """Refuse a URL that no attempt could use."""
        try:
            url = URL(self.sink.url)
        except ValueError as error:
            raise EndpointError(f"{self.name}: the URL cannot be read") from error
        if url.scheme not in ("http", "https") or not url.host:
            raise EndpointError(f"{self.name}: the URL is not one of http or https")
        if url.user is not None or url.password is not None:
            raise EndpointError(f"{self.name}: the URL must not hold a password")
        public = url.scheme == "https" and url.port in self.sink.ports
        if not (self.allow_private or public):
            ports = " or ".join(map(str, sorted(self.sink.ports)))
            message = f"without allow_private, https and port {ports} are needed"
            raise EndpointError(f"{self.name}: {message}")


class _Answer(NamedTuple):
    status: int
    retry_after: int | None
    body: bytes


async def post(endpoint: Endpoint, delivery: Delivery, now: int) -> AttemptOutcome:
    """Make one attempt.

    Args:
        endpoint: of the delivery's route.
        delivery: one that was due.
        now: ns; the timestamp that is signed.

    Returns:
        The status and the wait that the receiver asked for, or the name of what went
        wrong: ``timeout``, ``refused_address``, ``unresolved``, ``unreachable``,
        ``not_acknowledged``.
    """
    try:
        async with asyncio.timeout(endpoint.timeout):
            return await _attempt(endpoint, delivery, now)
    except TimeoutError:
        return AttemptOutcome(error="timeout")
    except RefusedAddressError:
        return AttemptOutcome(error="refused_address")
    except UnresolvedError:
        return AttemptOutcome(error="unresolved")
    except (aiohttp.ClientError, OSError):
        return AttemptOutcome(error="unreachable")


async def _attempt(endpoint: Endpoint, delivery: Delivery, now: int) -> AttemptOutcome:
    sink = endpoint.sink
    request = sink.request(delivery, now)
    checked = await addresses(
        URL(request.url),
        allow_private=endpoint.allow_private,
        resolving=endpoint.resolving,
    )
    async with session(checked, endpoint.tls) as client:
        answer = await _send(client, request, now)
        question = sink.question(answer.body) if _is_yes(answer.status) else None
        while question is not None:
            await asyncio.sleep(ASK_EVERY)
            told = await _send(client, question, now)
            if not _is_yes(told.status):
                return AttemptOutcome(error="not_acknowledged")
            if sink.settled(told.body):
                break
    return AttemptOutcome(status=answer.status, retry_after=answer.retry_after)


def _is_yes(status: int) -> bool:
    return 200 <= status < 300  # noqa: PLR2004 - RFC 9110 2xx


async def _send(
    client: aiohttp.ClientSession, request: SinkRequest, now: int
) -> _Answer:
    async with client.post(
        URL(request.url),
        data=request.body,
        headers={**request.headers, "user-agent": "Rescind"},
        allow_redirects=False,
    ) as response:
        body = bytearray()
        # The status has come and counts, whatever becomes of the body.
        with suppress(aiohttp.ClientError, TimeoutError):
            await _read(response.content, body)
        retry_after = _retry_after(response.headers, now)
        return _Answer(response.status, retry_after, bytes(body))


async def _read(content: aiohttp.StreamReader, body: bytearray) -> None:
    """Read what fits under the cap, so that a receiver may finish its answer."""
    async with asyncio.timeout(1):
        while left := RESPONSE_CAP - len(body):
            chunk = await content.read(left)
            if not chunk:
                return
            body += chunk


def _retry_after(headers: Mapping[str, str], now: int) -> int | None:
    """Read Retry-After, seconds or a date (RFC 9110 section 10.2.3), as ns."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return int(text[:9]) * SECOND
    with suppress(ValueError, OverflowError):
        date = parsedate_to_datetime(text)
        return max(0, int(date.timestamp()) * SECOND - now)
    return None
