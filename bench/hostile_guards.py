"""Healthy guards of the benchmark ``hostile``, in one process: ``ORDER FLAW NAME...``.

ORDER says where their facts come from, see `bench.load_guard.guard_of`.

Each looks every few milliseconds whether it holds its lease. A line of input names
families that are about to be revoked: ``[FIRST, END]``. From then on each guard checks
their parents and children until both were denied for a while, and once more at the end
of input, when it tells what it saw. All times are CLOCK_MONOTONIC, which the processes
of a host share. With the flaw ``forgets`` they lose one cause in ten.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import AsyncExitStack, suppress
from typing import Any, Final

from attrs import define, field

from agents_registry.life import Reason
from bench.load_guard import child, forget, guard_of, living, parent
from enforcement.clocks import boottime
from enforcement.guard import AnyGuard, Guard

LOOK: Final = 0.005  # seconds between two looks at the lease
CHECKED: Final = 0.05  # between two checks of what is to be revoked
AFTER: Final = 1.5  # seconds that are checked on after a denial
LIVES: Final = 100
DEADLINE: Final = 120.0
NANO: Final = 1e9
NICE: Final = -10  # guards have machines of their own; only root may have it here


@define
class LeaseWatch:
    """The losses of a lease, from looks at its end.

    Attributes:
        losses: seconds without a lease, each from one renewal to the next.
        began: when each of them began, in seconds of the guard's clock.
        shortest: rest of the lease at any look, in seconds; 0: there was none.
        pause: the longest time between two looks, in seconds.
    """

    seen: int
    losses: list[float] = field(factory=list)
    shortest: float = NANO
    pause: float = 0.0
    began: list[float] = field(factory=list)
    _lost: bool = False

    def look(self, now: int, until: int) -> None:
        """Take note of a look (ns), and of when the lease ends (ns)."""
        gone = max(0, now - max(until, self.seen)) / NANO
        if gone and self._lost:
            self.losses[-1] += gone
        elif gone:
            self.losses.append(gone)
            self.began.append(now / NANO - gone)
        self._lost = bool(gone)
        self.shortest = min(self.shortest, max(0, until - now) / NANO)
        self.pause = max(self.pause, (now - self.seen) / NANO)
        self.seen = now


@define
class Family:
    """What a guard saw of a parent and its child.

    Attributes:
        allowed: when one of them was allowed last; 0: never.
        denied: when both were first denied, since they are revoked; 0: never.
    """

    allowed: float = 0.0
    denied: float = 0.0

    def see(self, guard: AnyGuard[Any, Any], number: int) -> None:
        """Check both."""
        verdicts = [guard.check(name) for name in (parent(number), child(number))]
        now = time.monotonic()
        if any(each.allowed for each in verdicts):
            self.allowed = now
        revoked = all(each.reason is Reason.REVOKED for each in verdicts)
        if revoked and not self.denied:
            self.denied = now


def wanting(guard: AnyGuard[Any, Any]) -> str:
    """Say what a guard without a lease wants: facts to apply, or an answer."""
    if not isinstance(guard, Guard):
        return ""
    standing, now = guard.standing, boottime()
    proofs = standing.lease._proofs  # noqa: SLF001 - nobody else asks this
    ends = [end for end, until in proofs.items() if until > now]
    if not ends:
        return f"no answer to {len(standing.lease._sent)} pings"  # noqa: SLF001
    return f"{min(ends) - standing.replica.proven:,} facts behind"


@define(eq=False)
class Watched:
    """One guard, and what it saw."""

    guard: AnyGuard[Any, Any]
    lease: LeaseWatch
    families: dict[int, Family] = field(factory=dict)
    pending: dict[int, Family] = field(factory=dict)
    why: list[str] = field(factory=list)
    checks: int = 0
    denied: int = 0

    def expect(self, numbers: range) -> None:
        """Check these families from now on."""
        fresh = {number: Family() for number in numbers}
        self.families |= fresh
        self.pending |= fresh

    def check(self) -> None:
        """Check what is to be revoked, and something that lives."""
        for number, family in [*self.pending.items()]:
            family.see(self.guard, number)
            if family.denied and time.monotonic() > family.denied + AFTER:
                del self.pending[number]
        self.checks += 1
        self.denied += not self.guard.check(living(self.checks % LIVES)).allowed

    async def run(self) -> None:
        """Look at the lease, and check, until cancelled."""
        due = 0.0
        while True:
            await asyncio.sleep(LOOK)
            before = len(self.lease.losses)
            self.lease.look(boottime(), self.guard.standing.deadline)
            if len(self.lease.losses) > before:
                self.why.append(wanting(self.guard))
            if time.monotonic() > due:
                self.check()
                due = time.monotonic() + CHECKED

    async def told(self) -> dict[str, Any]:
        """Check everything once more, and give what was seen."""
        assert await self.guard.ready(DEADLINE)
        for number, family in self.families.items():
            family.see(self.guard, number)
        ahead = boottime() / NANO - time.monotonic()
        return {
            "losses": self.lease.losses,
            "began": [each - ahead for each in self.lease.began],
            "why": self.why,
            "shortest": self.lease.shortest,
            "pause": self.lease.pause,
            "checks": self.checks,
            "denied": self.denied,
            "families": {
                number: [each.allowed, each.denied]
                for number, each in self.families.items()
            },
        }


async def main(order: dict[str, Any], names: list[str]) -> None:
    """Guard until the end of input."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with AsyncExitStack() as on:
        guards = [
            await on.enter_async_context(guard_of(order | {"name": name}))
            for name in names
        ]
        for guard in guards:
            assert await guard.ready(DEADLINE)
        while not all(guards[-1].check(living(n)).allowed for n in range(LIVES)):
            await guards[-1].feed.progress()
        print("ready", flush=True)
        tasks = await on.enter_async_context(asyncio.TaskGroup())
        watched = [Watched(guard, LeaseWatch(boottime())) for guard in guards]
        running = [tasks.create_task(each.run()) for each in watched]
        while line := await lines.readline():
            for each in watched:
                each.expect(range(*json.loads(line)))
        for task in running:
            task.cancel()
        told = [await each.told() for each in watched]
    print(json.dumps({"guards": told, "cpu": time.process_time()}))


if __name__ == "__main__":
    with suppress(PermissionError):
        os.nice(NICE)
    if sys.argv[2] == "forgets":
        forget()
    asyncio.run(main(json.loads(sys.argv[1]), sys.argv[3:]))
