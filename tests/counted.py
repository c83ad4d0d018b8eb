"""Cost in operations of the interpreter: the same on every machine, under every load.

What C code does at once (sorting, set operations) counts as one.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from agents_registry.steps import Steps

Result = TypeVar("Result")


@define
class Cost:
    """How much was done, and the most that was done in one step."""

    total: int = 0
    longest: int = 0


@contextmanager
def counting() -> Iterator[Callable[[], int]]:
    """Count what runs within the context; give what tells how much it was so far."""
    done = [0]

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        done[0] += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield lambda: done[0]
    finally:
        sys.settrace(before)


def operations(work: Callable[[], object]) -> int:
    """Give how many operations some work takes."""
    with counting() as done:
        work()
        return done()


def cost(steps: Steps[Result]) -> tuple[Result, Cost]:
    """Do work in steps to its end; give its result and what it took.

    Steps that run already are not counted: give those that did not begin.
    """
    found = Cost()
    with counting() as done:
        while True:
            before = done()
            try:
                next(steps)
            except StopIteration as end:
                result: Result = end.value
                return result, found
            finally:
                found.longest = max(found.longest, done() - before)
                found.total = done()
