"""A server or an ingress, with a meter of what holds its loops: ``HOLDS ARGUMENT...``.

At its end it writes to the file HOLDS, for each thread with an event loop, the longest
callback in seconds of CPU time, and which it was; and each turn of a loop that was
late: which loop, when, by how much, and how much of it the thread waited for a core.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import json
import os
import re
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final, TextIO

from streams.process.loop_hold import MAIN, PERIOD, LoopHold

NANO: Final = 1e9
SAMPLE: Final = 0.01  # seconds
OURS: Final = frozenset({"streams", "agents_registry", "enforcement", "schemas"})
Holds = dict[str, tuple[float, str]]


class Sampler(threading.Thread):
    """Looks now and then where threads are that take long for a callback.

    Attributes:
        began: when each thread with an event loop began its callback (monotonic).
        seen: where it was when it was seen last, since then.
    """

    def __init__(self) -> None:
        """Set up; `start` begins."""
        super().__init__(daemon=True, name="sampler")
        self.began: dict[int, float] = {}
        self.seen: dict[int, str] = {}
        self._file: TextIO = tempfile.TemporaryFile("w+")  # noqa: SIM115 - for ever

    def run(self) -> None:
        """Look until the process ends."""
        while True:
            time.sleep(SAMPLE)
            now = time.monotonic()
            held = [at for at, began in [*self.began.items()] if now - began > SAMPLE]
            if held:
                found = self._places()
                self.seen |= {each: found[each] for each in held if each in found}

    def _places(self) -> dict[int, str]:
        """Name the innermost place in the product of each thread, and what it calls.

        By the text of `faulthandler`: frames of other threads that Python code walks,
        with `sys._current_frames`, end CPython 3.11 now and then.
        """
        self._file.seek(0)
        self._file.truncate()
        faulthandler.dump_traceback(self._file, all_threads=True)
        self._file.seek(0)
        threads = re.split(r"(?:Current t|T)hread (0x[0-9a-f]+)", self._file.read())
        return {
            int(ident, 16): _place(_FRAME.findall(text))
            for ident, text in zip(threads[1::2], threads[2::2], strict=True)
        }


_FRAME: Final = re.compile(r'File "([^"]*)", line (\d+) in (\S+)')


def _place(frames: list[tuple[str, str, str]]) -> str:
    """Name the innermost place in the product among frames, and what it calls."""
    for depth, (file, line, name) in enumerate(frames):
        parts = Path(file).parts
        if OURS.intersection(parts):
            called = f" -> {frames[0][2]}" if depth else ""
            return f"{Path(file).stem}.{name}:{line}{called}"
    return ""


def metered(holds: Holds, ready: Path) -> None:
    """Note the longest callback of every thread once the server is ready."""
    sampler = Sampler()
    sampler.start()
    began, seen = sampler.began, sampler.seen
    handle_class: Any = asyncio.Handle
    run = handle_class._run  # noqa: SLF001 - there is no other place that sees them all

    def timed(handle: asyncio.Handle) -> None:
        before, thread = time.thread_time(), threading.get_ident()
        began[thread] = time.monotonic()
        try:
            run(handle)
        finally:
            took = time.thread_time() - before
            name, place = threading.current_thread().name, seen.pop(thread, "")
            if took > holds.get(name, (0.0, ""))[0] and ready.exists():
                holds[name] = took, place or _told(handle)

    handle_class._run = timed  # noqa: SLF001


def collections(holds: Holds, ready: Path) -> None:
    """Note the longest collection of garbage, which every thread waits for."""
    began = 0.0

    def heed(phase: str, told: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = time.thread_time()
            return
        took, thread = time.thread_time() - began, threading.current_thread().name
        if took > holds.get("garbage", (0.0, ""))[0] and ready.exists():
            holds["garbage"] = took, f"generation {told['generation']} in {thread}"

    gc.callbacks.append(heed)


def lateness(late: list[tuple[str, float, float, float, float]]) -> None:
    """Note each late turn where the server measures its own."""

    async def watch(self: LoopHold, name: str = MAIN) -> None:
        observe = self._of[name].observe
        before, worked = _waited(), time.thread_time()
        while True:
            due = time.monotonic() + PERIOD
            await asyncio.sleep(PERIOD)
            now, waited = time.monotonic(), _waited()
            observe(max(0.0, now - due))
            if now - due > PERIOD:
                spent = time.thread_time() - worked
                late.append((name, now, now - due, waited - before, spent))
            before, worked = waited, time.thread_time()

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
    from streams.cli.main import app as program  # noqa: PLC0415 - not in its children

    faulthandler.enable()
    file, holds = Path(sys.argv[1]), Holds()
    late: list[tuple[str, float, float, float, float]] = []
    lateness(late)
    ready = Path(os.environ["RESCIND_READY_FILE"])
    metered(holds, ready)
    collections(holds, ready)
    sys.argv[1:] = sys.argv[2:]
    try:
        program()
    finally:
        file.write_text(json.dumps({"holds": holds, "late": late}), "utf-8")


if __name__ == "__main__":
    main()
