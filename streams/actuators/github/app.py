"""How a GitHub App authorises itself: by a JWT of its own, or as its installation.

Source: GitHub documentation, "Generating a JSON Web Token (JWT) for a GitHub App",
"Authenticating as a GitHub App installation" (a token lives for an hour).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import jwt
from attrs import define, field, frozen

from streams.actuators.calls import path
from streams.actuators.github.limits import limited
from streams.outbound.answers import RequestError, UnreadableAnswerError
from streams.outbound.client import RequestLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.outbound.client import HttpClient

DRIFT: Final = 60  # seconds that its clock may be behind
LIFE: Final = 540  # seconds; GitHub takes ten minutes at most
LASTS: Final = 3000.0  # seconds that a token is used for
SMALL: Final = RequestLimits(seconds=15.0, largest=1 << 20)
ACCEPT: Final = {"accept": "application/vnd.github+json"}
CREATED: Final = 201


@frozen
class AppHeader:
    """The app itself.

    Attributes:
        app: its id, or its client id.
        key: gives its private key (PEM).
        clock: gives seconds.
    """

    app: str
    key: Callable[[], str] = field(repr=False)
    clock: Callable[[], float]

    async def value(self, client: HttpClient) -> str:
        """Bearer JWT for now.

        Raises:
            RequestError: the private key cannot be used.
        """
        del client
        now = int(self.clock())
        claims: dict[str, Any] = {
            "iss": self.app,
            "iat": now - DRIFT,
            "exp": now + LIFE,
        }
        try:
            return f"Bearer {jwt.encode(claims, self.key(), 'RS256')}"
        except (OSError, ValueError, TypeError, jwt.PyJWTError) as error:
            raise RequestError("no_key", "the app's private key") from error

    def refused(self, value: str) -> bool:
        """Do nothing: there is no other one."""
        del value
        return False


@define(eq=False)
class InstallationHeader:
    """The app's installation, by a token that is got anew before its end.

    Attributes:
        app: authorises the question for a token.
        base: URL of the API.
        installation: its id.
    """

    app: AppHeader
    base: str
    installation: str
    _token: str = field(default="", init=False, repr=False)
    _until: float = field(default=0.0, init=False)
    _asking: asyncio.Lock = field(factory=asyncio.Lock, init=False, repr=False)

    async def value(self, client: HttpClient) -> str:
        """Bearer token that lives for a while.

        Raises:
            RequestError: GitHub gives none.
        """
        async with self._asking:
            now = self.app.clock()
            if not self._token or now >= self._until:
                self._token = await self._asked(client)
                self._until = now + LASTS
        return f"Bearer {self._token}"

    def refused(self, value: str) -> bool:
        """Forget the token, if it is this one."""
        if value == f"Bearer {self._token}":
            self._token = ""
        return True

    async def _asked(self, client: HttpClient) -> str:
        where = path("app", "installations", self.installation, "access_tokens")
        headers = {**ACCEPT, "authorization": await self.app.value(client)}
        place = self.base + where
        answer = limited(await client.attempt("POST", place, headers, None, SMALL))
        try:
            token = answer.object().get("token")
        except UnreadableAnswerError:
            token = None
        if answer.status != CREATED or not isinstance(token, str) or not token:
            text = "GitHub gives the installation no token"
            raise RequestError("no_token", text, answer=answer)
        return token
