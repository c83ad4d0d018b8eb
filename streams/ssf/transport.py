"""Call a transmitter: its metadata, its keys, its management API, its queue.

- https to public addresses; with ``allow_private`` to private ones too, and http to
  loopback alone, since a bearer token must not cross a network in clear text.
- The client is that of `streams.outbound`: checked addresses, no redirects, and answers
  with an end that are never unpacked.
- The token stands in the Authorization header alone, and in no error. One that is
  refused is got anew, once.
"""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import hdrs
from attrs import define, field, frozen
from yarl import URL

from streams.outbound.answers import RequestError
from streams.outbound.client import HttpClient, RequestLimits
from streams.outbound.pinned import AddressRule

if TYPE_CHECKING:
    from streams.outbound.client import AuthorizationHeader

TIMEOUT: Final = 15.0
LARGEST: Final = 16 << 20  # bytes: 100 tokens of 128 KiB, with room
SMALL: Final = 1 << 20  # bytes of metadata, a JWKS or a stream


class TransmitterError(RequestError):
    """A call failed; the text says at whom and why, and names no secret."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text, status=status)


class NoAnswerError(TransmitterError):
    """There was no whole answer in time."""


@frozen
class TransmitterAnswer:
    """What a transmitter answered."""

    status: int
    body: bytes = field(repr=False)

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


@define(eq=False)
class Transport:
    """Makes calls, with or without the bearer token.

    Attributes:
        authorization: the bearer token; None: there is none.
        allow_private: private addresses too, and http on loopback.
    """

    authorization: AuthorizationHeader | None = field(default=None, repr=False)
    allow_private: bool = False
    _public: HttpClient = field(init=False, repr=False)
    _client: HttpClient = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        rule = AddressRule(self.allow_private)
        self._public = HttpClient(rule)
        self._client = HttpClient(rule, authorization=self.authorization)

    async def fetch(self, url: str) -> bytes:
        """Get a public document: metadata or keys; the token is not sent.

        Raises:
            TransmitterError: it is not there.
        """
        bounds = RequestLimits(TIMEOUT, SMALL)
        answer = await self._call(self._public, hdrs.METH_GET, url, None, bounds)
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
        if self.authorization is None:
            raise TransmitterError("no token for the transmitter is set")
        data = None if document is None else orjson.dumps(document)
        bounds = RequestLimits(timeout, largest)
        return await self._call(self._client, method, url, data, bounds)

    async def _call(
        self,
        client: HttpClient,
        method: str,
        url: str,
        data: bytes | None,
        bounds: RequestLimits,
    ) -> TransmitterAnswer:
        headers: dict[str, str] = {
            hdrs.ACCEPT: "application/json",
            hdrs.CONTENT_LANGUAGE: "en",  # of what setErrs describes
        }
        if data is not None:
            headers[hdrs.CONTENT_TYPE] = "application/json"
        try:
            answer = await client.request(
                method, URL(url), headers=headers, data=data, bounds=bounds
            )
        except TransmitterError:  # there is no token to send
            raise
        except RequestError as error:
            failed = NoAnswerError if error.reason == "timeout" else TransmitterError
            reached = error.reason not in ("unreachable", "untrusted")
            text = error.detail or "no answer in time"
            text = text if reached else f"cannot reach it ({text})"
            raise failed(f"{_host(url)}: {text}", error.status) from error
        except ValueError as error:
            raise TransmitterError("a URL of the transmitter cannot be read") from error
        return TransmitterAnswer(answer.status, answer.body)


def _host(url: str) -> str:
    try:
        return URL(url).host or "the transmitter"
    except ValueError:
        return "the transmitter"
