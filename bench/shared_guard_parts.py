"""Processes of `bench.shared_guard`: the agent's side, forked readers, a first check.

Run as a module: ``python -m bench.shared_guard_parts PART FOLDER ...``.
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
from types import SimpleNamespace
from typing import Any, Final

START: Final = time.clock_gettime_ns(time.CLOCK_MONOTONIC)  # before our own imports

from agents_registry.facts import Cause, Effect  # noqa: E402
from agents_registry.registry import Registry  # noqa: E402
from agents_registry.table_form import pack, unpack  # noqa: E402
from bench.credentials import CHAIN, LATER, NOW, accessor, chains, register, token_hmac  # noqa: E402
from enforcement.clocks import boottime  # noqa: E402
from enforcement.shared import host  # noqa: E402
from enforcement.shared.agent import LookAhead  # noqa: E402
from enforcement.shared.guard import SharedGuard  # noqa: E402
from enforcement.shared.layout import CLOCK, DEADLINE, STATE  # noqa: E402
from enforcement.shared.publishing import SharedReplica  # noqa: E402
from enforcement.shared.writing import TableWriter  # noqa: E402

SECOND: Final = 1_000_000_000
LEASE: Final = SECOND
HOUR: Final = 3600 * SECOND
BATCHES: Final = 201
BATCH: Final = 100
SAMPLE: Final = 16
SAID: Final = {"genesis": "g", "partition": 0, "lease": LEASE, "mode": "fail_closed"}


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


def agent(folder: Path, count: int, revocations: int, rate: float) -> None:
    """Keep a table as the agent does; each line of stdin asks for something."""
    replica = SharedReplica()
    replica.registry = _table(folder, count)
    truth = Truth(folder, count // CHAIN)
    used = time.process_time()
    writer = TableWriter(
        replica.registry, folder / ".table", {**host.described(), **SAID}
    )
    for _ in writer.building():
        pass
    written = time.process_time() - used
    replica.writers = (writer,)
    writer.enforce()
    words = writer.file.words
    words[CLOCK], words[STATE] = NOW + HOUR - boottime(), 7
    words[DEADLINE] = boottime() + LEASE
    writer.path.replace(folder / "table")
    used = time.process_time()
    ahead = LookAhead(SimpleNamespace(replica=replica))  # type: ignore[arg-type]
    os.set_blocking(0, False)
    print(json.dumps({"written": written}), flush=True)
    following, ended, is_clear = 0.0, revocations, False
    while (asked := _asked()) is not None:
        words[DEADLINE] = boottime() + LEASE
        until = time.monotonic() + 0.005
        for _ in ahead.looking(NOW + HOUR):
            if time.monotonic() > until:
                break
        else:
            if not is_clear:
                is_clear = True
                said = {"ahead": time.process_time() - used}
                print(json.dumps(said), flush=True)
        if asked.startswith(b"revoke"):
            ended = 0
        if ended < revocations and time.monotonic() >= following:
            chain = ended * (count // CHAIN // revocations)
            truth.begun[chain] = boottime()
            at = LATER + ended
            replica._apply(  # noqa: SLF001 - as a delta does
                Cause(
                    authority="vault", version=at, received_at=at, at=at,
                    target=accessor(chain * CHAIN), effect=Effect.REVOKE,
                ),
                0,
            )  # fmt: skip
            truth.done[chain] = boottime()
            ended, following = ended + 1, time.monotonic() + 1 / rate
            if ended == revocations:
                print(json.dumps({"revoked": ended}), flush=True)
        elif is_clear:
            time.sleep(0.001)


def _asked() -> bytes | None:
    """Read what was asked, None at the end of stdin."""
    try:
        return os.read(0, 64) or None
    except BlockingIOError:
        return b""


def _table(folder: Path, count: int) -> Registry:
    """Table of the realm, the second time from a file as from a server."""
    path = folder / "sections"
    vocabulary = Registry().lineage.vocabulary
    if path.exists():
        with path.open("rb") as file:
            sections = json.loads(file.readline())
            return Registry.load(unpack(sections, file.read), vocabulary)
    registry = Registry()
    register(registry, count, chains)
    sections, pieces = pack(registry.dump(), lambda each: json.dumps(each).encode())
    path.write_bytes(json.dumps(sections).encode() + b"\n" + b"".join(pieces))
    return registry


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
    wrong = denied = 0
    used = time.process_time()
    for at in range(checks):
        number = random.randrange(count // CHAIN * CHAIN)
        name = str(token_hmac(number))
        began = boottime()
        allowed = guard.check(name).allowed
        over = boottime()
        if not at % SAMPLE:  # all of them would be most of the memory
            took.append(over - began)
        chain = number // CHAIN
        denied += not allowed
        if allowed:
            wrong += 0 < truth.done[chain] < began
        else:
            wrong += not 0 < truth.begun[chain] <= over
    used = time.process_time() - used
    took = array("q", sorted(took))
    half, late = took[len(took) // 2], took[len(took) * 99 // 100]
    return {
        "alone": _alone(guard, random, count),
        "wrong": wrong, "denied": denied, "p50": half, "p99": late, "cpu": used,
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
    if part == "agent":
        agent(where, int(rest[0]), int(rest[1]), float(rest[2]))
    elif part == "first":
        first(where, rest[0])
    elif part == "readers":
        readers(where, *map(int, rest))
    else:
        watch(where, rest[0], float(rest[1]))
