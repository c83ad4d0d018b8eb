"""The load of a fleet whose every process is killed once, and its guards' allowances.

Two ingress, two relays, and guards in Python, Go and TypeScript. Each guard is asked
again and again for what is being revoked, and tells of each check that allows. From one
lease after a revocation was accepted none may. All processes but the broker are killed
(SIGKILL) and started again, one after the other; the load goes on until that is over.
Some revocations are an operator's, whose closure has to name every guard that serves.

It ends whatever happens: each part has a time (`bench.load_bounds`), and what it could
not do stands in the table.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.load_allows import AFTER, BEFORE, END, Allows
from bench.load_bounds import Restarts, bounded
from bench.load_closures import DEADLINE as CLOSING
from bench.load_closures import Closures
from bench.load_fleet import DEADLINE, GuardSlot, fleet
from bench.load_fleet_table import Everywhere, lines
from bench.load_guard import child
from bench.load_languages import fleet_slots
from bench.load_tally import Tally, receiving
from bench.load_traffic import Sources

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.load_fleet import Fleet, Slot
    from bench.report import Row

RATE: Final = {"tiny": 20, "small": 50, "full": 100}  # revocations a second
MOST: Final = 300  # seconds that killing all of them may take
BACK: Final = 60.0  # seconds after which the next one is killed, back or not
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


def rows(scale: str, rate: int = 0, seconds: int = 0) -> Iterator[Row]:
    """Run the load, and give the lines of the table."""
    rate = rate or RATE[scale]
    return lines(measured(rate, seconds or MOST), f"{rate:,}/s, fleet")


def measured(rate: int, seconds: int = MOST, *, flaw: str = "") -> Everywhere:
    """Run the load until every process was killed, or its time is over.

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
        ):
            found = Everywhere(slots, Allows(LEASE), tally)
            async with (
                bounded(found.given_up, "the fleet"),
                fleet(slots, given_up=found.given_up) as running,
            ):
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
        self.closures = Closures(running, found.answers)
        self.rolled = asyncio.Event()
        self.restarts = Restarts(found.given_up)

    async def run(self) -> None:
        """Declare, revoke while all are killed, and ask once more in the end."""
        count, given_up = self.rate * self.seconds, self.found.given_up
        async with bounded(given_up, "declare what will be revoked", DEADLINE):
            await self.sources.births(count, LIVES, BIRTHS)
        await asyncio.gather(*[self._known(guard, count) for guard in self.guards])
        try:
            async with bounded(given_up, "revoke", self.seconds + 2 * CLOSING):
                await self._revoke(count)
            async with bounded(given_up, "follow closures", CLOSING + CHECKED):
                await self.closures.settled()
            await self._ask_all_again()
        finally:
            await self.restarts.end()
        self.found.tally.repeated = self.sources.repeated

    async def _known(self, guard: GuardSlot, count: int) -> None:
        """Wait until a guard knows what was declared last; hear it from then on."""
        async with bounded(self.found.given_up, f"feed {guard.name}", DEADLINE):
            await known(guard, count - 1)
        guard.waiting.clear()
        guard.hear = self.found.allows.hearer(guard.name)

    async def _ask_all_again(self) -> None:
        given_up, tally = self.found.given_up, self.found.tally

        async def ask(guard: GuardSlot) -> None:
            guard.ask(what=END, range=[0, tally.revoked], settled=True)
            async with bounded(given_up, f"answers of {guard.name}", DEADLINE):
                await guard.answered()

        await asyncio.gather(tally.told(DEADLINE), *map(ask, self.guards))

    async def _revoke(self, count: int) -> None:
        """Revoke batch by batch until all were killed and started again."""
        tally = self.found.tally
        start = tally.began = time.monotonic() + AHEAD
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._kill(start + self.seconds - CALM))
                for first in range(0, count, BATCH):
                    if self.rolled.is_set():
                        break
                    due = start + first / self.rate
                    await asyncio.sleep(due - AHEAD - time.monotonic())
                    numbers = range(first, min(first + BATCH, count))
                    tasks.create_task(self._batch(numbers, due))
                    tally.revoked = numbers.stop
                tally.over = time.monotonic()
        finally:
            tally.over = tally.over or time.monotonic()

    async def _kill(self, until: float) -> None:
        """Kill one after the other; whoever is not back in time keeps no other."""
        await asyncio.sleep(AHEAD + CALM)
        slots = self.found.slots
        await self.restarts.each(slots, self._restart, until, BACK)
        self.found.tally.rolled = time.monotonic()
        await asyncio.sleep(CALM)
        self.rolled.set()

    async def _restart(self, slot: Slot) -> None:
        session = self.running.session
        slot.ended.append(await slot.restart(signal.SIGKILL, session))

    async def _batch(self, numbers: range, due: float) -> None:
        self._ask(BEFORE, numbers)
        await asyncio.sleep(due - time.monotonic())
        self.found.tally.late.append(time.monotonic() - due)
        try:
            await self._revoke_batch(numbers)
        except TimeoutError:  # never accepted, so nothing is promised
            self.found.untaken += 1

    async def _revoke_batch(self, numbers: range) -> None:
        sent, turn = time.monotonic(), numbers.start // BATCH
        if turn % FOLLOWED == 0:
            last, numbers = numbers[-1:], numbers[:-1]
            accepted = await self.closures.follow(last.start)
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
