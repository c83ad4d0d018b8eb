"""The public keys of an issuer, kept current.

Keys are read at the start, when they get old, and when a token names one that is not
there: then at most once a minute, however many such tokens arrive. A key that the
issuer took out of its set is gone with the next reading. While the set cannot be
read, the last one stays good.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self

import structlog
from attrs import define, field

from streams.outbound.answers import RequestError
from streams.sources.ssf.verifier import read_jwks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from streams.sources.ssf.verifier import Keys

COOL_DOWN: Final = 60.0  # seconds between readings that tokens ask for
RETRY: Final = 5.0  # seconds, while there are no keys at all

log = structlog.get_logger()


@define(eq=False)
class JwksCache:
    """The keys of one issuer.

    Attributes:
        name: of the issuer, for the log.
        fetch: gives the bytes of the JWKS.
        clock: seconds, monotonic.
        refresh_seconds: how old keys may get.
        keys: by kid; empty until they were read once.
        loaded: they were read once.
        good_at: when they were read last, by the clock (s); None: never.
        failed: the last reading failed.
        readings: how often it was tried to read them.
        failures: how often that failed.
    """

    _name: str
    _fetch: Callable[[], Awaitable[bytes]]
    _clock: Callable[[], float]
    _refresh_seconds: float
    keys: Keys = field(factory=dict, init=False)
    loaded: bool = field(default=False, init=False)
    good_at: float | None = field(default=None, init=False)
    failed: bool = field(default=False, init=False)
    failures: int = field(default=0, init=False)
    readings: int = field(default=0, init=False)
    _read_at: float | None = field(default=None, init=False)
    _reading: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    @classmethod
    def of_file(
        cls,
        name: str,
        path: Path,
        clock: Callable[[], float],
        refresh_seconds: float,
    ) -> Self:
        """Keys of a file, which is read at once and again as `run` does.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is no JWKS.
        """

        async def fetch() -> bytes:
            return await asyncio.to_thread(path.read_bytes)

        made = cls(name, fetch, clock, refresh_seconds)
        made.keys = read_jwks(path.read_bytes())
        made.loaded = True
        made.good_at = clock()
        return made

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
        if self.loaded:  # from a file, at the start
            await asyncio.sleep(self._refresh_seconds)
        while True:
            async with self._reading:
                await self._read()
            await asyncio.sleep(self._refresh_seconds if self.loaded else RETRY)

    async def _read(self) -> None:
        self._read_at = self._clock()
        try:
            self.keys = read_jwks(await self._fetch())
            self.loaded = True
            self.good_at = self._read_at
            self.failed = False
        except (
            OSError,
            RequestError,
            ValueError,
        ) as error:
            self.failures += 1
            self.failed = True
            why = f"{type(error).__name__}: {error}"
            log.warning("keys_not_read", issuer=self._name, error=why)
        self.readings += 1
