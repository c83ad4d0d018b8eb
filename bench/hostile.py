"""Everything hostile at once, beside a load: does a healthy guard lose its lease?

An embedded server, healthy guards in processes of their own, and a steady load of
declarations and revocations; beside them every caller of `bench.hostile_callers`.
Each guard is watched: every loss of its lease counts, and every check that allows what
is revoked later than one lease after its acceptance.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from bench.hostile_sizes import configuration
from bench.load_fleet import Slot, fleet
from bench.load_traffic import Sources
from bench.processes import Part, end, line, part
from bench.report import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

RATE: Final = {"tiny": 10, "small": 20, "full": 20}  # revocations a second
SECONDS: Final = {"tiny": 3, "small": 20, "full": 60}
PROCESSES: Final = {"tiny": 1, "small": 2, "full": 2}  # of guards
GUARDS: Final = 2  # in a process
BATCHES: Final = 2  # requests of revocations a second
LIVES: Final = 100
AHEAD: Final = 2.0  # seconds from a declaration to the revocation
CALM: Final = {"tiny": 0.5, "small": 3.0, "full": 3.0}  # before and after the callers
LEASE: Final = 1.0
DEADLINE: Final = 300.0


@define(eq=False)
class Tally:
    """What came of it.

    Attributes:
        accepted: when each revocation was accepted (monotonic), by its family.
        took: seconds from sending until the acceptance.
        repeated: requests that had to be sent again.
        guards: what each guard tells; see `bench.hostile_guards`.
        callers: what each caller tells; see `bench.hostile_callers`.
        holds: longest callback of each event loop of the server (s), and which.
        resident: the server's memory at its height, in bytes.
        load: average of the machine, in the last minute.
    """

    accepted: dict[int, float] = field(factory=dict)
    took: list[float] = field(factory=list)
    repeated: int = 0
    guards: list[dict[str, Any]] = field(factory=list)
    callers: dict[str, dict[str, Any]] = field(factory=dict)
    holds: dict[str, tuple[float, str]] = field(factory=dict)
    resident: int = 0
    load: float = 0.0

    @property
    def lost(self) -> list[list[float]]:
        """Give the seconds of each loss of a lease, by guard."""
        return [each["losses"] for each in self.guards]

    @property
    def seen(self) -> Iterator[tuple[float, float, float]]:
        """Give when a family was accepted, allowed last and denied, for each guard."""
        for guard in self.guards:
            for number, (allowed, denied) in guard["families"].items():
                yield self.accepted[int(number)], allowed, denied

    @property
    def late(self) -> int:
        """Count what was allowed later than one lease after its acceptance."""
        return sum(allowed > at + LEASE for at, allowed, _ in self.seen)

    @property
    def unproven(self) -> int:
        """Count what was never denied since it is revoked."""
        return sum(not denied for _, _, denied in self.seen)


def rows(
    scale: str, *, rate: int = 0, seconds: int = 0, callers: Sequence[str] = ()
) -> list[Row]:
    """Run it, and tell what came of it.

    Args:
        scale: size, where the others are 0.
        rate: revocations a second.
        seconds: how long.
        callers: those that call; none given: all.
    """
    rate, seconds = rate or RATE[scale], seconds or SECONDS[scale]
    tally = measured(scale, rate, seconds, callers)
    return [*lines(tally, f"{rate}/s for {seconds} s"), *_answers(tally)]


def measured(
    scale: str, rate: int, seconds: int, callers: Sequence[str] = (), flaw: str = "none"
) -> Tally:
    """Run the load with the callers beside; a flaw is that of the guards."""

    async def run(folder: Path) -> Tally:
        tally = Tally()
        slot = _server(folder)
        async with fleet([slot]) as running:
            sources = Sources(running)
            await sources.births(0, LIVES)
            with ExitStack() as parts:
                guards = [
                    parts.enter_context(part("bench.hostile_guards", *arguments))
                    for arguments in _guards(slot.url, PROCESSES[scale], flaw)
                ]
                for each in guards:
                    await asyncio.to_thread(line, each)
                over = asyncio.Event()
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(_load(sources, tally, guards, rate, over))
                    await asyncio.sleep(CALM[scale])
                    command = ("bench.hostile_callers", slot.url, scale, *callers)
                    hostile = parts.enter_context(part(*command))
                    await asyncio.to_thread(line, hostile)
                    await asyncio.sleep(seconds)
                    tally.load = _load_average()
                    told = await asyncio.to_thread(end, hostile, DEADLINE)
                    tally.callers = told["callers"]
                    await asyncio.sleep(CALM[scale])
                    over.set()
                for each in guards:
                    told = await asyncio.to_thread(end, each, DEADLINE)
                    tally.guards += told["guards"]
            tally.repeated = sources.repeated
        tally.resident = max(size for _, size in slot.resident)
        tally.holds = json.loads((folder / "holds").read_text("utf-8"))
        return tally

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(run(Path(folder)))


def _server(folder: Path) -> Slot:
    config = folder / "settings.json"
    config.write_text(json.dumps(configuration(folder)), "utf-8")
    command = (sys.executable, "-m", "bench.hostile_server", str(folder / "holds"))
    arguments = ("serve", "--config", str(config), "--data-dir", str(folder / "data"))
    listen = ("--listen", "127.0.0.1:0")
    ready = {"RESCIND_READY_FILE": str(folder / "server.ready")}
    return Slot("server", "server", (*command, *arguments, *listen), ready, folder)


def _guards(url: str, processes: int, flaw: str) -> Iterator[tuple[str, ...]]:
    for process in range(processes):
        names = (f"healthy-{process}-{number}" for number in range(GUARDS))
        yield url, flaw, *names


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


def lines(tally: Tally, load: str) -> Iterator[Row]:
    """Give the lines of the table: what must be so, and what it took."""
    losses = [each for lost in tally.lost for each in lost]
    yield Row(
        what=f"leases lost by {len(tally.guards)} guards beside a load of {load}",
        value=f"{len(losses)}, {sum(losses) * 1e3:.0f} ms",
        peer=f"load of the machine {tally.load:.1f}",
        target="0",
        met=not losses and bool(tally.guards),
    )
    for guard, lost in zip(tally.guards, tally.lost, strict=True):
        told = ", ".join(f"{each * 1e3:.0f}" for each in lost)
        yield Row(
            what="  shortest rest of a lease",
            value=f"{guard['shortest'] * 1e3:.0f} ms",
            peer=(f"lost {told} ms; " if told else "")
            + f"longest pause of the guard itself {guard['pause'] * 1e3:.0f} ms",
        )
    seen = [*tally.seen]
    before = sum(allowed > 0 for _, allowed, _ in seen)
    yield Row(
        what="allowed one lease after the acceptance",
        value=f"{tally.late} of {len(seen):,}",
        peer=f"{before:,} of them allowed before",
        target="0",
        met=not tally.late and before > 0,
    )
    yield Row(
        what="  never denied, since it is revoked",
        value=f"{tally.unproven} of {len(seen):,}",
        target="0",
        met=not tally.unproven,
    )
    yield Row(
        what="  accepted -> denied by a guard, ms",
        value=_ms(denied - at for at, _, denied in seen if denied),
    )
    yield Row(
        what="  sent -> accepted, ms",
        value=_ms(tally.took),
        peer=f"{tally.repeated} requests repeated",
    )
    checks, denied = (sum(g[key] for g in tally.guards) for key in ("checks", "denied"))
    yield Row(what="what lives, denied", value=f"{denied:,} of {checks:,}")
    for thread, (held, what) in tally.holds.items():
        yield Row(
            what=f"longest callback in {thread}", value=f"{held * 1e3:.0f} ms of CPU",
            peer=what[:90],
        )  # fmt: skip
    memory = f"{tally.resident / 1e6:.0f} MB"
    yield Row(what="memory of the server at its height", value=memory)


def _answers(tally: Tally) -> Iterator[Row]:
    for name, told in tally.callers.items():
        answers = sorted(told["answers"].items())
        counted = ", ".join(f"{count:,} x {status}" for status, count in answers)
        yield Row(
            what=f"caller {name}",
            value=f"{told['rounds']} rounds",
            peer=f"{counted or 'nothing'}; slowest {told['slowest']:.1f} s",
        )


def _ms(values: Iterable[float]) -> str:
    found = sorted(each * 1e3 for each in values)
    if len(found) < 2:
        return "not seen"
    cuts = quantiles(found, n=100, method="inclusive")
    return f"p50 {cuts[49]:.0f}, p99 {cuts[98]:.0f}, max {found[-1]:.0f}"
