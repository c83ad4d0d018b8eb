"""The one HTTP client for requests to other systems.

- Each request is bounded in time, from the name to the last byte, and in size.
- No redirect is followed, no proxy is asked and no cookie is kept: a credential goes
  to the host that was named, and to no other.
- Where the target is in the settings of a receiver, an `AddressRule` says which
  addresses it may have; the name is resolved once a request, each address is checked,
  and the connection goes to the checked ones.
- What a network or a host does wrong is a `RequestError`, whose text names neither the
  URL nor a header.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import aiohttp
from attrs import define, field, frozen
from yarl import URL

from streams.outbound.answers import HttpAnswer, RequestError
from streams.outbound.pinned import Pinned

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from ssl import SSLContext

    from streams.outbound.pinned import AddressRule

CUT_SECONDS: Final = 1.0


@frozen
class RequestLimits:
    """Limits of one request.

    Attributes:
        seconds: from the name to the last byte of the answer.
        largest: bytes of its body.
        cut: a longer or slower body is cut, and is no error: the status counts.
    """

    seconds: float = 60.0
    largest: int = 64 << 20
    cut: bool = False


DEFAULT: Final = RequestLimits()
UNAUTHORIZED: Final = 401


class AuthorizationHeader(Protocol):
    """Authorises requests."""

    async def value(self, client: HttpClient) -> str:
        """Value of the header, as it is now.

        Args:
            client: to ask with, where that is needed.

        Raises:
            RequestError: there is none for now.
        """

    def refused(self, value: str) -> bool:
        """Note that a value was not taken; tell whether there may be another one."""


@define(eq=False, repr=False)
class HttpClient:
    """Makes requests; connections are kept until it is left.

    With a rule for addresses, each request connects anew. Nothing is opened before the
    first one.

    Attributes:
        rule: which addresses may be connected to; None: all.
        authorization: of each request; None: there is none.
        header: that carries it.
        tls: whom to trust, where that is not who everybody trusts.
        at_once: connections.
    """

    _rule: AddressRule | None = None
    _authorization: AuthorizationHeader | None = field(default=None, kw_only=True)
    _header: str = field(default="authorization", kw_only=True)
    _tls: SSLContext | None = field(default=None, kw_only=True)
    _at_once: int = field(default=100, kw_only=True)
    _kept: aiohttp.ClientSession | None = field(default=None, init=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._kept is not None:
            await self._kept.close()
            self._kept = None

    async def request(
        self,
        method: str,
        url: str | URL,
        *,
        headers: Mapping[str, str] | None = None,
        data: Any = None,
        bounds: RequestLimits = DEFAULT,
    ) -> HttpAnswer:
        """Make one attempt, and one more where the authorization is renewed.

        Args:
            method: of HTTP.
            url: a text is sent as it is: a link of an answer may hold what another
                spelling would break.
            headers: to send.
            data: the body: bytes, or the fields of a form.
            bounds: in which there must be an answer.

        Raises:
            RequestError: there is none, whatever its status; or no authorization.
        """
        by, given = self._authorization, headers or {}
        if by is None:
            return await self.attempt(method, url, given, data, bounds)
        value = await by.value(self)
        sent = {**given, self._header: value}
        answer = await self.attempt(method, url, sent, data, bounds)
        if answer.status != UNAUTHORIZED or not by.refused(value):
            return answer
        sent = {**given, self._header: await by.value(self)}
        return await self.attempt(method, url, sent, data, bounds)

    async def attempt(
        self,
        method: str,
        url: str | URL,
        headers: Mapping[str, str],
        data: Any = None,
        bounds: RequestLimits = DEFAULT,
    ) -> HttpAnswer:
        """Make one attempt without authorization, as `request` says."""
        try:
            where = url if isinstance(url, URL) else URL(url, encoded=True)
            async with asyncio.timeout(bounds.seconds), AsyncExitStack() as open_:
                session = await self._session(where, open_)
                got = await open_.enter_async_context(
                    session.request(
                        method, where, headers=headers, data=data, allow_redirects=False
                    )
                )
                read = _beginning if bounds.cut else _whole
                body = await read(got.content, bounds.largest)
                return HttpAnswer(joined(got.headers.items()), body, got.status)
        except TimeoutError as error:
            raise RequestError("timeout") from error
        except aiohttp.ClientSSLError as error:
            raise RequestError("untrusted", type(error).__name__) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise RequestError("unreachable", type(error).__name__) from error

    async def _session(self, url: URL, open_: AsyncExitStack) -> aiohttp.ClientSession:
        if self._rule is not None:
            if url.scheme not in ("http", "https") or not url.host:
                raise RequestError("refused_url", "the URL is not one of http or https")
            if url.user is not None or url.password is not None:
                raise RequestError("refused_url", "the URL must not hold a password")
            resolver = Pinned(await self._rule.addresses(url))
            return await open_.enter_async_context(self._opened(resolver))
        if self._kept is None:
            self._kept = self._opened(None)
        return self._kept

    def _opened(self, resolver: Pinned | None) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=resolver,
            use_dns_cache=resolver is None,
            force_close=resolver is not None,
            limit=self._at_once,
            ssl=True if self._tls is None else self._tls,
        )
        # Nobody sends a zip bomb where the target is somebody's choice.
        encoding = {} if resolver is None else {"Accept-Encoding": "identity"}
        return plain_session(
            connector, {"User-Agent": "Rescind"} | encoding, unpack=resolver is None
        )


def plain_session(
    connector: aiohttp.TCPConnector,
    headers: Mapping[str, str] | None = None,
    *,
    unpack: bool = True,
) -> aiohttp.ClientSession:
    """Session without cookies, proxy and limit of time; for answers that are passed on.

    Args:
        connector: of its connections.
        headers: of each request.
        unpack: answers are unpacked.
    """
    return aiohttp.ClientSession(
        connector=connector,
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(None),  # each request has its own
        trust_env=False,  # a proxy would see the credential, and resolve again
        auto_decompress=unpack,
    )


def joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by their names in lower case, those of one name as one.

    RFC 9110 section 5.3. Some send a Link header for each link.
    """
    given: dict[str, str] = {}
    for name, value in headers:
        key = name.casefold()
        given[key] = f"{given[key]}, {value}" if key in given else value
    return given


async def _whole(content: aiohttp.StreamReader, largest: int) -> bytes:
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > largest:
            raise RequestError("too_large", f"longer than {largest} bytes")
    return bytes(body)


async def _beginning(content: aiohttp.StreamReader, largest: int) -> bytes:
    """Read what fits, so that a receiver may finish its answer."""
    body = bytearray()
    with suppress(aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(CUT_SECONDS):
            while left := largest - len(body):
                chunk = await content.read(left)
                if not chunk:
                    break
                body += chunk
    return bytes(body)
