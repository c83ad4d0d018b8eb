"""What a poll authorises itself with; tokens are held in memory only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import aiohttp
import orjson
from attrs import field, frozen

from streams.pollers.transport import FailedError, fetch
from streams.times import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

EARLY: Final = 30  # seconds before its end in which a token is not used any more
_SHORTEST: Final = 1


class Authorization(Protocol):
    """Gives the Authorization header."""

    async def header(self, session: aiohttp.ClientSession) -> str:
        """Give its value.

        Raises:
            FailedError: there is none for now.
        """
        ...

    def refused(self) -> None:
        """Note that the vendor did not take it."""


@frozen
class Fixed:
    """A header that an operator configured."""

    value: str = field(repr=False)

    async def header(self, session: aiohttp.ClientSession) -> str:
        """Give it."""
        del session
        return self.value

    def refused(self) -> None:
        """Do nothing: there is no other one."""


class ClientCredentials:
    """Tokens by the client credentials grant (RFC 6749 section 4.4).

    The client authenticates in the body (section 2.3.1): Entra and Keycloak take both.
    """

    def __init__(
        self, url: str, client: dict[str, str], clock: Callable[[], int]
    ) -> None:
        """Ask at a token endpoint; ``client`` holds the fields of the request."""
        self._url = url
        self._form = {"grant_type": "client_credentials"} | client
        self._clock = clock
        self._token = ""
        self._until = 0

    async def header(self, session: aiohttp.ClientSession) -> str:
        """Give the token at hand, or a new one.

        Raises:
            FailedError: the endpoint gives none.
        """
        now = self._clock()
        if not self._token or now >= self._until:
            answer = await fetch(session, "POST", self._url, now, data=self._form)
            self._token, lifetime = _token_of(answer.body)
            self._until = now + max(lifetime - EARLY, _SHORTEST) * SECOND
        return f"Bearer {self._token}"

    def refused(self) -> None:
        """Ask for a new one next time."""
        self._token = ""


def _token_of(body: bytes) -> tuple[str, int]:
    """Read the answer of a token endpoint (RFC 6749 section 5.1)."""
    try:
        answer: Any = orjson.loads(body)
        token, lifetime = answer["access_token"], int(answer.get("expires_in", 60))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FailedError("no_token") from error
    if not isinstance(token, str) or not token or not token.isprintable():
        raise FailedError("no_token")
    return token, lifetime
