"""Processes of `bench.shared_guard` that read: forked ones, a first check, a watch.

Run as a module: ``python -m bench.shared_guard_parts PART FOLDER ...``. They import
what a customer's process does, and a few names.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import sys
import time
from array import array
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Final

START: Final = time.clock_gettime_ns(time.CLOCK_MONOTONIC)  # before our own imports

from bench.credentials import CHAIN, token_hmac  # noqa: E402
from enforcement.clocks import boottime  # noqa: E402
from enforcement.shared.guard import SharedGuard  # noqa: E402
from enforcement.verdict import Lapse  # noqa: E402

BATCHES: Final = 201
BATCH: Final = 100
SAMPLE: Final = 64


class Truth:
    """When each chain began to be ended, and when that was done (ns, 0 for never)."""

    def __init__(self, folder: Path, chains_: int) -> None:
        """Map it; the agent's side makes it."""
        path = folder / "truth"
        if not path.exists():
            path.write_bytes(bytes(16 * chains_))
        with path.open("r+b") as file:
            whole = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")
        self.begun, self.done = whole[:chains_], whole[chains_:]


def first(folder: Path, name: str) -> None:
    """Make a guard and ask once; say how long that took, and all before it."""
    began = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    allowed = SharedGuard(folder / "table").check(name).allowed
    over = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    print(json.dumps({"allowed": allowed, "began": began, "over": over}))


def readers(folder: Path, count: int, processes: int, checks: int) -> None:
    """Fork, check at random, and say what was wrong and what memory it took."""
    guard = SharedGuard(folder / "table")
    truth = Truth(folder, count // CHAIN)
    gc.freeze()  # as whoever forks should, or a collection copies every page
    pipes = []
    for number in range(processes):
        theirs, ours = os.pipe()
        go, let = os.pipe()
        if not os.fork():
            said = json.dumps(_read(guard, truth, count, checks, number))
            os.write(ours, said.encode())
            os.read(go, 1)  # the memory of all of them is counted meanwhile
            os._exit(0)
        os.close(ours)
        pipes.append((theirs, let))
    told = [json.loads(os.read(theirs, 1 << 16)) for theirs, _ in pipes]
    print(json.dumps(told), flush=True)
    for _, let in pipes:
        os.write(let, b"x")
    for _ in pipes:
        os.wait()


def _read(
    guard: SharedGuard, truth: Truth, count: int, checks: int, seed: int
) -> dict[str, Any]:
    random = Random(seed)
    took = array("q")
    for _ in range(checks):  # pages come to a process as it reads them first
        guard.check(str(token_hmac(random.randrange(count // CHAIN * CHAIN))))
    wrong = denied = lapsed = 0
    used = time.process_time()
    for at in range(checks):
        number = random.randrange(count // CHAIN * CHAIN)
        name = str(token_hmac(number))
        began = boottime()
        verdict = guard.check(name)
        over = boottime()
        if not at % SAMPLE:  # all of them would be most of the memory
            took.append(over - began)
        chain = number // CHAIN
        denied += not verdict.allowed
        if verdict.allowed:
            wrong += 0 < truth.done[chain] < began
        elif verdict.reason is Lapse.NO_LEASE:  # the agent got no time to renew it
            lapsed += 1
        else:
            wrong += not 0 < truth.begun[chain] <= over
    used = time.process_time() - used
    took = array("q", sorted(took))
    half, late = took[len(took) // 2], took[len(took) * 99 // 100]
    return {
        "alone": _alone(guard, random, count),
        "wrong": wrong, "denied": denied, "lapsed": lapsed,
        "p50": half, "p99": late, "cpu": used,
        "private": _private(os.getpid()),
    }  # fmt: skip


def _alone(guard: SharedGuard, random: Random, count: int) -> float:
    """CPU time of a check (ns): of batches the median, without a clock in between."""
    took = []
    for _ in range(BATCHES):
        names = [
            str(token_hmac(random.randrange(count // CHAIN * CHAIN)))
            for _ in range(BATCH)
        ]
        used = time.process_time_ns()
        for name in names:
            guard.check(name)
        took.append((time.process_time_ns() - used) / BATCH)
    return median(took)


def _private(process: int) -> int:
    """Bytes of a process besides the table: its share of all pages (PSS)."""
    private = 0
    here = ""
    for line in Path(f"/proc/{process}/smaps").read_text("utf-8").splitlines():
        name, _, rest = line.partition(" ")
        if not name.endswith(":"):
            here = line
        elif name == "Pss:" and not here.endswith(("/table", "/truth")):
            private += int(rest.split()[0]) * 1024
    return private


def watch(folder: Path, name: str, seconds: float) -> None:
    """Check until the time is over; say when it was allowed last before a gap."""
    guard = SharedGuard(folder / "table")
    last = again = 0
    until = time.monotonic() + seconds
    was = True
    print("watching", flush=True)
    while time.monotonic() < until:
        allowed = guard.check(name).allowed
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        if allowed and was:
            last = now
        elif allowed:
            again = now
            break
        else:
            was = False
        time.sleep(0.001)
    print(json.dumps({"last": last, "again": again}), flush=True)


if __name__ == "__main__":
    part, place, *rest = sys.argv[1:]
    where = Path(place)
    if part == "first":
        first(where, rest[0])
    elif part == "readers":
        readers(where, *map(int, rest))
    else:
        watch(where, rest[0], float(rest[1]))
