"""The load of a fleet whose every process is killed once, and its guards' allowances.

Two ingress, two relays, and guards in Python, Go and TypeScript. Each guard is asked
again and again for what is being revoked, and tells of each check that allows. From one
lease after a revocation was accepted none may. All processes but the broker are killed
(SIGKILL) and started again, one after the other; the load goes on until that is over.
Some revocations are an operator's, whose closure has to name every guard that serves.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from attrs import define

from bench.load_allows import AFTER, BEFORE, END, Allows
from bench.load_closures import CLOSED, Closures, unnamed
from bench.load_fleet import DEADLINE, GuardSlot, fleet
from bench.load_guard import child
from bench.load_languages import fleet_slots
from bench.load_tally import Tally, alerts_lost, receiving, sent_accepted
from bench.load_traffic import Sources
from bench.report import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.load_fleet import Fleet, Slot

RATE: Final = {"tiny": 20, "small": 50, "full": 100}  # revocations a second
MOST: Final = 300  # seconds that killing all of them may take
CALM: Final = 3.0  # seconds of load before the first is killed, and after the last
BATCH: Final = 10  # revocations in a request
BIRTHS: Final = 250  # families in a request: there are many other processes
FOLLOWED: Final = 2  # one batch in so many has one that an operator revokes
PLANTED: Final = 5  # one batch in so many has a credential that is used again
LEASE: Final = 1.0
CHECKED: Final = 1.5  # seconds from the acceptance for which guards are asked
AGAIN: Final = 3.0  # seconds from the acceptance to the use
AHEAD: Final = 1.0  # seconds before they are revoked guards are asked for them
LIVES: Final = 1_000


@define(eq=False)
class Everywhere:
    """What was found.

    Attributes:
        slots: the processes.
        allows: what the guards allowed.
        closures: of what an operator revoked.
        tally: of the alerts, and of the acceptance.
    """

    slots: list[Slot]
    allows: Allows
    closures: Closures
    tally: Tally

    @property
    def guards(self) -> list[Slot]:
        """Places of all that closure has to name."""
        return [slot for slot in self.slots if slot.role in {"guard", "pdp"}]


def rows(scale: str, rate: int = 0, seconds: int = 0) -> Iterator[Row]:
    """Run the load, and give the lines of the table."""
    rate = rate or RATE[scale]
    return lines(measured(rate, seconds or MOST), f"{rate:,}/s, fleet")


def measured(rate: int, seconds: int = MOST, *, flaw: str = "") -> Everywhere:
    """Run the load until every process was killed.

    Args:
        rate: revocations a second.
        seconds: that killing all of them may take.
        flaw: of one guard more; see `bench.load_guard`.
    """
    order = {"lives": LIVES}

    async def load(folder: Path) -> Everywhere:
        tally = Tally()
        async with (
            receiving(tally) as url,
            fleet_slots(folder, url, order, flaw) as slots,
            fleet(slots) as running,
        ):
            found = Everywhere(slots, Allows(LEASE), Closures(running), tally)
            await _Load(found, running, rate, seconds).run()
        return found

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(load(Path(folder)))


class _Load:
    """The load, in the order in which it runs."""

    def __init__(
        self, found: Everywhere, running: Fleet, rate: int, seconds: int
    ) -> None:
        self.found = found
        self.running = running
        self.rate = rate
        self.seconds = seconds
        self.guards = [each for each in found.slots if isinstance(each, GuardSlot)]
        self.sources = Sources(running)
        self.rolled = asyncio.Event()

    async def run(self) -> None:
        """Declare, revoke while all are killed, and ask once more in the end."""
        count, tally = self.rate * self.seconds, self.found.tally
        await self.sources.births(count, LIVES, BIRTHS)
        for guard in self.guards:
            await known(guard, count - 1)
            guard.hear = self.found.allows.hearer(guard.name)
        await self._revoke(count)
        await self.found.closures.settled()
        for guard in self.guards:
            guard.ask(what=END, range=[0, tally.revoked], settled=True)
        await tally.told(DEADLINE)
        for guard in self.guards:
            await guard.answered()
        tally.repeated = self.sources.repeated

    async def _revoke(self, count: int) -> None:
        """Revoke batch by batch until all were killed and started again."""
        tally = self.found.tally
        start = tally.began = time.monotonic() + AHEAD
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._kill())
            for first in range(0, count, BATCH):
                if self.rolled.is_set():
                    break
                due = start + first / self.rate
                await asyncio.sleep(due - AHEAD - time.monotonic())
                tasks.create_task(self._batch(range(first, first + BATCH), due))
                tally.revoked = first + BATCH
        assert self.rolled.is_set(), "the load was over before all were killed"
        tally.over = time.monotonic()

    async def _kill(self) -> None:
        await asyncio.sleep(AHEAD + CALM)
        await self.running.roll((signal.SIGKILL,))
        self.found.tally.rolled = time.monotonic()
        await asyncio.sleep(CALM)
        self.rolled.set()

    async def _batch(self, numbers: range, due: float) -> None:
        self._ask(BEFORE, numbers)
        await asyncio.sleep(due - time.monotonic())
        sent, turn = time.monotonic(), numbers.start // BATCH
        self.found.tally.late.append(sent - due)
        if turn % FOLLOWED == 0:
            last, numbers = numbers[-1:], numbers[:-1]
            accepted = await self.found.closures.follow(last.start)
            self._ask(AFTER, last, accepted=accepted, until=accepted + CHECKED)
            sent = time.monotonic()
        accepted = await self.sources.end(numbers)
        self.found.tally.accepted.append(accepted - sent)
        self._ask(AFTER, numbers, accepted=accepted, until=accepted + CHECKED)
        if turn % PLANTED == 0:
            await asyncio.sleep(accepted + AGAIN - time.monotonic())
            name = child(numbers.start).value
            await self.sources.use(name)
            self.found.tally.planted[name] = time.monotonic()

    def _ask(self, what: str, numbers: range, **more: Any) -> None:
        for guard in self.guards:
            guard.ask(what=what, range=[numbers.start, numbers.stop], **more)


async def known(guard: GuardSlot, number: int) -> None:
    """Wait until a guard allows a family."""
    allowed: list[str] = []
    guard.hear = lambda _question, told: allowed.extend(told.get("allowed", ()))
    async with asyncio.timeout(DEADLINE):
        while len(allowed) < 2:
            allowed.clear()
            guard.ask(what="known", range=[number, number + 1])
            await guard.answered()


def lines(found: Everywhere, load: str) -> Iterator[Row]:
    """Give the lines of the table: what must be so, and how long it took."""
    yield _late(found.allows, load)
    for name, said in found.allows.guards.items():
        seconds = sorted(said.last.values())
        at = ", ".join(f"{1e3 * each:.0f}" for each in _quantiles(seconds))
        checks, lapsed = _living(found, name)
        yield Row(
            what=f"  {name}: accepted -> last allowed, ms, p50, p99, most",
            value=at or "never allowed after it",
            peer=f"{len(said.last):,} names; no lease in {lapsed:,} of {checks:,}",
        )
    lost = sum(len(said.lost) for said in found.allows.guards.values())
    ended = sum(said.ended for said in found.allows.guards.values())
    yield Row(
        what="  allowed when all was over",
        value=f"{lost:,} of {ended + lost:,}",
        target="0",
        met=not lost and ended > 0,
    )
    yield _named(found)
    yield alerts_lost(found.tally)
    yield sent_accepted(found.tally)
    yield _killed(found)


def _late(allows: Allows, load: str) -> Row:
    late = len(list(allows.late()))
    proven = sum(said.proven for said in allows.guards.values())
    lapsed = sum(said.lapsed for said in allows.guards.values())
    return Row(
        what=f"allowed one lease after the acceptance, {load}",
        value=f"{late:,} of {proven + lapsed + late:,}",
        peer=f"{lapsed:,} of them denied for want of a lease",
        target="0",
        met=late == 0 and proven > 0,
    )


def _named(found: Everywhere) -> Row:
    answers = found.closures.answers
    closed = [each.seconds for each in answers if each.state == CLOSED]
    missing = list(unnamed(answers, found.guards))
    fenced = sum(len(each.fenced) for each in answers)
    took = f"{median(closed):.2f} s, {max(closed):.2f} s at most" if closed else "never"
    return Row(
        what=f"closed, and each of {len(found.guards)} guards named that served",
        value=f"{len(closed):,} of {len(answers):,}, {len(missing)} not named",
        peer=f"{took}; fenced {fenced:,} times",
        target="all",
        met=bool(answers) and len(closed) == len(answers) and not missing,
    )


def _killed(found: Everywhere) -> Row:
    times = [each for slot in found.slots for each in slot.ended]
    return Row(
        what=f"killed and started again, of {len(found.slots)} processes",
        value=f"{len(times)}, {max(times, default=0.0):.1f} s at most",
        peer=f"{found.tally.over - found.tally.began:.0f} s of load",
        target="each",
        met=len(times) == len(found.slots),
    )


def _living(found: Everywhere, name: str) -> tuple[int, int]:
    (slot,) = (each for each in found.slots if each.name == name)
    assert isinstance(slot, GuardSlot)
    checks, lapsed = zip(*slot.lapses, strict=True)
    return sum(checks), sum(lapsed)


def _quantiles(ordered: list[float]) -> list[float]:
    if not ordered:
        return []
    last = len(ordered) - 1
    return [ordered[round(part * last)] for part in (0.5, 0.99, 1.0)]
