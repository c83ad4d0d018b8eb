"""Work in steps: a generator that yields wherever others may have their turn.

Long work of the pure core and of the stages is written as such a generator and gives
its result at the end. Who runs it decides by a clock when to let others go on; the
work itself knows neither a clock nor an event loop.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeAlias, TypeVar

Result = TypeVar("Result")
Steps: TypeAlias = Generator[None, None, Result]


def finish(steps: Steps[Result]) -> Result:
    """Do work to its end in one go, and give its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
