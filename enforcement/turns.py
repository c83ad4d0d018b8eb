"""Do long work in steps, and let others of the event loop have their turn in between.

The work itself is a generator that yields where that is possible; see
`agents_registry.steps`. How long a turn is depends on the clock alone, never on how
much is found or looked at, and short works that follow each other share one.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakKeyDictionary

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agents_registry.registry import Registry
    from agents_registry.steps import Result, Steps

# A loop may be held for 20 ms. The steps between two looks at the clock, and what the
# engine does around them, need the rest.
TURN_SECONDS: Final = 0.004
SLICE_SECONDS: Final = 0.002  # of a merge: whoever is asked meanwhile answers sooner
TRIES: Final = 2  # of a walk that is disturbed, before facts wait for it


class Precedence(Protocol):
    """What goes before the works of an event loop, now and then."""

    def taken(self) -> bool:
        """Whether they are to rest now."""

    async def over(self) -> None:
        """Rest until they may go on."""


@define(eq=False)
class _Loop:
    """What the works of an event loop share.

    Attributes:
        over: when the turn of the loop is over. Who waited for something else since
            then gives it up once more than need be.
        turn: held by the work that waits for the next turn: however many there are,
            one of them has it.
        tables: see `resting_tables`.
        walk: held by the one walk that facts wait for; the next ones queue behind the
            facts.
        before: see `give_way_to`.
    """

    over: float = 0.0
    turn: asyncio.Lock = field(factory=asyncio.Lock)
    tables: asyncio.Lock = field(factory=asyncio.Lock)
    walk: asyncio.Lock = field(factory=asyncio.Lock)
    before: Precedence | None = None


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = WeakKeyDictionary()


def _this_loop() -> _Loop:
    loop = asyncio.get_running_loop()
    found = _loops.get(loop)
    if found is None:
        found = _loops[loop] = _Loop()
    return found


async def in_turns(steps: Steps[Result]) -> Result:
    """Do work to its end, a turn at a time, and give its result."""
    loop = _this_loop()
    while True:
        if loop.before is not None and loop.before.taken():
            await loop.before.over()
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
        if time.monotonic() >= loop.over:
            async with loop.turn:
                await asyncio.sleep(0)
                loop.over = time.monotonic() + TURN_SECONDS


async def in_slices(slices: Iterator[None]) -> None:
    """Merge to the end, and let others have their turn whenever a slice is over."""
    over = time.monotonic() + SLICE_SECONDS
    for _ in slices:
        if time.monotonic() >= over:
            await asyncio.sleep(0)
            over = time.monotonic() + SLICE_SECONDS


def give_way_to(before: Precedence) -> None:
    """Have the works of this event loop rest whenever something goes before them."""
    _this_loop().before = before


def resting_tables() -> asyncio.Lock:
    """Lock under which this loop's tables change, or stand still for a walk.

    Whoever merges facts holds it for a bounded number of them at a time.
    """
    return _this_loop().tables


async def undisturbed(registry: Registry, walk: Callable[[], Steps[Result]]) -> Result:
    """Walk a table in turns, again where facts were merged meanwhile.

    Where they always are, the next ones wait for the walk: what `agents_registry`
    judges is bounded. They wait for one walk, however many are disturbed.
    """
    for _ in range(TRIES):
        before = registry.changes
        try:
            found = await in_turns(walk())
        except (LookupError, RuntimeError, ValueError):
            continue  # the table was another at the end than at the start
        if registry.changes == before:
            return found
    loop = _this_loop()
    async with loop.walk, loop.tables:
        return await in_turns(walk())
