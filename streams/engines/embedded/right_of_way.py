"""What guards wait for goes first: long work rests until they were sent a cause.

All threads of a process share one lock of the interpreter. Beside a thread that
computes, each system call of the feed costs it a wait for that lock, and more where the
other thread is put aside while it holds it. So long work of the analysis rests from the
commit of a cause until the feed has handed it on to each guard that kept up, and for
`TAKEN_UP` more: guards on the same machine need its cores to apply it.

What the feed has handed on is told by its offset: a commit that came before the cause
gives nothing back. It rests for `LONGEST` at most, however slow a guard is, and then
works for as long as it rested: causes without end at most halve it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from streams.engines.embedded.crossing import end_in_its_loop

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST: Final = 0.05  # seconds
TAKEN_UP: Final = 0.02


class RightOfWay:
    """Taken by the writer of a cause, given back by the feed; any thread may look."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with nobody that goes first.

        Args:
            clock: gives seconds that nobody sets.
        """
        self._clock = clock
        self._lock = threading.Lock()
        self._since = 0.0
        self._until = 0.0
        self._next = 0.0  # before then it is not taken again
        self._given = False
        self._offset = 0  # below which guards have to be sent all
        self._resting: list[asyncio.Future[None]] = []

    def take(self, end: int) -> None:
        """Have long work rest from now on, where it had its turn since.

        Args:
            end: offset behind what guards wait for.
        """
        with self._lock:
            now = self._clock()
            self._offset = max(self._offset, end)
            if now >= self._next:
                self._since, self._until = now, now + LONGEST
                self._given = False
                self._next = self._until + LONGEST

    def give(self, end: int) -> None:
        """Let long work go on, once guards had a moment for what they were sent.

        Args:
            end: offset below which each guard that kept up was sent all.
        """
        with self._lock:
            until = self._clock() + TAKEN_UP
            if self._given or end < self._offset or until >= self._until:
                return
            self._given = True
            self._next = until + (until - self._since)
            self._until = until
            resting, self._resting = self._resting, []
        for future in resting:
            end_in_its_loop(future)

    def taken(self) -> bool:
        """Whether long work is to rest now."""
        return self._until > 0.0 and self._clock() < self._until

    async def over(self) -> None:
        """Rest until long work may go on."""
        while self.taken():
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            with self._lock:
                left = self._until - self._clock()
                self._resting.append(future)
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await future
            with self._lock, suppress(ValueError):
                self._resting.remove(future)
