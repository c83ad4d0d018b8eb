"""``rescind serve``, with a meter of what holds its event loops: ``HOLDS ARGUMENT...``.

At its end it writes to the file HOLDS, for each thread with an event loop, the longest
callback in seconds of CPU time, and which it was; and each turn of a loop that was
late: which loop, when, by how much, and how much of it the thread waited for a core.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from streams.loop_hold import PERIOD, LoopHold

NANO: Final = 1e9
Holds = dict[str, tuple[float, str]]


def metered(holds: Holds, ready: Path) -> None:
    """Note the longest callback of every thread once the server is ready."""
    handle_class: Any = asyncio.Handle
    run = handle_class._run  # noqa: SLF001 - there is no other place that sees them all

    def timed(handle: asyncio.Handle) -> None:
        before = time.thread_time()
        try:
            run(handle)
        finally:
            took = time.thread_time() - before
            name = threading.current_thread().name
            if took > holds.get(name, (0.0, ""))[0] and ready.exists():
                holds[name] = took, _told(handle)

    handle_class._run = timed  # noqa: SLF001


def lateness(late: list[tuple[str, float, float, float]]) -> None:
    """Note each late turn where the server measures its own."""

    async def watch(self: LoopHold, name: str) -> None:
        observe = self._of[name].observe
        before = _waited()
        while True:
            due = time.monotonic() + PERIOD
            await asyncio.sleep(PERIOD)
            now, waited = time.monotonic(), _waited()
            observe(max(0.0, now - due))
            if now - due > PERIOD:
                late.append((name, now, now - due, waited - before))
            before = waited

    LoopHold.watch = watch  # type: ignore[method-assign]


def _waited() -> float:
    told = Path("/proc/thread-self/schedstat").read_text("ascii")
    return int(told.split()[1]) / NANO


def _told(handle: Any) -> str:
    """Say which coroutine a callback goes on with, or what it calls."""
    callback = handle._callback  # noqa: SLF001
    owner = getattr(callback, "__self__", None)
    if not isinstance(owner, asyncio.Task):
        return repr(callback)[:200]
    frames = owner.get_stack(limit=1)
    coroutine: Any = owner.get_coro()
    where = f" at {frames[0].f_code.co_qualname}:{frames[0].f_lineno}" if frames else ""
    return f"{getattr(coroutine, '__qualname__', coroutine)}{where}"


def main() -> None:
    """Run the program with the arguments behind the file's name."""
    from streams.cli import main as program  # noqa: PLC0415 - not in its children

    file, holds = Path(sys.argv[1]), Holds()
    late: list[tuple[str, float, float, float]] = []
    lateness(late)
    metered(holds, Path(os.environ["RESCIND_READY_FILE"]))
    sys.argv[1:] = sys.argv[2:]
    try:
        program()
    finally:
        file.write_text(json.dumps({"holds": holds, "late": late}), "utf-8")


if __name__ == "__main__":
    main()
