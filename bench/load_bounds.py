"""What the load of a fleet gives up, and says so: no part of it may wait for ever.

A busy machine, or a process that does not come back, must not cost what was found
before: each part has a time of its own, the next one follows, and the table says what
was given up.
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from bench.load_fleet import Slot

MOST: Final = 160  # characters of a reason in the table; stderr has all of it


@asynccontextmanager
async def bounded(
    given_up: list[str], what: str, seconds: float = math.inf
) -> AsyncIterator[None]:
    """Run a part; where it fails or takes longer, note that, and go on.

    Args:
        given_up: takes the note.
        what: the part, and who takes part in it.
        seconds: that it may take; by default it bounds itself.
    """
    limit = asyncio.timeout(None if seconds == math.inf else seconds)
    try:
        async with limit:
            yield
    except Exception as error:  # noqa: BLE001
        # The boundary of a part: its failure is a line of the table.
        why = f"longer than {seconds:.0f} s" if limit.expired() else _reason(error)
        note(given_up, f"{what}: {why}")


class Restarts:
    """Restarts of processes, one after the other; none waits for one that hangs.

    Attributes:
        running: all that were begun, by the process.
    """

    def __init__(self, given_up: list[str]) -> None:
        """Begin with none.

        Args:
            given_up: takes what did not come back.
        """
        self.running: dict[Slot, asyncio.Task[None]] = {}
        self._given_up = given_up

    async def each(
        self,
        slots: Iterable[Slot],
        restart: Callable[[Slot], Awaitable[Any]],
        until: float,
        seconds: float,
    ) -> None:
        """Restart all.

        Args:
            slots: the processes.
            restart: ends one, starts it, and waits until it serves.
            until: time (monotonic) from which none is begun.
            seconds: from the beginning of one to that of the next, at most.
        """
        for slot in slots:
            left = until - time.monotonic()
            if left <= 0:
                note(self._given_up, f"restart {slot.name}: no time was left")
                continue
            task = asyncio.create_task(self._one(slot, restart))
            self.running[slot] = task
            await asyncio.wait({task}, timeout=min(seconds, left))

    async def _one(self, slot: Slot, restart: Callable[[Slot], Awaitable[Any]]) -> None:
        async with bounded(self._given_up, f"restart {slot.name}"):
            await restart(slot)

    async def end(self) -> None:
        """Wait no more: whoever is not back is named."""
        for slot, task in self.running.items():
            if not task.done():
                note(self._given_up, f"{slot.name} is not back: {slot.missing}")
                task.cancel()
        await asyncio.gather(*self.running.values(), return_exceptions=True)


def note(given_up: list[str], what: str) -> None:
    """Note what was given up, shortly; the whole of it goes to stderr."""
    print(f"given up: {what}", file=sys.stderr, flush=True)
    first, _, more = what.partition("\n")
    given_up.append(first[:MOST] + ("..." if more or len(first) > MOST else ""))


def _reason(error: Exception) -> str:
    if isinstance(error, ExceptionGroup):
        return "; ".join(_reason(each) for each in error.exceptions)
    return f"{type(error).__name__}: {error}"
