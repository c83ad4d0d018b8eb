"""Call a transmitter: its metadata, its keys, its management API, its queue.

- https to public addresses; with ``allow_private`` to private ones too, and http to
  loopback alone, since a bearer token must not cross a network in clear text.
- The name is resolved once a call and the checked addresses are connected to;
  redirects are not followed, so the token goes where the settings say.
- An answer is read up to a cap and never unpacked: nobody sends a zip bomb.
- The token stands in the Authorization header alone, and in no error. One that is
  refused is got anew, once.
"""

from __future__ import annotations

import asyncio
import http
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlencode

import aiohttp
import orjson
from aiohttp import hdrs
from attrs import field, frozen
from yarl import URL

from streams.sinks.pinned import (
    RefusedAddressError,
    UnresolvedError,
    addresses,
    session,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.abc import ResolveResult

TIMEOUT: Final = 15.0
LARGEST: Final = 16 << 20  # bytes: 100 tokens of 128 KiB, with room
SMALL: Final = 1 << 20  # bytes of metadata, a JWKS or a stream


class TransmitterError(Exception):
    """A call failed; the text says at whom and why, and names no secret.

    Attributes:
        status: the HTTP status, None where there was no answer.
    """

    def __init__(self, text: str, status: int | None = None) -> None:
        """Keep the sentence and the status."""
        super().__init__(text)
        self.status = status


class NoAnswerError(TransmitterError):
    """There was no whole answer in time."""


@frozen
class TransmitterAnswer:
    """What a transmitter answered."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)

    def document(self) -> Any:
        """Decode the body as JSON.

        Raises:
            TransmitterError: it is none.
        """
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            message = "the transmitter's answer is not JSON"
            raise TransmitterError(message, self.status) from error


class TokenSource(Protocol):
    """Gives the bearer token of a transmitter's API."""

    async def token(self) -> str:
        """Token as it is now.

        Raises:
            TransmitterError: there is none.
        """
        ...

    def refused(self) -> bool:
        """Note that it was refused; tell whether there may be another one."""
        ...


@frozen
class Transport:
    """Makes calls, with or without the bearer token.

    Attributes:
        tokens: gives the token; None: there is none.
        allow_private: private addresses too, and http on loopback.
    """

    tokens: TokenSource | None = field(default=None, repr=False)
    allow_private: bool = False

    async def fetch(self, url: str) -> bytes:
        """Get a public document: metadata or keys; the token is not sent.

        Raises:
            TransmitterError: it is not there.
        """
        answer = await self._call(hdrs.METH_GET, url, None, {}, (TIMEOUT, SMALL))
        if answer.status != http.HTTPStatus.OK:
            raise TransmitterError(f"{url} answers {answer.status}", answer.status)
        return answer.body

    async def call(
        self,
        method: str,
        url: str,
        document: Any = None,
        *,
        timeout: float = TIMEOUT,  # noqa: ASYNC109 - of the call, however it is kept
        largest: int = SMALL,
    ) -> TransmitterAnswer:
        """Make an authorized call with a JSON body.

        Args:
            method: of HTTP.
            url: of the endpoint.
            document: the body, None without one.
            timeout: seconds from the name to the end of the answer.
            largest: bytes that the answer may have.

        Raises:
            TransmitterError: there was no answer, or there is no token.
        """
        if self.tokens is None:
            raise TransmitterError("no token for the transmitter is set")
        data = None if document is None else orjson.dumps(document)

        async def attempt(tokens: TokenSource) -> TransmitterAnswer:
            headers: dict[str, str] = {
                hdrs.AUTHORIZATION: f"Bearer {await tokens.token()}",
                hdrs.CONTENT_LANGUAGE: "en",  # of what setErrs describes
            }
            if data is not None:
                headers[hdrs.CONTENT_TYPE] = "application/json"
            return await self._call(method, url, data, headers, (timeout, largest))

        answer = await attempt(self.tokens)
        if answer.status == http.HTTPStatus.UNAUTHORIZED and self.tokens.refused():
            answer = await attempt(self.tokens)
        return answer

    async def form(
        self, url: str, fields: Mapping[str, str], authorization: str
    ) -> TransmitterAnswer:
        """Post a form under another authorization than the token's.

        Raises:
            TransmitterError: there was no answer.
        """
        headers: dict[str, str] = {
            hdrs.AUTHORIZATION: authorization,
            hdrs.CONTENT_TYPE: "application/x-www-form-urlencoded",
        }
        data = urlencode(fields).encode()
        return await self._call(hdrs.METH_POST, url, data, headers, (TIMEOUT, SMALL))

    async def _call(
        self,
        method: str,
        url: str,
        data: bytes | None,
        headers: dict[str, str],
        limits: tuple[float, int],
    ) -> TransmitterAnswer:
        timeout, largest = limits
        try:
            async with asyncio.timeout(timeout):
                return await self._attempt(method, url, data, headers, largest)
        except TimeoutError as error:
            raise NoAnswerError(f"{_host(url)} did not answer in time") from error
        except RefusedAddressError as error:
            text = f"{_host(url)} is not on the public internet; see allow_private"
            raise TransmitterError(text) from error
        except UnresolvedError as error:
            raise TransmitterError(f"no address is known of {_host(url)}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            text = f"cannot reach {_host(url)} ({type(error).__name__})"
            raise TransmitterError(text) from error

    async def _attempt(
        self,
        method: str,
        text: str,
        data: bytes | None,
        headers: dict[str, str],
        largest: int,
    ) -> TransmitterAnswer:
        url = _checked(text)
        found = await addresses(url, allow_private=self.allow_private)
        if url.scheme != "https" and not (self.allow_private and _loopback(found)):
            raise TransmitterError(f"{_host(text)}: https is needed")
        sent = headers | {
            hdrs.ACCEPT: "application/json",
            hdrs.ACCEPT_ENCODING: "identity",
            hdrs.USER_AGENT: "Rescind",
        }
        async with (
            session(found) as calling,
            calling.request(
                method, url, data=data, headers=sent, allow_redirects=False
            ) as response,
        ):
            body = await _read(response, largest)
            return TransmitterAnswer(response.status, body, response.headers)


def _checked(text: str) -> URL:
    url = URL(text)
    if url.scheme not in ("http", "https") or not url.host:
        raise TransmitterError("a URL of the transmitter is not one of http or https")
    if url.user is not None or url.password is not None:
        raise TransmitterError(f"{url.host}: a URL must not hold a password")
    return url


def _host(url: str) -> str:
    try:
        return URL(url).host or "the transmitter"
    except ValueError:
        return "the transmitter"


def _loopback(found: list[ResolveResult]) -> bool:
    return all(ip_address(one["host"].partition("%")[0]).is_loopback for one in found)


async def _read(response: aiohttp.ClientResponse, largest: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > largest:
            raise TransmitterError(f"an answer is longer than {largest} bytes")
    return bytes(body)
