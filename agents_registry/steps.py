"""Work in steps: a generator that yields wherever others may have their turn.

Long work of the pure core and of the stages is written as such a generator and gives
its result at the end. Who runs it decides by a clock when to let others go on; the
work itself knows neither a clock nor an event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from heapq import merge
from itertools import islice
from typing import Any, Final, TypeAlias, TypeVar

Result = TypeVar("Result")
Row = TypeVar("Row")
Steps: TypeAlias = Generator[None, None, Result]
# Called often, amid what must not be cut by others: it may let other threads go on.
Rest: TypeAlias = Callable[[], object]

RUN: Final = 1024  # rows of a list that is sorted, hashed or copied at once
ROWS: Final = 63  # a mask: rows between two calls of a rest
BYTES: Final = 1 << 18  # the same of what C copies at once


def finish(steps: Steps[Result]) -> Result:
    """Do work to its end in one go, and give its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result


def restless() -> None:
    """Let nobody else go on."""


def rested(rows: Iterable[Row], rest: Rest) -> Iterator[Row]:
    """Yield rows, and rest now and then."""
    for count, row in enumerate(rows):
        if not count & ROWS:
            rest()
        yield row


def in_runs(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield rows in lists that are worked through in a millisecond."""
    left = iter(rows)
    while run := list(islice(left, RUN)):
        yield run


def in_order(rows: Iterable[Row], key: Callable[[Row], Any]) -> Steps[Iterable[Row]]:
    """Rows in the order of a key, of which few are sorted at once."""
    runs: list[list[Row]] = []
    for run in in_runs(rows):
        yield
        run.sort(key=key)
        runs.append(run)
    return runs[0] if len(runs) == 1 else merge(*map(_drained, runs), key=key)


def _drained(rows: list[Row]) -> Iterator[Row]:
    # To free what very many rows hold at once takes long, too.
    rows.reverse()
    while rows:
        yield rows.pop()


def pieces(column: bytes | bytearray, rest: Rest) -> Iterator[memoryview]:
    """Yield a column in pieces, and rest before each."""
    whole = memoryview(column)
    for start in range(0, len(whole), BYTES):
        rest()
        yield whole[start : start + BYTES]
