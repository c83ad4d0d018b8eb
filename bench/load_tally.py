"""What the load found, and the lines that tell it."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import asynccontextmanager, suppress
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from attrs import Factory, define

from bench.report import Row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from bench.load_fleet import Slot

MOST_GROWTH: Final = 1.1
# These keep what was revoked: a cause for each, for good.
TABLES: Final = frozenset({"server", "registry", "sentinel", "pdp", "guard"})
CHILD: Final = re.compile(rb'"identifier":"bench\.key:(c\d+)"')


@define(eq=False)
class Tally:
    """What was found.

    Attributes:
        slots: the processes, with their memory and their restarts.
        before: checks of what was to be revoked: those that allowed it, and all.
        violations: names that were allowed later than they may be.
        proven: checks that denied because it is revoked.
        lapsed: checks that denied for want of a lease.
        planted: names of dead credentials that were used again, and when.
        alerted: names that the receiver was told of, and when first.
        late: by how many seconds revocations were sent after they were due.
        accepted: seconds from being sent until it was accepted.
        lost: names that were allowed at the end of all.
        ended: checks at the end of all that denied because it is revoked.
        began: when the load began, ended, and when all were restarted (monotonic).
        repeated: requests that had to be sent again.
        revoked: how many credentials were revoked.
    """

    slots: list[Slot] = Factory(list)
    before: tuple[int, int] = (0, 0)
    violations: list[str] = Factory(list)
    proven: int = 0
    lapsed: int = 0
    planted: dict[str, float] = Factory(dict)
    alerted: dict[str, float] = Factory(dict)
    late: list[float] = Factory(list)
    accepted: list[float] = Factory(list)
    lost: list[str] = Factory(list)
    ended: int = 0
    began: float = 0.0
    over: float = 0.0
    rolled: float = 0.0
    repeated: int = 0
    revoked: int = 0
    news: asyncio.Event = Factory(asyncio.Event)

    @property
    def calm(self) -> tuple[float, float]:
        """Say when the first sixth of the load ends, and when the last one begins."""
        sixth = (self.over - self.began) / 6
        return self.began + sixth, self.over - sixth

    def hear(self, question: dict[str, Any], told: dict[str, Any]) -> None:
        """Take in what a guard answered."""
        allowed = told.get("allowed", ())
        told = {"revoked": 0, "lapsed": 0} | told
        if question["what"] == "before":
            checks = len(allowed) + told["revoked"] + told["lapsed"]
            self.before = (self.before[0] + len(allowed), self.before[1] + checks)
        elif question["what"] == "after":
            self.violations += allowed
            self.proven += told["revoked"]
            self.lapsed += told["lapsed"]
        else:
            self.lost += allowed
            self.ended += told["revoked"]

    def missing(self) -> set[str]:
        """Give the planted uses that nobody was told of."""
        return self.planted.keys() - self.alerted.keys()

    def alert(self, name: str) -> None:
        """Note that somebody was told of a use."""
        self.alerted.setdefault(name, time.monotonic())
        self.news.set()

    async def told(self, seconds: float) -> None:
        """Wait until somebody was told of every planted use, or far too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.missing():
                    self.news.clear()
                    await self.news.wait()


@asynccontextmanager
async def receiving(tally: Tally) -> AsyncIterator[str]:
    """Run the receiver of the alerts until the context ends; give its URL."""

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        for name in CHILD.findall(body):
            tally.alert(name.decode())
        return web.Response(status=204)

    app = web.Application(client_max_size=1 << 22)
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def lines(tally: Tally, load: str) -> Iterator[Row]:
    """Give the lines of the table: what must be so, how long it took, the memory."""
    wrong = len(tally.violations)
    yield Row(
        what=f"allowed one lease after the acceptance, {load}",
        value=f"{wrong:,} of {tally.proven + tally.lapsed + wrong:,}",
        peer=f"{tally.lapsed:,} of them denied for want of a lease",
        target="0",
        met=wrong == 0 and tally.proven > 0,
    )
    yield Row(
        what="  allowed before they were revoked",
        value=f"{tally.before[0]:,} of {tally.before[1]:,}",
    )
    yield Row(
        what="  allowed when all was over",
        value=f"{len(tally.lost):,} of {tally.ended + len(tally.lost):,}",
        target="0",
        met=not tally.lost and tally.ended > 0,
    )
    yield alerts_lost(tally)
    yield sent_accepted(tally)
    yield _restarts(tally)
    for slot in tally.slots:
        yield _memory(tally, slot)


def alerts_lost(tally: Tally) -> Row:
    """Line of the dead credentials that were used again."""
    missing = len(tally.missing())
    return Row(
        what="alerts lost, of dead credentials that were used again",
        value=f"{missing:,} of {len(tally.planted):,}",
        peer=_ms("used -> alerted", [
            at - tally.planted[name]
            for name, at in tally.alerted.items() if name in tally.planted
        ]),
        target="0",
        met=not missing and bool(tally.planted),
    )  # fmt: skip


def sent_accepted(tally: Tally) -> Row:
    """Line of how long the acceptance took."""
    return Row(
        what="sent -> accepted, ms",
        value=_ms("", tally.accepted),
        peer=_ms("late", tally.late) + f", {tally.repeated:,} requests repeated",
    )


def _restarts(tally: Tally) -> Row:
    times = [each for slot in tally.slots for each in slot.ended]
    done = 0.0 < tally.rolled <= tally.over
    when = f"all over {tally.over - tally.rolled:.0f} s before the load"
    return Row(
        what=f"restarts of {len(tally.slots)} processes",
        value=f"{len(times)}, {max(times, default=0.0):.1f} s at most",
        peer=when if done else "not over when the load was",
        target="within the load",
        met=done,
    )


def _memory(tally: Tally, slot: Slot) -> Row:
    calm, again = tally.calm[0], max(tally.calm[1], tally.rolled)
    first = _between(slot.resident, tally.began, calm)
    last = _between(slot.resident, again, tally.over)
    took = ", ".join(f"{each:.1f}" for each in slot.ended)
    restarts = f"restarted in {took} s" if took else ""
    what = f"  memory of {slot.name}, MB, before and after"
    if not first or not last:
        return Row(what=what, value="not seen", peer=restarts, met=False)
    one, other = median(first), median(last)
    # So long it was from the middle of the one time to that of the other.
    seconds = (again + tally.over - tally.began - calm) / 2
    each = (other - one) / (tally.revoked * seconds / (tally.over - tally.began))
    # A table grows by what it is told: then what counts is what else it kept.
    grows = slot.role in TABLES
    base = slot.fresh if grows else one
    value = f"{one / 1e6:.0f} -> {other / 1e6:.0f}"
    if grows:
        value += f", {each:.0f} B a revocation; fresh {base / 1e6:.0f}"
    return Row(
        what=what,
        value=value,
        peer=restarts,
        target=f"<= {MOST_GROWTH}x" + (" fresh" if grows else ""),
        met=0 < other <= base * MOST_GROWTH,
    )


def _between(seen: Sequence[tuple[float, int]], start: float, end: float) -> list[int]:
    return [size for at, size in seen if start <= at < end]


def _ms(what: str, values: list[float]) -> str:
    if len(values) < 2:
        return ""
    cuts = quantiles([each * 1e3 for each in values], n=100, method="inclusive")
    return f"{what} p50 {cuts[49]:.0f}, p99 {cuts[98]:.0f}".strip()
