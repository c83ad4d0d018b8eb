"""Everything hostile at once, beside a load: does a healthy guard lose its lease?

An embedded server or a fleet around a Kafka, healthy guards in processes of their own,
and a steady load of declarations and revocations; beside them every caller of
`bench.hostile_callers`. Each guard is watched: every loss of its lease counts, and
every check that allows what is revoked later than one lease after its acceptance.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import define

from bench.hostile_fleet import ENGINES, PROCESSES, prepared
from bench.hostile_point import PointWatch
from bench.hostile_tally import LEASE, Late, Tally, answers, lines
from bench.load_fleet import fleet
from bench.load_traffic import Sources
from bench.processes import Part, end, line, part
from bench.waits import Waits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.hostile_fleet import Serving
    from bench.load_fleet import Fleet
    from bench.report import Row

RATE: Final = {"tiny": 10, "small": 20, "full": 20}  # revocations a second
SECONDS: Final = {"tiny": 3, "small": 20, "full": 60}
BATCHES: Final = 2  # requests of revocations a second
LIVES: Final = 100
AHEAD: Final = 2.0  # seconds from a declaration to the revocation
CALM: Final = {"tiny": 0.5, "small": 3.0, "full": 3.0}  # before and after the callers
DEADLINE: Final = 300.0


def rows(
    scale: str,
    *,
    rate: int = 0,
    seconds: int = 0,
    callers: Sequence[str] = (),
    engine: str = "embedded",
) -> list[Row]:
    """Run it, and tell what came of it.

    Args:
        scale: size, where the others are 0.
        rate: revocations a second.
        seconds: how long.
        callers: those that call; none given: all.
        engine: kafka, embedded, or both, one after the other.
    """
    rate, seconds = rate or RATE[scale], seconds or SECONDS[scale]
    found: list[Row] = []
    for each in ENGINES if engine == "both" else (engine,):
        tally = measured(scale, rate, seconds, callers, engine=each)
        found += [*lines(tally, f"{rate}/s for {seconds} s, {each}"), *answers(tally)]
    return found


def measured(
    scale: str,
    rate: int,
    seconds: int,
    callers: Sequence[str] = (),
    *,
    flaw: str = "none",
    engine: str = "embedded",
) -> Tally:
    """Run the load with the callers beside; a flaw is that of the guards."""

    async def run(folder: Path) -> Tally:
        async with (
            prepared(folder, engine) as serving,
            fleet(serving.slots) as running,
        ):
            processes = 1 if scale == "tiny" else PROCESSES[engine]
            run = _Run(scale, rate, serving, running, Tally(), processes)
            await run.measure(seconds, callers, flaw)
        tally = run.tally
        for slot in serving.slots:
            tally.resident[slot.name] = max(size for _, size in slot.resident)
        if serving.holds.exists():
            told = json.loads(serving.holds.read_text("utf-8"))
            tally.holds = told["holds"]
            tally.late_turns = [(loop, Late(*each)) for loop, *each in told["late"]]
        return tally

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(run(Path(folder)))


@define(eq=False)
class _Run:
    scale: str
    rate: int
    serving: Serving
    running: Fleet
    tally: Tally
    processes: int

    async def measure(self, seconds: int, callers: Sequence[str], flaw: str) -> None:
        tally, sources = self.tally, Sources(self.running)
        await sources.births(0, LIVES)
        async with AsyncExitStack() as parts:
            guards = [
                parts.enter_context(part("bench.hostile_guards", *arguments))
                for arguments in self.serving.guards(self.processes, flaw)
            ]
            for each in guards:
                await asyncio.to_thread(line, each)
            watching = await parts.enter_async_context(asyncio.TaskGroup())
            watches = self._watch(watching, guards)
            over = asyncio.Event()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_load(sources, tally, guards, self.rate, over))
                await asyncio.sleep(CALM[self.scale])
                command = self.serving.urls(), self.scale, *callers
                hostile = parts.enter_context(part("bench.hostile_callers", *command))
                await asyncio.to_thread(line, hostile)
                await asyncio.sleep(seconds)
                tally.load = _load_average()
                told = await asyncio.to_thread(end, hostile, DEADLINE)
                tally.callers = told["callers"]
                await asyncio.sleep(CALM[self.scale])
                over.set()
            for task in watches:
                task.cancel()
            tally.waits.look()
            for number, each in enumerate(guards):
                told = await asyncio.to_thread(end, each, DEADLINE)
                name = {"process": f"guards-{number}"}
                tally.guards += [guard | name for guard in told["guards"]]
        tally.repeated = sources.repeated

    def _watch(
        self, tasks: asyncio.TaskGroup, guards: list[Part]
    ) -> list[asyncio.Task[None]]:
        """Watch the processes and the decision point from here."""
        pids = {f"guards-{number}": each.pid for number, each in enumerate(guards)}
        for slot in self.serving.slots:
            assert slot.process is not None
            pids[slot.name] = slot.process.pid
        self.tally.waits = Waits(pids)
        watches = [tasks.create_task(self.tally.waits.watch())]
        for slot in self.running.of("pdp"):
            self.tally.point = PointWatch(slot.url)
            asking = self.tally.point.watch(self.running.session)
            watches.append(tasks.create_task(asking))
        return watches


def _load_average() -> float:
    return float(Path("/proc/loadavg").read_text("ascii").split()[0])


async def _load(
    sources: Sources, tally: Tally, guards: list[Part], rate: int, over: asyncio.Event
) -> None:
    """Declare families, and revoke each a little later, until it is over; open loop."""
    size = max(1, rate // BATCHES)
    start = time.monotonic()

    async def batch(numbers: range, due: float) -> None:
        await sources.declare(numbers)
        await asyncio.sleep(due + AHEAD - time.monotonic())
        for guard in guards:
            assert guard.stdin is not None
            guard.stdin.write(f"[{numbers.start}, {numbers.stop}]\n")
            guard.stdin.flush()
        await asyncio.sleep(LEASE / 10)  # so that guards saw what they allow
        sent = time.monotonic()
        accepted = await sources.end(numbers)
        tally.took.append(accepted - sent)
        tally.accepted |= dict.fromkeys(numbers, accepted)

    async with asyncio.TaskGroup() as tasks:
        for first in itertools.count(step=size):
            due = start + first / rate
            await asyncio.sleep(due - time.monotonic())
            if over.is_set():
                break
            tasks.create_task(batch(range(first, first + size), due))
    await asyncio.sleep(2 * LEASE)
