"""Static tokens that count no longer, while the process runs.

The file only takes rights away: what was read once as revoked stays so until the
process ends, whatever becomes of the file, and a wrong line spoils no other.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from streams.http.tls import stamp
from streams.settings.revoked_tokens import revoked_in

if TYPE_CHECKING:
    from pathlib import Path

    from streams.http.auth import Tokens

LOOK_SECONDS: Final = 1.0

log = structlog.get_logger()


class RevokedTokens:
    """Follows the file of revoked tokens."""

    def __init__(self, path: Path, tokens: Tokens) -> None:
        """Read the file.

        Raises:
            ValueError: it cannot be read, or a line of it; the text says which.
        """
        self._path, self._tokens = path, tokens
        self._stamp = stamp(path)
        try:
            digests, wrong = revoked_in(path)
        except OSError as error:
            raise ValueError(f"revoked_tokens: {path}: {error.strerror}") from error
        if wrong:
            message = f"line {wrong[0]} begins with no SHA-256 of a token, in hex"
            raise ValueError(f"revoked_tokens: {path}: {message}")
        tokens.revoke(digests)

    async def run(self) -> None:
        """Look for a changed file until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Read the file again if it changed."""
        now = stamp(self._path)
        if now == self._stamp:
            return
        try:
            digests, wrong = revoked_in(self._path)
        except OSError as error:
            log.warning("revoked_tokens_not_read", error=str(error))
            return
        self._stamp = now
        names = self._tokens.revoke(digests)
        if wrong:
            log.error("revoked_tokens_not_read", file=str(self._path), lines=wrong)
        if names:
            log.warning("tokens_revoked", names=names)
