"""What a request authorises itself with: a stored value, or an access token.

The client credentials grant is one flow for all that need it: the token is kept in
memory alone, until shortly before its end; callers at the same moment ask once; one
that is refused is got anew, once.

Source: RFC 6749 sections 2.3.1, 4.4 and 5.1.
"""

from __future__ import annotations

import asyncio
import base64
import http
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus, urlencode

from attrs import define, field, frozen
from yarl import URL

from streams.outbound.answers import HttpAnswer, RequestError
from streams.outbound.client import RequestLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.outbound.client import HttpClient

EARLY: Final = 30.0  # seconds before its end in which a token is not used any more
SHORT: Final = 60.0  # seconds of life where the server does not say
LONG: Final = 30 * 86_400.0  # a life beyond it is no life that a server means
NONE: Final = "the token endpoint gives no access_token"
SMALL: Final = RequestLimits(seconds=15.0, largest=1 << 20)
FORM: Final = "application/x-www-form-urlencoded"


class NoTokenError(RequestError):
    """There is no access token; the text says what the token endpoint did."""


@frozen
class StoredHeader:
    """A value that somebody else keeps, read anew each time; its text is a secret."""

    read: Callable[[], str] = field(repr=False)

    async def value(self, client: HttpClient) -> str:
        """Return it; raises what ``read`` raises."""
        del client
        return self.read()

    def refused(self, value: str) -> bool:
        """Do nothing: there is no other one."""
        del value
        return False


@define(eq=False)
class ClientCredentials:
    """Access tokens of one client.

    Attributes:
        url: of the token endpoint.
        client_id: of the client.
        secret: gives its password; called for each token, so that it may be renewed.
        clock: gives seconds.
        scope: to ask for; empty: none.
        basic: the client authenticates by HTTP Basic, and not in the body.
    """

    url: str | URL
    client_id: str
    secret: Callable[[], str] = field(repr=False)
    clock: Callable[[], float]
    scope: str = ""
    basic: bool = False
    _token: str = field(default="", init=False, repr=False)
    _until: float = field(default=0.0, init=False)
    _asking: asyncio.Lock = field(factory=asyncio.Lock, init=False, repr=False)

    async def value(self, client: HttpClient) -> str:
        """Bearer token that still lives for a while.

        Raises:
            NoTokenError: the endpoint gives none; and what ``secret`` raises.
        """
        async with self._asking:
            now = self.clock()
            if not self._token or now >= self._until:
                self._token, seconds = _read(await self._ask(client))
                self._until = now + max(seconds - EARLY, seconds / 2)
        return f"Bearer {self._token}"

    def refused(self, value: str) -> bool:
        """Forget the token, if it is this one: it was ended before its time."""
        if value == f"Bearer {self._token}":
            self._token = ""
        return True

    async def _ask(self, client: HttpClient) -> HttpAnswer:
        form = {"grant_type": "client_credentials"}
        if self.scope:
            form["scope"] = self.scope
        headers = {"Content-Type": FORM, "Accept": "application/json"}
        secret = self.secret()
        if self.basic:
            pair = f"{quote_plus(self.client_id)}:{quote_plus(secret)}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        else:
            form |= {"client_id": self.client_id, "client_secret": secret}
        data = urlencode(form).encode()
        try:
            answer = await client.attempt("POST", self.url, headers, data, SMALL)
        except RequestError as error:
            text = f"the token endpoint: {error}"
            raise NoTokenError("no_token", text) from error
        if answer.status != http.HTTPStatus.OK:
            text = f"the token endpoint answers {answer.status}: check client and scope"
            raise NoTokenError("no_token", text, answer=answer)
        return answer


def _read(answer: HttpAnswer) -> tuple[str, float]:
    try:
        found = answer.object()
        token: Any = found["access_token"]
        seconds = float(found.get("expires_in", SHORT))
    except (ValueError, KeyError, TypeError) as error:
        raise NoTokenError("no_token", NONE) from error
    if not 0 < seconds < LONG:
        seconds = SHORT
    fits = isinstance(token, str) and token.isascii() and token.isprintable()
    if not fits or not token or " " in token:
        raise NoTokenError("no_token", NONE)
    return token, seconds
