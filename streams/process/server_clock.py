"""The time of the embedded server: its own clock, while its guards do not outvote it.

There is no broker to compare with. Guards tell the time with every ping, and each
credential of a guard has one vote, so that nobody who has one decides by it:

- the *wall* clock, as it reads now;
- the *carried* time: the wall clock at the start, and since then a clock nobody sets;
- the *guards'*: the median over their credentials.

Where the guards contradict the wall clock beyond the limit, they count if the carried
time agrees with them (the clock was set), or if at least three credentials agree, and
most of all (it was wrong from the start). Then the time is theirs. Otherwise nobody
can say whose clock is wrong: the server says that they differ and goes by its own, as
it does when a clock was set and there are no guards.

A ping that was late tells an earlier time than it is, so the latest of the last few
counts. Pure: clocks are functions that give ns.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from statistics import median
from typing import TYPE_CHECKING, Final

import structlog
from attrs import define, field

from enforcement.clocks import boottime
from streams.model.times import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT: Final = 2 * SECOND
HEARD: Final = 60 * SECOND  # a guard that is silent for longer has no vote
PINGS: Final = 9
MOST: Final = 100  # guards that are heard of one credential
ENOUGH: Final = 3  # credentials that contradict a clock which nobody set
PERIOD: Final = 1.0
MILLISECOND: Final = 1_000_000

log = structlog.get_logger()


@define(eq=False)
class _GuardTimes:
    """The times of one guard, each when `boottime` was 0."""

    heard_at: int = 0
    bases: deque[int] = field(factory=lambda: deque(maxlen=PINGS))


@define(eq=False)
class ServerClock:
    """Gives the time (ns since 1970), and says how wrong the wall clock is.

    Attributes:
        wall: the machine's clock (ns since 1970), which may be set at any time.
        boottime: a clock (ns) that nobody sets.
        limit: by how much clocks may differ (ns).
    """

    wall: Callable[[], int]
    boottime: Callable[[], int]
    limit: int = LIMIT
    _began: int = field(init=False)
    _guards: dict[str, dict[str, _GuardTimes]] = field(factory=dict)  # by credential
    _base: int | None = None  # the guards' time when `boottime` was 0
    _enough: bool = False
    _said: str = "clock_right"

    def __attrs_post_init__(self) -> None:
        self._began = self.wall() - self.boottime()

    def __call__(self) -> int:
        """Time that counts."""
        wall, up = self.wall(), self.boottime()
        base = self._base
        return base + up if base is not None and self._outvoted(wall, up) else wall

    @property
    def offset(self) -> int:
        """Lead of the wall clock over the guards' (ns), 0 without guards."""
        base = self._base
        return 0 if base is None else self.wall() - self.boottime() - base

    @property
    def fault(self) -> str | None:
        """Say for a person what is wrong with the clock; None while nothing is."""
        if not self._outvoted(self.wall(), self.boottime()):
            return None
        offset = self.offset
        direction = "ahead of" if offset > 0 else "behind"
        return f"clock {abs(offset) / SECOND:.1f} s {direction} the guards'"

    def hear(self, holder: str, guard: str, time_ms: object) -> None:
        """Take in the time that a guard tells with a ping.

        Args:
            holder: of the guard's credential.
            guard: its name.
            time_ms: since 1970; anything else tells nothing.
        """
        if type(time_ms) is not int or not 0 < time_ms < 1 << 43:
            return
        of_holder = self._guards.setdefault(holder, {})
        told = of_holder.get(guard)
        if told is None:
            if len(of_holder) >= MOST:
                return
            told = of_holder[guard] = _GuardTimes()
        told.heard_at = self.boottime()
        told.bases.append(time_ms * MILLISECOND - told.heard_at)

    def judge(self) -> None:
        """Count the votes, and say what changed."""
        up = self.boottime()
        votes = self._votes(up)
        self._base = round(median(votes)) if votes else None
        self._enough = False
        if self._base is not None:
            agree = sum(abs(each - self._base) <= self.limit for each in votes)
            self._enough = agree >= ENOUGH and 2 * agree > len(votes)
            wall = self.wall() - up
            if self._near(wall, self._base) and not self._near(wall, self._began):
                self._began = wall  # a wrong clock was mended
        self._say(len(votes))

    async def run(self) -> None:
        """Judge again and again until cancelled."""
        while True:
            self.judge()
            await asyncio.sleep(PERIOD)

    def _votes(self, up: int) -> list[int]:
        for holder, guards in list(self._guards.items()):
            heard = {n: g for n, g in guards.items() if up - g.heard_at <= HEARD}
            if heard:
                self._guards[holder] = heard
            else:
                del self._guards[holder]
        return [
            round(median(max(each.bases) for each in guards.values()))
            for guards in self._guards.values()
        ]

    def _outvoted(self, wall: int, up: int) -> bool:
        base = self._base
        if base is None or self._near(wall - up, base):
            return False
        return self._enough or self._near(self._began, base)

    def _near(self, first: int, second: int) -> bool:
        return abs(first - second) <= self.limit

    def _say(self, votes: int) -> None:
        """Log what is seen of the clock, once."""
        wall, up = self.wall(), self.boottime()
        seen = "clock_right"
        if self._outvoted(wall, up):
            seen = "clock_wrong"
        elif self._base is not None and not self._near(wall - up, self._base):
            seen = "clocks_differ"  # nobody can say whose is wrong
        elif self._base is None and not self._near(wall - up, self._began):
            seen = "clock_was_set"
        if seen == self._said:
            return
        self._said = seen
        offset = self.offset if self._base is not None else wall - up - self._began
        say = log.info if seen == "clock_right" else log.error
        used = "the guards'" if seen == "clock_wrong" else "its own"
        seconds = round(offset / SECOND, 3)
        say(seen, offset_seconds=seconds, credentials=votes, time_used=used)


def server_clock() -> ServerClock:
    """Clock of this process."""
    return ServerClock(time.time_ns, boottime)  # noqa: TID251 - the clock
