"""Do long work in steps, and let others of the event loop have their turn in between.

The work itself is a generator that yields where that is possible; see
`agents_registry.steps`. How long a turn is depends on the clock alone, never on how
much is found or looked at.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agents_registry.steps import Result, Steps

# A loop may be held for 20 ms. The steps between two looks at the clock, and what the
# engine does around them, need the rest.
TURN_SECONDS: Final = 0.004


async def in_turns(steps: Steps[Result]) -> Result:
    """Do work to its end, a turn at a time, and give its result."""
    until = time.monotonic() + TURN_SECONDS
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
        if time.monotonic() >= until:
            await asyncio.sleep(0)
            until = time.monotonic() + TURN_SECONDS
