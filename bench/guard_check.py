"""What a check costs while the table changes: the slowest of a thousand.

One guard, fed by a real server. Credentials are declared there at a steady rate in
every other window, and each check is timed by itself. Run as a module
(``python -m bench.guard_check URL``) it is the process that declares them.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from statistics import median, quantiles
from typing import TYPE_CHECKING, Final

import aiohttp
from attrs import define, field

from agents_registry.presentation import Presented
from bench.credentials import accessor
from bench.processes import Part, part
from bench.report import Row
from bench.rounds import spread
from enforcement.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Iterator

CREDENTIALS: Final = {"tiny": 6_000, "small": 50_000, "full": 200_000}
ROUNDS: Final = {"tiny": 1, "small": 3, "full": 7}
SECONDS: Final = {"tiny": 0.2, "small": 1.0, "full": 3.0}
A_SECOND: Final = 1_000  # updates
BODY: Final = 10  # updates in a request
IN_A_ROW: Final = 50  # checks before the feed gets its turn
MOST_TIMES: Final = 1.5
DEADLINE: Final = 120.0
FIRST_NEW: Final = 1 << 40  # the number of the first credential that is declared


@define
class Windows:
    """The times of single checks, by round: on the clock and of this thread (ns)."""

    wall: list[list[int]] = field(factory=list)
    cpu: list[list[int]] = field(factory=list)
    updates: int = 0

    def rounds(self) -> Windows:
        """Join the two windows of each round."""
        wall, cpu = (
            [one + other for one, other in zip(of[::2], of[1::2], strict=True)]
            for of in (self.wall, self.cpu)
        )
        return Windows(wall, cpu, self.updates)


def rows(scale: str) -> list[Row]:
    """Time checks in quiet and busy windows in turns."""
    # Only the parent needs the server's modules.
    from bench.realm import fill, serving  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "data", CREDENTIALS[scale])
        with serving(folder) as url, part("bench.guard_check", url) as loader:
            quiet, busy = asyncio.run(_measure(url, loader, scale))
    return list(_report(quiet.rounds(), busy.rounds(), scale))


def _report(quiet: Windows, busy: Windows, scale: str) -> Iterator[Row]:
    seconds = 2 * ROUNDS[scale] * SECONDS[scale]
    held = f"{CREDENTIALS[scale]:,} credentials"
    for what, ours, idle in (
        ("on the clock", busy.wall, quiet.wall),
        ("in CPU time", busy.cpu, quiet.cpu),
    ):
        ratio = spread(
            [_slow(one) / _slow(other) for one, other in zip(ours, idle, strict=True)]
        )
        yield Row(
            what=f"check p99.9 under {A_SECOND:,} updates/s, {held}, {what}",
            value=_told(ours),
            cpu=sum(map(sum, ours)) / 1e9 if ours is busy.cpu else None,
            peer=f"idle, {_told(idle)}",
            ratio=ratio,
            target=f"<= {MOST_TIMES:g}x" if ours is busy.wall else "",
            met=ratio[0] <= MOST_TIMES if ours is busy.wall else None,
        )
    checks = sum(map(len, busy.wall))
    yield Row(
        what="updates applied in the busy windows",
        value=f"{busy.updates / seconds:,.0f}/s",
        peer=f"{checks:,} checks",
    )


def _told(rounds: list[list[int]]) -> str:
    middle = median(median(each) for each in rounds)
    slow = median(map(_slow, rounds))
    return f"{slow / 1e3:.1f} us (p50 {middle / 1e3:.1f})"


def _slow(times: list[int]) -> float:
    return quantiles(times, n=1000, method="inclusive")[998]


async def _measure(url: str, loader: Part, scale: str) -> tuple[Windows, Windows]:
    quiet, busy = Windows(), Windows()
    random = Random(1)
    presented = [
        Presented((accessor(random.randrange(CREDENTIALS[scale])),))
        for _ in range(10_000)
    ]
    async with Guard(url, "guard", name="bench") as guard:
        async with asyncio.timeout(DEADLINE):
            while not guard.check(presented[0]).allowed:
                await guard.feed.progress()
        await _window(guard, presented, SECONDS[scale], Windows())
        for _ in range(ROUNDS[scale]):
            for of in (quiet, busy, busy, quiet):
                if of is busy:
                    _say(loader, "go\n")
                await _window(guard, presented, SECONDS[scale], of)
                if of is busy:
                    _say(loader, "stop\n")
    return quiet, busy


async def _window(
    guard: Guard, presented: list[Presented], seconds: float, into: Windows
) -> None:
    """Check for some seconds; half of the checks on either clock."""
    times: dict[bool, list[int]] = {False: [], True: []}
    start = guard.standing.replica.position or 0
    until = time.monotonic() + seconds
    at = 0
    while time.monotonic() < until:
        for cpu, clock in ((False, time.perf_counter_ns), (True, time.thread_time_ns)):
            taken = times[cpu]
            for each in presented[at : at + IN_A_ROW]:
                began = clock()
                guard.check(each)
                taken.append(clock() - began)
        at = (at + IN_A_ROW) % len(presented)
        await asyncio.sleep(0)
    into.updates += (guard.standing.replica.position or 0) - start
    into.wall.append(times[False])
    into.cpu.append(times[True])


def _say(loader: Part, word: str) -> None:
    assert loader.stdin is not None
    loader.stdin.write(word)
    loader.stdin.flush()


async def _load(url: str) -> None:
    """Declare credentials when they are due, between ``go`` and ``stop``."""
    goes = asyncio.Event()
    loop = asyncio.get_running_loop()
    words = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(words), sys.stdin)
    headers = {"Authorization": "Bearer restorer"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def declare(first: int) -> None:
            names = [str(accessor(first + number)) for number in range(BODY)]
            body = {"credentials": [{"identifier": name} for name in names]}
            async with session.post(f"{url}/v1/adopt", json=body) as answer:
                assert answer.status == 201, await answer.text()

        async def send() -> None:
            number = FIRST_NEW
            async with asyncio.TaskGroup() as tasks:
                while True:
                    await goes.wait()
                    due = loop.time()
                    while goes.is_set():
                        tasks.create_task(declare(number))
                        number += BODY
                        due += BODY / A_SECOND
                        await asyncio.sleep(due - loop.time())

        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(send())
            while word := await words.readline():
                (goes.set if word == b"go\n" else goes.clear)()
            sending.cancel()


if __name__ == "__main__":
    asyncio.run(_load(sys.argv[1]))
