"""What a poll authorises itself with; tokens are held in memory only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import field, frozen

from streams.clients.oauth_client_credentials import GRANT, CachedToken, NoTokenError
from streams.model.times import SECOND
from streams.pollers.transport import FailedError, fetch

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp


class AuthorizationHeader(Protocol):
    """Gives the Authorization header."""

    async def header(self, session: aiohttp.ClientSession) -> str:
        """Its value.

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
        """Return the the header, which never changes."""
        del session
        return self.value

    def refused(self) -> None:
        """Do nothing: there is no other one."""


class ClientCredentialsGrant:
    """Tokens by the client credentials grant (RFC 6749 section 4.4).

    The client authenticates in the body (section 2.3.1): Entra and Keycloak take both.
    """

    def __init__(
        self, url: str, client: dict[str, str], clock: Callable[[], int]
    ) -> None:
        """Ask at a token endpoint; ``client`` holds the fields of the request."""
        self._url = url
        self._form = GRANT | client
        self._clock = clock
        self._held = CachedToken(lambda: clock() / SECOND)

    async def header(self, session: aiohttp.ClientSession) -> str:
        """Token at hand, or a new one.

        Raises:
            FailedError: the endpoint gives none.
        """

        async def ask() -> bytes:
            now = self._clock()
            return (await fetch(session, "POST", self._url, now, data=self._form)).body

        try:
            return f"Bearer {await self._held.token(ask)}"
        except NoTokenError as error:
            raise FailedError("no_token") from error

    def refused(self) -> None:
        """Ask for a new one next time."""
        self._held.refused()
