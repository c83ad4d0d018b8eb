"""The longest time that a callback holds the event loop, in CPU time of its thread.

CPU time and not the clock on the wall: on a loaded machine a thread that others
preempt looks as if it held the loop, and what is measured here is what the work itself
takes. It leaves out waiting, which no callback of a loop may do (blocking calls are
found by the linter and by reviews), and the collector of garbage, whose pauses are set
by the processes that run the loops.

Neighbours cost CPU time too: caches, a shared core, a hypervisor that takes the core
away. That falls on another callback each time, whereas work that is not cut is long
each time that it is done. So what was too long is done again, and the least counts.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

    from agents_registry.steps import Steps

REPEATS: Final = 5  # of work that held the loop for too long
WORTH: Final = 0.002  # seconds; shorter callbacks are not noted


@define
class Held:
    """The longest callbacks.

    Attributes:
        by: CPU time (s) of the longest one, by the coroutine or function that ran.
    """

    by: dict[str, float] = field(factory=dict)

    @property
    def seconds(self) -> float:
        """The longest of all."""
        return max(self.by.values(), default=0.0)

    def note(self, seconds: float, callback: object) -> None:
        """Take note of one callback."""
        if seconds < WORTH:
            return
        name = getattr(callback, "__qualname__", None) or repr(callback)
        self.by[name] = max(seconds, self.by.get(name, 0.0))

    def least(self, other: Held) -> Held:
        """Give the lesser of each callback's times; who is in one of them took none."""
        both = self.by.keys() & other.by.keys()
        return Held({name: min(self.by[name], other.by[name]) for name in both})


@contextmanager
def watched_loop() -> Iterator[Held]:
    """Measure every callback of the loops that run within the context."""
    held = Held()
    run: Any = asyncio.Handle._run
    # By thread: the callback that runs, and since when.
    running: dict[int, tuple[float, object]] = {}

    def end() -> None:
        before, callback = running.pop(threading.get_ident(), (None, None))
        if before is not None:
            held.note(time.thread_time() - before, callback)

    def timed(handle: asyncio.Handle) -> None:
        end()  # the one that entered the context
        callback: object = getattr(handle, "_callback", None)
        if isinstance(ran := getattr(callback, "__self__", callback), asyncio.Task):
            callback = ran.get_coro()
        running[threading.get_ident()] = (time.thread_time(), callback)
        try:
            run(handle)
        finally:
            end()

    handle_class: Any = asyncio.Handle
    handle_class._run = timed
    if (task := asyncio.current_task()) is not None:
        running[threading.get_ident()] = (time.thread_time(), task.get_coro())
    collects = gc.isenabled()
    gc.disable()
    try:
        yield held
    finally:
        end()  # what the last one goes on to do is not measured
        handle_class._run = run
        if collects:
            gc.enable()


async def least_held(work: Callable[[], Awaitable[object]], limit: float) -> Held:
    """Do work, again while it holds the loop for too long, and give the least.

    Args:
        work: what is measured, from its start to where nothing of it is left to do.
        limit: CPU time (s) that a callback may take on the reference machine, as
            `slowness` has it.

    Returns:
        The least of each callback, in seconds of the reference machine.
    """
    least: Held | None = None
    for _ in range(REPEATS):
        with watched_loop() as held:
            await work()
        if held.seconds >= limit:
            factor = slowness()
            held = Held({name: took / factor for name, took in held.by.items()})
        least = held if least is None else least.least(held)
        if least.seconds < limit:
            break
    assert least is not None
    return least


def most_calls(steps: Steps[Any]) -> int:
    """Do work, and give how many calls its longest step makes, of Python and of C.

    It is the same on every machine, however loaded, and where coverage is measured. A
    loop that calls nothing is not seen: it takes some ten nanoseconds a round.
    """
    calls = most = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    going = True
    while going:
        calls = 0
        sys.setprofile(count)
        try:
            going = next(steps, steps) is not steps
        finally:
            sys.setprofile(before)
        most = max(most, calls)
    return most


async def most_calls_beside(work: Coroutine[Any, Any, object]) -> int:
    """Do work, and give how many calls are made at most between two turns of others."""
    calls = most = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    doing = asyncio.create_task(work)
    sys.setprofile(count)
    try:
        while not doing.done():
            calls = 0
            await asyncio.sleep(0)
            most = max(most, calls)
    finally:
        sys.setprofile(before)
    await doing
    return most


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
