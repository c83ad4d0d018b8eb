"""Judge the uses of a hunt in forks: each has the table, and takes a share of them."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkProcess

MOST_SHARES: Final = 4
Found = TypeVar("Found")


def may_fork() -> bool:
    """Whether a fork is whole here: on Linux, while there is no other thread."""
    return sys.platform == "linux" and threading.active_count() == 1


def judge_in_forks(
    judge: Callable[[int, int], list[Found]], *, shares: int
) -> list[Found]:
    """Have shares judged side by side, one of them here; what a fork lost is done here.

    Args:
        judge: takes the number of a share and how many there are.
        shares: how many; of more than MOST_SHARES each would mostly look for its own.
    """
    shares = min(shares, MOST_SHARES) if may_fork() else 1
    context = multiprocessing.get_context("fork")
    forks: list[tuple[ForkProcess, Connection]] = []
    try:
        for share in range(1, shares):
            ours, theirs = context.Pipe(duplex=False)
            others = [*(pipe for _, pipe in forks), ours]
            process = context.Process(
                target=_answer, args=(theirs, others, judge, share, shares), daemon=True
            )
            process.start()
            theirs.close()
            forks.append((process, ours))
        found = judge(0, shares)
        for share, (_, pipe) in enumerate(forks, 1):
            try:
                found += pipe.recv()
            except (EOFError, OSError):  # memory may be short for several
                found += judge(share, shares)
    finally:
        for process, _ in forks:
            process.kill()
            process.join()
    return found


def _answer(
    pipe: Connection,
    others: list[Connection],
    judge: Callable[[int, int], list[Found]],
    share: int,
    shares: int,
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process ends the others
    for other in others:
        other.close()  # else nobody would notice that the main process is gone
    pipe.send(judge(share, shares))
