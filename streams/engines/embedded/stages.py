"""Run registry and sentinel over the log, in one task, in slices.

Order of work: facts are applied first; accesses are judged once every fact that was
committed with or before them is applied; what a fact condemned is listed slice by
slice in between. The outputs, the state and the position of a slice are one
transaction, so a crash repeats a slice and never loses or half-writes one.
"""

from __future__ import annotations

import asyncio
from typing import Final

from streams.engines.embedded.access_steps import (
    take_accesses,
    take_posture,
    take_receipts,
    take_signals,
    take_unsettled,
    tidy,
)
from streams.engines.embedded.fact_steps import keep_table, take_facts, take_slice
from streams.engines.embedded.stage_loading import load_stages
from streams.engines.embedded.stage_state import StageState
from streams.stages.posture.posture import SLICE

FEW_NODES: Final = 16
TIDY_SECONDS: Final = 5.0


class Stages(StageState):
    """The loop that moves the state of the embedded stages.

    It belongs to the event loop that it was made in. Other threads may wait, ring, and
    read single numbers; whoever looks into the table does so in that loop.
    """

    async def load(self) -> None:
        """Bring the table and the sentinel back from the file."""
        await load_stages(self)

    async def run(self) -> None:
        """Work until cancelled."""
        tidy_at = 0
        while True:
            self.news.clear()
            self._turn()
            self.working = True
            worked = await self._step()
            if self.kept.due(self.facts, calm=not worked):
                await keep_table(self)
            self.working = False
            if worked:
                continue
            now = self.clock()
            if now >= tidy_at:
                await tidy(self, now)
                tidy_at = now + int(TIDY_SECONDS * 1e9)
            try:
                async with asyncio.timeout(TIDY_SECONDS):
                    await self.news.wait()
            except TimeoutError:
                continue

    def _turn(self) -> None:
        done = {0: self.done}
        self.progress.turn(
            now=asyncio.get_running_loop().time(),
            assigned=frozenset(done),
            ready=True,
            waiting=self.facts.waiting,
            positions=done,
            committed=done,
        )

    @property
    def done(self) -> int:
        """Count what was worked off, in records and pieces; it only grows."""
        return self.applied + self.judged + self.told + self.pieces

    @property
    def backlog(self) -> int:
        """Count what was committed and is not worked off; 1 while loading."""
        ends = self.ends
        waiting = ends.facts - self.applied + ends.access - self.judged
        waiting += ends.signals - self.told + self.facts.waiting
        waiting += self.access.postures.inspecting(self.name, self.clock())
        waiting += self.access.unsettled(self.clock()) + self.sentinel.points.news
        return waiting + (self.working or not self.loaded.is_set())

    @property
    def idle(self) -> bool:
        """Whether everything that was committed is worked off."""
        return self.backlog == 0

    async def wait_applied(self, offset: int) -> None:
        """Wait until every fact below an offset is in the table."""
        await self._applied.reached(offset)

    async def _step(self) -> bool:
        """Every kind of work one turn; tell whether there was any."""
        if self.target is None:
            self.target = self.ends
        worked = False
        if not self.facts.exclusive:
            worked = await take_facts(self)
        worked |= await take_slice(self)
        worked |= await take_signals(self)
        # Uses go first: posture waits for one that waits for facts of its round.
        uses_wait = self.judged < self.ends.access
        if not uses_wait or self.applied >= self.target.facts:
            worked |= await take_posture(self, FEW_NODES if uses_wait else SLICE)
        await take_receipts(self)
        if self.applied >= self.target.facts:
            worked |= await take_accesses(self, self.target.access)
            worked |= await take_unsettled(self)
            if self.judged >= self.target.access:
                worked |= self.target is not self.ends
                self.target = None
        return worked
