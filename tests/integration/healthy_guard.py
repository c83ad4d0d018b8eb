"""A guard beside a server that is kept busy: in a thread and an event loop of its own.

It looks every few milliseconds whether it holds its lease, by its own clock, so a
server that falls silent for longer than a lease is found out.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from attrs import define, field

from enforcement import Guard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LOOK_SECONDS = 0.01
READY_SECONDS = 50.0


@define
class HealthyGuard:
    """A guard that counts how often its lease was lost since it had the first one.

    Attributes:
        holds: it holds one now.
        denied: identifiers that it denies; ask with `watch`.
    """

    url: str
    lease: float
    token: str = "guard"
    lost: int = 0
    holds: bool = False
    denied: set[str] = field(factory=set)
    _watched: list[str] = field(factory=list)
    _ready: threading.Event = field(factory=threading.Event)
    _stop: threading.Event = field(factory=threading.Event)

    def watch(self, identifier: str) -> None:
        """Note in ``denied`` when the guard denies it, with a lease held."""
        self._watched.append(identifier)

    async def _run(self) -> None:
        guard = Guard(self.url, self.token, name="healthy", lease=self.lease)
        async with guard:
            if not await guard.ready(READY_SECONDS, required=False):
                return
            self.holds = True
            self._ready.set()
            while not self._stop.is_set():
                await asyncio.sleep(LOOK_SECONDS)
                before, self.holds = self.holds, guard.standing.holds()
                self.lost += before and not self.holds
                if self.holds:
                    for name in self._watched:
                        if not guard.check((name,)).allowed:
                            self.denied.add(name)


@asynccontextmanager
async def beside(
    url: str, lease: float, token: str = "guard"
) -> AsyncIterator[HealthyGuard]:
    """Run one until the context ends; it holds a lease from the beginning."""
    one = HealthyGuard(url, lease, token)
    thread = threading.Thread(target=lambda: asyncio.run(one._run()), daemon=True)
    thread.start()
    try:
        assert await asyncio.to_thread(one._ready.wait, READY_SECONDS)
        yield one
    finally:
        one._stop.set()
        await asyncio.to_thread(thread.join)
