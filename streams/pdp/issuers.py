"""The public keys of the issuers: where they are read from."""

from __future__ import annotations

import asyncio
import http
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp

from streams.clients import jwks_cache as key_set

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from streams.pdp.settings import Issuer

TIMEOUT: Final = 5.0
LARGEST: Final = 1 << 20  # bytes of a set


class IssuerKeys(key_set.JwksCache):
    """The keys of one issuer of the settings.

    Attributes:
        issuer: whose they are.
    """

    def __init__(
        self,
        issuer: Issuer,
        fetch: Callable[[], Awaitable[bytes]],
        clock: Callable[[], float],
    ) -> None:
        """Set up; `run` reads.

        Args:
            issuer: whose keys.
            fetch: gives the bytes of the JWKS.
            clock: seconds, monotonic.
        """
        super().__init__(issuer.issuer, fetch, clock, issuer.refresh_seconds)
        self.issuer = issuer


def fetcher(
    jwks: str, session: aiohttp.ClientSession
) -> Callable[[], Awaitable[bytes]]:
    """Return a function that reads a JWKS from its file or URL."""

    async def from_url() -> bytes:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        async with session.get(jwks, timeout=timeout, allow_redirects=False) as answer:
            if answer.status != http.HTTPStatus.OK:
                message = f"it answers {answer.status}"
                raise ValueError(message)
            data = await answer.content.read(LARGEST + 1)
            while not answer.content.at_eof() and len(data) <= LARGEST:
                data += await answer.content.read(LARGEST + 1 - len(data))
        if len(data) > LARGEST:
            message = f"it is larger than {LARGEST} bytes"
            raise ValueError(message)
        return data

    async def from_file() -> bytes:
        return await asyncio.to_thread(Path(jwks).read_bytes)

    return from_url if "://" in jwks else from_file
