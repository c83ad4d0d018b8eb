"""Post a delivery to its endpoint: the one place of the HTTP sinks that does IO.

One attempt, one answer: `post` raises nothing for what a network or a receiver does,
it tells it as an `AttemptOutcome`, and the notify stage decides what follows.

Each request goes to addresses that were checked (`streams.outbound.client`). Of the
answer the status, Retry-After and what the sink asked for count; no more than a cap of
its body is read.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from attrs import field, frozen
from yarl import URL

from streams.model.times import SECOND
from streams.outbound.answers import HttpAnswer, RequestError
from streams.outbound.client import HttpClient, RequestLimits
from streams.outbound.pinned import AddressRule, resolver
from streams.outbound.waits import retry_after
from streams.stages.notify.deliveries import AttemptOutcome

if TYPE_CHECKING:
    from ssl import SSLContext

    from streams.sinks.sink import Sink, SinkRequest
    from streams.stages.notify.deliveries import Delivery

TIMEOUT: Final = 15.0
RESPONSE_CAP: Final = 64 * 1024
ASK_EVERY: Final = 1.0


class EndpointError(ValueError):
    """An endpoint that must not be posted to; the text names no secret."""


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
    client: HttpClient = field(init=False, repr=False, eq=False)

    @client.default
    def _checked(self) -> HttpClient:
        rule = AddressRule(
            self.allow_private, clear_text=True, resolving=resolver(self.name)
        )
        return HttpClient(rule, tls=self.tls)

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


async def post(endpoint: Endpoint, delivery: Delivery, now: int) -> AttemptOutcome:
    """Make one attempt.

    Args:
        endpoint: of the delivery's route.
        delivery: one that was due.
        now: ns; the timestamp that is signed.

    Returns:
        The status and the wait that the receiver asked for, or the name of what went
        wrong: a reason of `RequestError`, or ``not_acknowledged``.
    """
    try:
        async with asyncio.timeout(endpoint.timeout):
            return await _attempt(endpoint, delivery, now)
    except TimeoutError:
        return AttemptOutcome(error="timeout")
    except RequestError as error:
        return AttemptOutcome(error=error.reason)


async def _attempt(endpoint: Endpoint, delivery: Delivery, now: int) -> AttemptOutcome:
    sink = endpoint.sink
    answer = await _send(endpoint, sink.request(delivery, now))
    question = sink.question(answer.body) if _is_yes(answer.status) else None
    while question is not None:
        await asyncio.sleep(ASK_EVERY)
        told = await _send(endpoint, question)
        if not _is_yes(told.status):
            return AttemptOutcome(error="not_acknowledged")
        if sink.settled(told.body):
            break
    wait = retry_after(answer.headers, now)
    return AttemptOutcome(
        status=answer.status, retry_after=None if wait is None else int(wait * SECOND)
    )


def _is_yes(status: int) -> bool:
    return 200 <= status < 300  # noqa: PLR2004 - RFC 9110 2xx


async def _send(endpoint: Endpoint, request: SinkRequest) -> HttpAnswer:
    return await endpoint.client.request(
        "POST",
        URL(request.url),
        headers=request.headers,
        data=request.body,
        bounds=RequestLimits(endpoint.timeout, RESPONSE_CAP, cut=True),
    )
