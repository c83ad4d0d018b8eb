"""Writers of heartbeats and a guard, over one partition, in time that is made up.

Whatever is sent takes a while. Writers are killed and come back, write facts and stop
again. The guard asks for the end, reads what is there, and judges by its own rule.
"""

from __future__ import annotations

import heapq
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Final

from attrs import Factory, define, field

from enforcement.kafka.lease import EndLease
from streams.engines.kafka.clock.beat_turns import LOOK, BeatTurns

if TYPE_CHECKING:
    from collections.abc import Callable

NANO: Final = 1_000_000_000
LEASE: Final = 1.0
SLOWEST: Final = 0.04  # seconds that anything takes on its way
QUESTION: Final = LEASE / 4
PLACE: Final = 0


@define(eq=False)
class Writer:
    """One process that beats, and at times writes facts."""

    turns: BeatTurns
    alive: bool = True
    writes: bool = False


@define(eq=False)
class World:
    """A partition, its writers and its guard.

    Attributes:
        records: whether each is a heartbeat.
        parted: a leader that is cut off: it answers, and takes nothing.
        least: shortest rest of the guard's lease, in seconds, from `judged` on.
        beats: heartbeats that were taken.
    """

    random: Random
    writers: list[Writer] = Factory(list)
    now: float = 0.0
    records: list[bool] = Factory(list)
    parted: bool = False
    read: int = 0
    lease: EndLease = Factory(lambda: EndLease(round(LEASE * NANO)))
    least: float = LEASE
    judged: float = 2.0
    beats: int = 0
    _due: list[tuple[float, int, Callable[[], None]]] = Factory(list)
    _order: count[int] = field(factory=count)

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Let something happen later."""
        heapq.heappush(self._due, (self.now + seconds, next(self._order), act))

    def soon(self, act: Callable[[], None]) -> None:
        """Let something happen once it was on its way."""
        self.after(self.random.uniform(0.0005, SLOWEST), act)

    def run(self, seconds: float) -> None:
        """Let it go on for so long."""
        end = self.now + seconds
        while self._due and self._due[0][0] <= end:
            self.now, _, act = heapq.heappop(self._due)
            act()
        self.now = end

    def join(self, patience: float | None = None) -> Writer:
        """Have one writer more, which looks at times of its own."""
        writer = Writer(BeatTurns([PLACE], patience))
        self.writers.append(writer)
        self.after(self.random.uniform(0, LOOK), lambda: self.look(writer))
        return writer

    def look(self, writer: Writer) -> None:
        """Look at the end, and beat where that is due."""
        if not writer.alive:
            return
        sent = self.now

        def answered() -> None:
            end = len(self.records)

            def told() -> None:
                if not writer.alive:
                    return
                writer.turns.looked(sent, {PLACE: end})
                for number in writer.turns.due(self.now):
                    self.beat(writer, number)
                self.after(max(0.0, sent + LOOK - self.now), lambda: self.look(writer))

            self.soon(told)

        self.soon(answered)

    def beat(self, writer: Writer, number: int) -> None:
        """Hand a heartbeat over."""
        handed = self.now
        writer.turns.sent(handed, number)

        def taken() -> None:
            if self.parted:
                return
            self.records.append(True)
            self.beats += 1
            end = len(self.records)
            self.soon(lambda: writer.turns.acked(handed, number, end))

        self.soon(taken)

    def facts(self, writer: Writer) -> None:
        """Write facts for as long as it writes."""
        if not (writer.alive and writer.writes):
            return

        def taken() -> None:
            if not self.parted:
                self.records.append(False)
                self.soon(lambda: writer.turns.wrote([PLACE]))

        self.soon(taken)
        self.after(self.random.uniform(0.001, 0.05), lambda: self.facts(writer))

    def guard(self) -> None:
        """Begin to ask and to read."""
        self.after(0, self._ask)
        self.after(0, self._fetch)

    def _ask(self) -> None:
        sent = round(self.now * NANO)

        def answered() -> None:
            end = len(self.records)
            self.soon(lambda: self._answer(sent, end))

        self.soon(answered)
        self.after(QUESTION, self._ask)

    def _answer(self, sent: int, end: int) -> None:
        self.lease.ended(sent, end)

    def _fetch(self) -> None:
        end = len(self.records)

        def arrived() -> None:
            for offset in range(self.read, end):
                if self.records[offset]:
                    self.lease.beat(offset)
            self.read = max(self.read, end)
            self.after(0.002, self._fetch)

        self._rest()
        self.soon(arrived)

    def _rest(self) -> None:
        if self.now >= self.judged:
            self.least = min(self.least, self.rest())

    def rest(self) -> float:
        """Rest of the guard's lease, in seconds; 0 or less: it has none."""
        return self.lease.deadline(self.read) / NANO - self.now
