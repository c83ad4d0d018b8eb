"""The longest time that a callback holds the event loop, in CPU time of its thread.

CPU time and not the clock on the wall: on a loaded machine a thread that others
preempt looks as if it held the loop, and what is measured here is what the work itself
takes. It leaves out waiting, which no callback of a loop may do (blocking calls are
found by the linter and by reviews), and the collector of garbage, whose pauses are set
by the processes that run the loops.
"""

from __future__ import annotations

import asyncio
import gc
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from attrs import define

if TYPE_CHECKING:
    from collections.abc import Iterator


@define
class Held:
    """The longest callback so far.

    Attributes:
        seconds: CPU time that it took.
        what: which it was.
    """

    seconds: float = 0.0
    what: str = ""

    def note(self, seconds: float, handle: asyncio.Handle) -> None:
        """Take note of one callback."""
        if seconds > self.seconds:
            self.seconds, self.what = seconds, repr(handle)


@contextmanager
def watched_loop() -> Iterator[Held]:
    """Measure every callback of the loops that run within the context."""
    held = Held()
    run: Any = asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        before = time.thread_time()
        try:
            run(handle)
        finally:
            held.note(time.thread_time() - before, handle)

    handle_class: Any = asyncio.Handle
    handle_class._run = timed
    collects = gc.isenabled()
    gc.disable()
    try:
        yield held
    finally:
        handle_class._run = run
        if collects:
            gc.enable()


def slowness() -> float:
    """Give how much slower than the reference this machine runs Python now, >= 1.

    The reference takes 5 ms for this loop.
    """
    fastest = 1.0
    for _ in range(5):
        before = time.thread_time()
        total = 0
        for number in range(100_000):
            total += number & 7
        fastest = min(fastest, time.thread_time() - before)
    return max(1.0, fastest / 0.005)
