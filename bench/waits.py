"""How long main threads wait for a core, as the kernel counts it, seen from outside.

A loop that is late because other processes have the cores is late with any program:
that tells such a wait from one that the program itself is to blame for.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOK: Final = 0.05  # seconds
NANO: Final = 1e9


def waited(pid: int) -> float:
    """Give the seconds that a process's main thread was ready to run and did not.

    Second field of ``/proc/PID/schedstat`` (Linux, scheduler/sched-stats).

    Raises:
        OSError: it ended.
    """
    told = Path(f"/proc/{pid}/schedstat").read_text("ascii")
    return int(told.split()[1]) / NANO


def weigh_alike() -> None:
    """Give what this process started the weight of its own scheduling group.

    A broker has a session and so a group of its own (sched(7), autogroups): where ours
    was given more weight than others have, it would be starved by what it serves.
    """
    own = Path("/proc/self/autogroup")
    with suppress(OSError):
        weight = own.read_text("ascii").split()[-1]
        for each in Path("/proc/self/task").glob("*/children"):
            for pid in each.read_text("ascii").split():
                Path(f"/proc/{pid}/autogroup").write_text(weight, "ascii")


@define(eq=False)
class Waits:
    """Looks at some processes again and again.

    Attributes:
        pids: by name.
        seen: when (monotonic) each had waited how long in all (seconds).
    """

    pids: Mapping[str, int]
    seen: list[tuple[float, dict[str, float]]] = field(factory=list)

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK)

    def look(self) -> None:
        """Look once; a process that ended is not seen any more."""
        found = {}
        for name, pid in self.pids.items():
            try:
                found[name] = waited(pid)
            except OSError:
                continue
        self.seen.append((time.monotonic(), found))

    def between(self, start: float, end: float) -> dict[str, float]:
        """Give how long each waited from the last look before to the first after."""
        first, last = self.seen[0][1], self.seen[-1][1]
        for at, each in self.seen:
            if at <= start:
                first = each
            if at >= end:
                last = each
                break
        return {n: last[n] - first[n] for n in sorted(first.keys() & last.keys())}
