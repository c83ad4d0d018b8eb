"""What a guard waits for: facts that are applied, a proof, a lease."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from enforcement.conclusion import Conclusion
from enforcement.readiness import wait
from enforcement.standing import AnyStanding, Feeding
from enforcement.token import Token

if TYPE_CHECKING:
    from collections.abc import Callable


OfStanding = TypeVar("OfStanding", bound=AnyStanding[Any, Any])
OfFeed = TypeVar("OfFeed", bound=Feeding)


class Awaiting(Conclusion, Generic[OfStanding, OfFeed]):
    """The part of a guard that waits.

    Attributes:
        standing: its replica and its lease.
        feed: what keeps them current.
    """

    standing: OfStanding
    feed: OfFeed

    async def wait_for(self, token: Token | str, timeout: float) -> bool:  # noqa: ASYNC109
        """Wait until the facts of a token are applied; tell whether they are.

        Args:
            token: what the server answered to the revocation.
            timeout: seconds.

        Raises:
            ValueError: it is not a token.
        """
        wanted = Token.of(token)
        return await self._until(lambda: self.standing.covers(wanted), timeout)

    async def proven(self, timeout: float) -> bool:  # noqa: ASYNC109
        """Wait until all is applied that was accepted so far; tell whether it is.

        Args:
            timeout: seconds.
        """
        # A lease ends one length after the moment of which it proves anything.
        enough = self._clock() + self.standing.lease.length
        return await self._until(lambda: self.standing.deadline >= enough, timeout)

    async def _until(self, reached: Callable[[], bool], seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                while not reached():
                    await self.feed.progress()
        except TimeoutError:
            return False
        return True

    def applied(self) -> Token | None:
        """Token of the last applied offset; ask before `check`, for its log."""
        applied = self.standing.applied()
        if applied is None:
            return None
        return Token(applied[0], self.standing.partition, applied[1])

    async def ready(self, timeout: float, *, required: bool = True) -> bool:  # noqa: ASYNC109
        """Wait until the guard holds a lease; tell whether it does.

        Args:
            timeout: seconds.
            required: raise where it does not.

        Raises:
            NotReadyError: it does not, and is required to.
        """
        return await wait(self.standing, self.feed, timeout, required=required)
