"""A long load with a restart of every process in the middle of it.

Five hundred revocations a second, each of a parent with a child, before two guards.
From one lease after each was accepted neither guard may allow the two. Meanwhile dead
credentials are used again, and each of these uses must reach the receiver of alerts.
Every process is ended by SIGTERM and started again, one at a time.
Open loop: a revocation is due at its time, whatever became of the one before.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.load_everywhere import known
from bench.load_everywhere import rows as everywhere
from bench.load_fleet import DEADLINE, GuardSlot, fleet
from bench.load_guard import child
from bench.load_roles import embedded_slots, kafka_slots
from bench.load_tally import TABLES, Tally, lines, receiving
from bench.load_traffic import Sources

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bench.load_fleet import Fleet
    from bench.report import Row

RATE: Final = {"tiny": 50, "small": 200, "full": 500}  # revocations a second
SECONDS: Final = {"tiny": 4, "small": 60, "full": 600}
BATCH: Final = 10  # revocations in a request
PLANTED: Final = 10  # one batch in so many has a credential that is used again
LEASE: Final = 1.0
AGAIN: Final = 3.0  # seconds from the acceptance to the use
AHEAD: Final = 1.0  # seconds before they are revoked guards are asked for them
LIVES: Final = 1_000
ROLLED: Final = (signal.SIGTERM, signal.SIGKILL)
# Readers before writers; docs/operations.md.
UPGRADED: Final = ("notify", "sentinel", "registry", "pdp", "guard", "ingress")


def rows(
    scale: str, *, rate: int = 0, seconds: int = 0, engine: str = "kafka"
) -> list[Row]:
    """Run the load, and tell what came of it.

    Args:
        scale: size, where the others are 0.
        rate: revocations a second.
        seconds: how long; of a fleet, how long killing it may take.
        engine: kafka, embedded, or fleet: see `bench.load_everywhere`.
    """
    if engine == "fleet":
        return list(everywhere(scale, rate, seconds))
    rate, seconds = rate or RATE[scale], seconds or SECONDS[scale]
    tally = measured(rate, seconds, engine, signals=(signal.SIGTERM,), anew=True)
    return list(lines(tally, f"{rate:,}/s for {seconds} s, {engine}"))


def measured(  # noqa: PLR0913 - the last ones by name
    rate: int,
    seconds: int,
    engine: str,
    *,
    flaw: str = "",
    before: Path | None = None,
    signals: tuple[signal.Signals, ...] = ROLLED,
    anew: bool = False,
) -> Tally:
    """Run the load.

    Args:
        rate: revocations a second.
        seconds: how long.
        engine: kafka or embedded.
        flaw: of the guards; see `bench.load_guard`.
        before: tree of another version, which all run until they are restarted; then
            that is an upgrade, and nothing is killed.
        signals: that each process is ended with, in turn.
        anew: see in the end how much memory a fresh process takes for the same table.
    """
    roles = kafka_slots if engine == "kafka" else embedded_slots
    order = {"lives": LIVES, "flaw": flaw}

    async def load(folder: Path) -> Tally:
        tally = Tally()
        async with (
            receiving(tally) as url,
            roles(folder, url, order) as slots,
            fleet(slots, before) as running,
        ):
            tally.slots = slots
            upgrade = before is not None
            again = running.upgrade(UPGRADED) if upgrade else running.roll(signals)
            await _measure(running, tally, rate, rate * seconds, again)
            if anew:
                await running.weigh(TABLES)
        return tally

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(load(Path(folder)))


async def _measure(
    running: Fleet,
    tally: Tally,
    rate: int,
    count: int,
    again: Coroutine[Any, Any, None],
) -> None:
    guards = [slot for slot in tally.slots if isinstance(slot, GuardSlot)]
    sources = Sources(running)
    await sources.births(count, LIVES)
    for guard in guards:
        await known(guard, count - 1)
        guard.hear = tally.hear
    await _load(sources, tally, rate, count, again)
    for guard in guards:
        guard.ask(what="end", range=[0, count], settled=True)
    await tally.told(DEADLINE)
    for guard in guards:
        await guard.answered()
    tally.repeated = sources.repeated


async def _load(
    sources: Sources,
    tally: Tally,
    rate: int,
    count: int,
    again: Coroutine[Any, Any, None],
) -> None:
    """Revoke each batch when it is due, and restart all in the middle."""
    guards = [slot for slot in tally.slots if isinstance(slot, GuardSlot)]
    start = time.monotonic() + AHEAD
    tally.began, tally.over = start, start + count / rate
    tally.revoked = count

    async def restart() -> None:
        await asyncio.sleep(tally.calm[0] - time.monotonic())
        await again
        tally.rolled = time.monotonic()

    async def batch(numbers: range, due: float) -> None:
        for guard in guards:
            guard.ask(what="before", range=[numbers.start, numbers.stop])
        await asyncio.sleep(due - time.monotonic())
        sent = time.monotonic()
        tally.late.append(sent - due)
        accepted = await sources.end(numbers)
        tally.accepted.append(accepted - sent)
        for guard in guards:
            bounds = [numbers.start, numbers.stop]
            guard.ask(what="after", range=bounds, due=accepted + LEASE)
        if numbers.start // BATCH % PLANTED == 0:
            await asyncio.sleep(accepted + AGAIN - time.monotonic())
            name = child(numbers.start).value
            await sources.use(name)
            tally.planted[name] = time.monotonic()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(restart())
        for first in range(0, count, BATCH):
            due = start + first / rate
            await asyncio.sleep(due - AHEAD - time.monotonic())
            tasks.create_task(batch(range(first, min(first + BATCH, count)), due))
