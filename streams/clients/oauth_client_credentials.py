"""A bearer token of an authorization server, asked for when it is needed.

The token endpoint is asked by whoever holds the connection: only what its answer
means, and for how long a token is used, is the same for all. Tokens are kept in memory
alone.

Source: RFC 6749 sections 4.4 and 5.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

EARLY: Final = 30.0  # seconds before its end in which a token is not used any more
SHORT: Final = 60.0  # seconds of life where the server does not say
LONG: Final = 30 * 86_400.0  # a life beyond it is no life that a server means
GRANT: Final = {"grant_type": "client_credentials"}


class NoTokenError(ValueError):
    """The answer of a token endpoint holds no token."""


class CachedToken:
    """The token of one client."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Hold none yet; ``clock`` gives seconds."""
        self._clock = clock
        self._token = ""
        self._until = 0.0

    async def token(self, ask: Callable[[], Awaitable[bytes]]) -> str:
        """Token that still lives for a while.

        Args:
            ask: gives the body of a token endpoint's 200 answer.

        Raises:
            NoTokenError: the answer holds none; and what ``ask`` raises.
        """
        if not self._token or self._clock() >= self._until:
            asked_at = self._clock()
            self._token, seconds = _read(await ask())
            self._until = asked_at + max(seconds - EARLY, seconds / 2)
        return self._token

    def refused(self) -> None:
        """Forget the token: it may have been ended before its time."""
        self._token = ""


def _read(body: bytes) -> tuple[str, float]:
    try:
        answer: Any = orjson.loads(body)
        token = answer["access_token"]
        seconds = float(answer.get("expires_in", SHORT))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoTokenError("the token endpoint gives no access_token") from error
    if not 0 < seconds < LONG:
        seconds = SHORT
    fits = isinstance(token, str) and token.isascii() and token.isprintable()
    if not fits or not token or " " in token:
        raise NoTokenError("the token endpoint gives no access_token")
    return token, seconds
