"""The bearer token for a transmitter's API: kept in a file, or got from its server.

Secrets are read from a file or an environment variable, anew each time they are used,
so that something beside us may renew them; they stand in no error.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from attrs import frozen
from yarl import URL

from streams.outbound.client_credentials import ClientCredentials, StoredHeader
from streams.ssf.transport import TransmitterError

if TYPE_CHECKING:
    from pathlib import Path

    from streams.outbound.client import AuthorizationHeader

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


def tokens_of(
    secret: KeptSecret, token_url: str, client_id: str
) -> AuthorizationHeader:
    """Source of tokens: client credentials where there is a token endpoint."""
    if not token_url:
        return StoredHeader(lambda: f"Bearer {secret.read()}")
    return ClientCredentials(
        URL(token_url), client_id, secret.read, time.monotonic, SCOPE, basic=True
    )
