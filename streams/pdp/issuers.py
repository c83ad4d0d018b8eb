"""The public keys of the issuers, kept current.

Keys are read at the start, when they get old, and when a token names one that is not
there: then at most once a minute, however many such tokens arrive. A key that the
issuer took out of its set is gone with the next reading. While the set cannot be
read, the last one stays good.
"""

from __future__ import annotations

import asyncio
import http
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
import structlog

from streams.sources.set_verifier import read_jwks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from streams.pdp.settings import Issuer
    from streams.sources.set_verifier import Keys

COOL_DOWN: Final = 60.0  # seconds between readings that tokens ask for
RETRY: Final = 5.0  # seconds, while there are no keys at all
TIMEOUT: Final = 5.0
LARGEST: Final = 1 << 20  # bytes of a set

log = structlog.get_logger()


class KeySet:
    """The keys of one issuer.

    Attributes:
        issuer: whose they are.
        keys: by kid; empty until they were read once.
        loaded: they were read once.
        readings: how often it was tried to read them.
        failures: how often that failed.
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
        self.issuer = issuer
        self.keys: Keys = {}
        self.loaded = False
        self.failures = 0
        self._fetch = fetch
        self._clock = clock
        self._read_at: float | None = None
        self.readings = 0
        self._reading = asyncio.Lock()

    async def refresh(self) -> bool:
        """Read the keys for a token that names an unknown one; tell whether it did.

        Of callers at the same moment one reads and the others wait for it.
        """
        before = self.readings
        async with self._reading:
            if self.readings != before:
                return True
            if self._read_at is not None and self._clock() - self._read_at < COOL_DOWN:
                return False
            await self._read()
        return True

    async def run(self) -> None:
        """Keep the keys from getting old, until cancelled."""
        while True:
            async with self._reading:
                await self._read()
            await asyncio.sleep(self.issuer.refresh_seconds if self.loaded else RETRY)

    async def _read(self) -> None:
        self._read_at = self._clock()
        try:
            self.keys = read_jwks(await self._fetch())
            self.loaded = True
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            self.failures += 1
            why = f"{type(error).__name__}: {error}"
            log.warning("keys_not_read", issuer=self.issuer.issuer, error=why)
        self.readings += 1


def fetcher(
    jwks: str, session: aiohttp.ClientSession
) -> Callable[[], Awaitable[bytes]]:
    """Give what reads a JWKS from its file or URL."""

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
