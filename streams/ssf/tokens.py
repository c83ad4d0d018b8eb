"""The bearer token for a transmitter's API: kept in a file, or got from its server.

Secrets are read from a file or an environment variable, anew each time they are used,
so that something beside us may renew them; they stand in no error.
"""

from __future__ import annotations

import base64
import http
import os
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_plus

from attrs import field, frozen

from streams.clients.oauth_client_credentials import GRANT, CachedToken, NoTokenError
from streams.ssf.transport import TransmitterError, Transport

if TYPE_CHECKING:
    from pathlib import Path

    from streams.ssf.transport import TokenSource

SCOPE: Final = "ssf.manage ssf.read"


@frozen
class KeptSecret:
    """A secret that somebody else keeps.

    Attributes:
        file: that holds it; wins over the variable.
        variable: name of the environment variable.
    """

    file: Path | None
    variable: str

    def read(self) -> str:
        """Secret.

        Raises:
            TransmitterError: it is not there; nothing of it is told.
        """
        file, where = self.file, f"the variable {self.variable}"
        if file is not None:
            where = f"the file {file}"
        try:
            text = os.environ.get(self.variable, "") if not file else file.read_text()
        except (OSError, ValueError) as error:
            raise TransmitterError(f"cannot read {where}") from error
        secret = text.strip()
        fits = secret.isascii() and secret.isprintable() and " " not in secret
        if not secret or not fits:
            raise TransmitterError(f"{where} holds no token on one line")
        return secret


@frozen
class StoredToken:
    """A token that stands in a file or a variable."""

    secret: KeptSecret

    async def token(self) -> str:
        """Token as it is now."""
        return self.secret.read()

    def refused(self) -> bool:
        """Do nothing: there is no other token."""
        return False


@frozen
class ClientCredentials:
    """Tokens of an authorization server, for our own client (RFC 6749 section 4.4).

    Attributes:
        transport: without a token of its own.
        url: the token endpoint.
        client_id: of our client; secret: its password (client_secret_basic).
    """

    transport: Transport
    url: str
    client_id: str
    secret: KeptSecret
    _held: CachedToken = field(
        factory=lambda: CachedToken(time.monotonic), init=False, repr=False
    )

    async def token(self) -> str:
        """Token that still lives for a while.

        Raises:
            TransmitterError: the server gives none.
        """
        try:
            return await self._held.token(self._ask)
        except NoTokenError as error:
            raise TransmitterError(str(error)) from error

    async def _ask(self) -> bytes:
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.secret.read())}"
        answer = await self.transport.form(
            self.url,
            GRANT | {"scope": SCOPE},
            f"Basic {base64.b64encode(pair.encode()).decode()}",
        )
        if answer.status != http.HTTPStatus.OK:
            text = f"the token endpoint answers {answer.status}: check client and scope"
            raise TransmitterError(text, answer.status)
        return answer.body

    def refused(self) -> bool:
        """Forget the token: there may be another one."""
        self._held.refused()
        return True


def tokens_of(
    public: Transport, secret: KeptSecret, token_url: str, client_id: str
) -> TokenSource:
    """Source of tokens: client credentials where there is a token endpoint."""
    if not token_url:
        return StoredToken(secret)
    return ClientCredentials(public, token_url, client_id, secret)
