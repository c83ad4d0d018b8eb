"""The public keys of an issuer in a file, read again when a key is missing."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

from streams.sources.set_verifier import Keys, UnknownKeyError, read_jwks
from streams.times import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

REFRESH: Final = 60 * SECOND


class JwksFile:
    """Keys that an operator keeps current.

    A token with an unknown kid makes the file be read again, once a minute at most
    however many such tokens arrive.
    """

    def __init__(self, path: Path) -> None:
        """Read the keys.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is no JWKS.
        """
        self._path = path
        self._keys: Keys = read_jwks(path.read_bytes())
        self._read_at: int | None = None

    def verified(self, verify: Callable[[Keys], T], now: int) -> T:
        """Verify with the keys, with newer ones where the token's is not known.

        Raises:
            SetRefusedError: as ``verify`` does.
        """
        try:
            return verify(self._keys)
        except UnknownKeyError:
            if self._read_at is not None and now - self._read_at < REFRESH:
                raise
        self._read_at = now
        # While the file is being replaced the old keys stay good.
        with suppress(OSError, ValueError):
            self._keys = read_jwks(self._path.read_bytes())
        return verify(self._keys)
