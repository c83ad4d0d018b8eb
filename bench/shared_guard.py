"""One table for the processes of a host: start, checks, memory, and a killed agent.

The agent's side writes a table of its own making, without a server: what is measured is
between its file and its readers.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from bench.credentials import CHAIN, token_hmac
from bench.memory import resident
from bench.report import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

CREDENTIALS: Final = {"tiny": 7_000, "small": 100_000, "full": 1_000_000}
CHECKS: Final = {"tiny": 8_000, "small": 200_000, "full": 1_000_000}
REVOCATIONS: Final = {"tiny": 100, "small": 1_000, "full": 1_000}
RATE: Final = 200  # revocations a second
READERS: Final = 8
STARTS: Final = 5
MOST_START: Final = 50.0  # ms
MOST_CHECK: Final = 3_000  # ns
MOST_MEMORY: Final = 1.2  # times what one process takes
LEASE: Final = 1.0  # s
BLOCK: Final = 512  # bytes, as `stat` counts them
IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a table belongs in memory


class _Part:
    """A process that reads the table, or the agent that writes it."""

    def __init__(self, part: str, *arguments: object) -> None:
        named = ["agent"] if part == "agent" else ["parts", part]
        module = f"bench.shared_guard_{named.pop(0)}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *named, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def said(self) -> Any:
        """Read what it says next."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"ended with {self.process.wait()}"
        return json.loads(line)

    def ask(self, text: str) -> None:
        """Write to it."""
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def kill(self) -> float:
        """End it without a word; the time at which that was done (s)."""
        self.process.send_signal(signal.SIGKILL)
        at = time.clock_gettime(time.CLOCK_MONOTONIC)
        self.process.wait()
        return at


def rows(scale: str) -> list[Row]:
    """Measure all of it, with one table."""
    count, checks = CREDENTIALS[scale], CHECKS[scale]
    where = IN_MEMORY if IN_MEMORY.exists() else None
    with tempfile.TemporaryDirectory(dir=where) as place:
        folder = Path(place)
        with _agent(folder, count, REVOCATIONS[scale]) as (agent, written, ahead):
            found = [_row_of_agent(count, agent, written, ahead)]
            found += _starting(folder)
            one = _Part("readers", folder, count, 1, checks // READERS).said()
            # By now pages of the table are there for whoever comes.
            reading = _Part("readers", folder, count, READERS, checks // READERS)
            agent.ask("revoke\n")
            told = reading.said()
            assert agent.said()["revoked"] == REVOCATIONS[scale]
            found += _checking(one, told, REVOCATIONS[scale])
            # Once more alone: whoever denies keeps more than the one before did.
            last = _Part("readers", folder, count, 1, checks // READERS).said()
            size = (folder / "table").stat().st_blocks * BLOCK
            found.append(_memory(size, last, told))
        found += _killed(folder, count, REVOCATIONS[scale])
    return found


@contextmanager
def _agent(
    folder: Path, count: int, revocations: int
) -> Iterator[tuple[_Part, float, float]]:
    agent = _Part("agent", folder, count, revocations, RATE)
    try:
        written = agent.said()["written"]
        yield agent, written, agent.said()["ahead"]
    finally:
        agent.kill()


def _row_of_agent(count: int, agent: _Part, written: float, ahead: float) -> Row:
    size = resident(agent.process.pid) / 1e6
    return Row(
        what=f"the agent: {count:,} credentials of 2 names written into the file, and"
        " found out to be clear",
        value=f"{written:.1f} + {ahead:.1f} CPU-s, {size:.0f} MB with the table",
    )


def _starting(folder: Path) -> list[Row]:
    alone, whole = [], []
    for number in range(STARTS):
        began = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        told = _Part("first", folder, str(token_hmac(number * CHAIN))).said()
        assert told["allowed"]
        alone.append((told["over"] - told["began"]) / 1e6)
        whole.append((told["over"] - began) / 1e6)
    return [
        Row(
            what="start of a process to its first verdict, without interpreter and"
            " imports",
            value=f"{median(alone):.1f} ms",
            target=f"<= {MOST_START:.0f} ms",
            met=median(alone) <= MOST_START,
        ),
        Row(
            what="  with them (and those of the benchmark)",
            value=f"{median(whole):.0f} ms",
        ),
    ]


def _checking(one: Any, told: Any, revocations: int) -> list[Row]:
    wrong = sum(each["wrong"] for each in told)
    denied = sum(each["denied"] for each in told)
    lapsed = sum(each["lapsed"] for each in told)
    asked = "given as texts"
    return [
        Row(
            what=f"SharedGuard.check, depth 6, {asked}, CPU time, median of batches",
            value=f"{one[0]['alone']:,.0f} ns",
            target=f"<= {MOST_CHECK:,} ns",
            met=one[0]["alone"] <= MOST_CHECK,
        ),
        Row(
            what="  each between two looks at the clock, p50 (p99)",
            value=f"{one[0]['p50']:,.0f} ns ({one[0]['p99']:,.0f})",
            cpu=one[0]["cpu"],
        ),
        Row(
            what=f"  from {READERS} processes against {revocations:,} revocations at"
            f" {RATE} a second",
            value=f"{median(each['p50'] for each in told):,.0f} ns",
            cpu=sum(each["cpu"] for each in told),
        ),
        Row(
            what=f"  wrong verdicts; {denied:,} denials, {lapsed:,} without a lease",
            value=f"{wrong}",
            target="0",
            met=wrong == 0,
        ),
    ]


def _memory(size: int, one: Any, told: Any) -> Row:
    """Compare memory: the whole table once, and of each process what is its own."""
    few, many = (size + sum(each["private"] for each in some) for some in (one, told))
    return Row(
        what=f"memory of {READERS} forked processes (PSS, the table once)",
        value=f"{many / 1e6:.0f} MB, the table {size / 1e6:.0f} of it",
        peer=f"of one, {few / 1e6:.0f} MB",
        ratio=(many / few,) * 3,
        target=f"<= {MOST_MEMORY}x",
        met=many <= MOST_MEMORY * few,
    )


def _killed(folder: Path, count: int, revocations: int) -> list[Row]:
    with _agent(folder, count, revocations) as (agent, *_):
        name = str(token_hmac(count - CHAIN))
        watching = [_Part("watch", folder, name, 600) for _ in range(2)]
        for each in watching:
            assert each.process.stdout is not None
            each.process.stdout.readline()
        killed = agent.kill()
    with _agent(folder, count, revocations) as _:
        told = [each.said() for each in watching]
    last = max(each["last"] for each in told) / 1e9 - killed
    again = max(each["again"] for each in told) / 1e9 - killed
    return [
        Row(
            what="the agent is killed (-9): last allowed check after it",
            value=f"{last * 1e3:.0f} ms",
            target=f"<= {LEASE * 1e3:.0f} ms",
            met=last <= LEASE,
        ),
        Row(
            what="  another one begins at once: allowed again, table and file anew",
            value=f"{again:.1f} s after the kill",
        ),
    ]
