"""Work of a hunt in forks: each has the table, and does a share or something beside.

What a fork lost is done here: memory may be short for several.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

MOST_SHARES: Final = 4
_OPEN: Final[list[Connection]] = []  # ends of pipes, which a further fork has too
Found = TypeVar("Found")


def may_fork() -> bool:
    """Whether a fork is whole here: on Linux, while there is no other thread."""
    return sys.platform == "linux" and threading.active_count() == 1


def judge_in_forks(
    judge: Callable[[int, int], list[Found]], *, shares: int
) -> list[Found]:
    """Have shares judged side by side, one of them here.

    Args:
        judge: takes the number of a share and how many there are.
        shares: how many; of more than MOST_SHARES each would mostly look for its own.
    """
    shares = min(shares, MOST_SHARES) if may_fork() else 1
    with ExitStack() as stack:
        others = [
            stack.enter_context(in_fork(partial(judge, share, shares)))
            for share in range(1, shares)
        ]
        found = judge(0, shares)
        for other in others:
            found += other()
    return found


@contextmanager
def in_fork(work: Callable[[], Found]) -> Iterator[Callable[[], Found]]:
    """Begin work beside; yields what waits for it and gives its result.

    The fork ends with the context.
    """
    if not may_fork():
        yield work
        return
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(
        target=_answer, args=(theirs, [*_OPEN, ours], work), daemon=True
    )
    try:
        process.start()
    except OSError:
        ours.close()
        yield work
        return
    finally:
        theirs.close()
    _OPEN.append(ours)

    def result() -> Found:
        try:
            found: Found = ours.recv()
        except (EOFError, OSError):
            return work()
        return found

    try:
        yield result
    finally:
        _OPEN.remove(ours)
        ours.close()
        process.kill()
        process.join()


def _answer(
    pipe: Connection, others: list[Connection], work: Callable[[], object]
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process ends the others
    for other in others:
        other.close()  # else nobody would notice that the main process is gone
    pipe.send(work())
