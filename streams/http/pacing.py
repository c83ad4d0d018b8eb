"""Pace bulk imports by the guards: no import costs a guard its lease.

Facts that come faster than a guard applies them leave it behind, and past one lease it
denies. So whoever writes many facts asks for room first. Guards say with each ping how
far they have got.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

BEHIND: Final = 3000  # facts: a guard applies them in about a tenth of a second
LEAST: Final = 250  # where guards, or what brings the facts to them, are slower
FIRST: Final = 500  # until it is seen how fast they are
ROOM_LEASES: Final = 2  # a guard that is slower than that must not stop an import


class Said(NamedTuple):
    """What a guard has applied, when it said so (s of the loop), and the end then."""

    applied: int
    at: float
    end: int


class Pace:
    """How far behind the slowest guard is.

    Attributes:
        coming: facts that have room and are not written yet.
        behind: how many facts guards may be behind: fewer while one of them takes
            longer than from one ping to the next to apply what there is.
    """

    def __init__(self, end: Callable[[], int], lease: float) -> None:
        """Start without guards.

        Args:
            end: gives the log's next offset.
            lease: seconds; of a guard that is silent for longer nothing is known.
        """
        self.coming = 0
        self.behind = FIRST
        self._wanted = False
        self._slow_at = float("-inf")
        self._end = end
        self._lease = lease
        self._said: dict[object, Said] = {}
        self._heard = asyncio.Event()

    def hear(self, guard: object, applied: Any) -> None:
        """Take note of what a guard says; one that says no position is not waited for.

        Args:
            guard: its connection.
            applied: everything below it is applied.
        """
        if isinstance(applied, int):
            said = Said(applied, asyncio.get_running_loop().time(), self._end())
            self._adapt(self._said.get(guard), said)
            self._said[guard] = said
        else:
            self.forget(guard)
        self._heard.set()
        self._heard = asyncio.Event()

    def _adapt(self, before: Said | None, said: Said) -> None:
        """Let in less while a guard is slow, and more again once none was for a lease.

        A lull shows nothing of how fast they are: it grows where more was wanted.
        A guard that stands still is no measure: it must not slow imports for good.
        """
        if before is not None and before.applied < said.applied < before.end:
            self._slow_at = said.at
            self.behind = max(LEAST, self.behind // 2)
        elif self._wanted and said.at - self._slow_at > self._lease:
            self._wanted, self._slow_at = False, said.at
            self.behind = min(BEHIND, self.behind * 2)

    def forget(self, guard: object) -> None:
        """Wait for this connection no more."""
        self._said.pop(guard, None)

    @asynccontextmanager
    async def room(self, facts: int) -> AsyncIterator[None]:
        """Wait while a guard that holds a lease is far behind, but not for long.

        Args:
            facts: how many are written within the context.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(ROOM_LEASES * self._lease):
                while self._end() + self.coming - self._slowest() > self.behind:
                    self._wanted = True
                    await self._heard.wait()
        self.coming += facts
        try:
            yield
        finally:
            self.coming -= facts

    def _slowest(self) -> int:
        since = asyncio.get_running_loop().time() - self._lease
        applied = (said.applied for said in self._said.values() if said.at > since)
        return min(applied, default=self._end())
