"""Do long work in steps, and let others of the event loop have their turn in between.

The work itself is a generator that yields where that is possible; see
`agents_registry.steps`. How long a turn is depends on the clock alone, never on how
much is found or looked at, and short works that follow each other share one.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from agents_registry.steps import finish

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.registry import Registry
    from agents_registry.steps import Result, Steps

# A loop may be held for 20 ms. The steps between two looks at the clock, and what the
# engine does around them, need the rest.
TURN_SECONDS: Final = 0.004
TRIES: Final = 2  # of a walk that is disturbed, before facts wait for it
# When the turn of a loop is over. Who waited for something else since then gives it up
# once more than need be.
_over: WeakKeyDictionary[asyncio.AbstractEventLoop, float] = WeakKeyDictionary()
_resting: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
    WeakKeyDictionary()
)


async def in_turns(steps: Steps[Result]) -> Result:
    """Do work to its end, a turn at a time, and give its result."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
        if time.monotonic() >= _over.get(loop, 0.0):
            await asyncio.sleep(0)
            _over[loop] = time.monotonic() + TURN_SECONDS


def resting_tables() -> asyncio.Lock:
    """Give the lock under which this loop's tables change, or stand still for a walk.

    Whoever merges facts holds it for a bounded number of them at a time.
    """
    return _resting.setdefault(asyncio.get_running_loop(), asyncio.Lock())


async def undisturbed(registry: Registry, walk: Callable[[], Steps[Result]]) -> Result:
    """Walk a table in turns, again where facts were merged meanwhile.

    Where they always are, the next ones wait for the walk: what `agents_registry`
    judges is bounded. A guard's table waits for nobody, and is walked in one go then.
    """
    for tried in range(TRIES + 1):
        async with resting_tables() if tried == TRIES else nullcontext():
            before = registry.changes
            try:
                found = await in_turns(walk())
            except (LookupError, RuntimeError):
                continue  # the table was another at the end than at the start
            if registry.changes == before:
                return found
    return finish(walk())
