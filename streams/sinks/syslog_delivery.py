"""Send a delivery to a syslog server, over TCP or TLS.

Syslog has no answer. A message counts as delivered once the server has taken the end
of the stream without complaint: it is sent, our side is closed, and the server closes
its own. A server that refuses, resets or hangs up before has not got it; one that dies
with the message in its memory loses it all the same. Where that matters, use a sink
that answers.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final

from attrs import field, frozen
from yarl import URL

from streams.outbound.answers import RequestError
from streams.outbound.pinned import AddressRule, resolver
from streams.sinks import syslog
from streams.sinks.http_delivery import TIMEOUT, EndpointError
from streams.stages.notify.deliveries import AttemptOutcome

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult

    from streams.stages.notify.deliveries import Delivery

PORT: Final = 6514  # RFC 5425 section 4.1
TAKEN: Final = 202
# A server that keeps its side open reads all the same: what it did not refuse by then
# it has taken.
_LINGER: Final = 1.0


@frozen(kw_only=True)
class SyslogEndpoint:
    """A syslog server.

    Attributes:
        name: that of its route in the notify stage.
        tls: whom to trust; None speaks TCP without TLS.
        allow_private: TCP without TLS, any port and private addresses too.
        layout: of the messages.
        timeout: seconds for one attempt.
    """

    name: str
    host: str
    port: int = PORT
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    allow_private: bool = False
    layout: syslog.SyslogLayout = syslog.DEFAULT
    timeout: float = TIMEOUT
    rule: AddressRule = field(init=False, repr=False, eq=False)

    @rule.default
    def _rule(self) -> AddressRule:
        return AddressRule(self.allow_private, resolving=resolver(self.name))

    def __attrs_post_init__(self) -> None:
        """Refuse what must not be sent to."""
        if not self.allow_private and (self.tls is None or self.port != PORT):
            message = f"without allow_private, TLS and port {PORT} are needed"
            raise EndpointError(f"{self.name}: {message}")


async def send(
    endpoint: SyslogEndpoint, delivery: Delivery, now: int
) -> AttemptOutcome:
    """Make one attempt; the same outcomes as of `streams.sinks.http_delivery.post`."""
    del now
    data = syslog.frame(syslog.message(delivery, endpoint.layout))
    url = URL.build(scheme="tcp", host=endpoint.host, port=endpoint.port)
    try:
        async with asyncio.timeout(endpoint.timeout):
            checked = await endpoint.rule.addresses(url)
            return await _first_that_takes_it(endpoint, checked, data)
    except TimeoutError:
        return AttemptOutcome(error="timeout")
    except RequestError as error:
        return AttemptOutcome(error=error.reason)


async def _first_that_takes_it(
    endpoint: SyslogEndpoint, checked: list[ResolveResult], data: bytes
) -> AttemptOutcome:
    for address in checked:
        try:
            await _say(endpoint, address["host"], data)
        except OSError:
            continue
        return AttemptOutcome(status=TAKEN)
    return AttemptOutcome(error="unreachable")


async def _say(endpoint: SyslogEndpoint, address: str, data: bytes) -> None:
    reader, writer = await asyncio.open_connection(
        address,
        endpoint.port,
        ssl=endpoint.tls,
        server_hostname=endpoint.host if endpoint.tls else None,
    )
    try:
        writer.write(data)
        await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        try:
            async with asyncio.timeout(_LINGER):
                while await reader.read(4096):
                    pass
        except TimeoutError:
            return
    finally:
        writer.close()
