"""Deliver findings: what is due is saved before it is posted, and so is the answer.

One message to one receiver takes this way: taken in and saved, posted, its outcome
saved (with a dead letter where it is given up), settled. Whatever dies in between is
done again, with the ids that it had.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import attrs

from enforcement.turns import in_turns
from streams.observability.failpoints import failpoint
from streams.ports.delivery import DeliveryChange
from streams.stages.notify import notify
from streams.stages.notify.deliveries import (
    AttemptOutcome,
    Delivery,
    LastAttempts,
    ReceiverRoute,
)
from streams.stages.notify.state import (
    KEPT,
    Buried,
    DeliveryState,
    dead_key,
    dead_rows,
    differing,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from streams.ports.delivery import DeliveryPort, TakenFindings
    from streams.stages.notify.silences import Silence

    Post = Callable[[Delivery], Awaitable[AttemptOutcome]]

BATCH: Final = 200  # messages, about, that one step makes: some 10 ms
FEW: Final = 50  # changes that are not urgent, between two looks for urgent ones
LONGEST_WAIT: Final = 5.0
SHOWN: Final = 10_000  # dead letters that are shown and replayed at once


class DeliveryWorker:
    """Takes findings in and sees their alerts through.

    Attributes:
        state: of the notify stage; what is saved may be a little behind.
        silences: gives what is not told now.
        last: how the last attempts ended, by receiver; not kept over a restart.
    """

    def __init__(
        self,
        engine: DeliveryPort,
        routes: Sequence[ReceiverRoute],
        post: Post,
        clock: Callable[[], int],
    ) -> None:
        """Set up; `run` works.

        Args:
            engine: gives findings and keeps the state.
            routes: the receivers.
            post: makes one attempt; never raises for what the receiver does.
            clock: gives the time (ns).
        """
        self.state = DeliveryState()
        self.routes = tuple(routes)
        self.post = post
        self.last: dict[str, LastAttempts] = {}
        self.silences: Callable[[], Sequence[Silence]] = tuple
        self._engine = engine
        self._clock = clock
        self._begun = asyncio.Event()
        self._turning = asyncio.Lock()  # a step reads the state long before it sets it

    def wake(self) -> None:
        """Look at the silences: they changed."""
        self._engine.news.set()

    async def run(self) -> None:
        """Deliver until cancelled; the first thing that breaks ends it."""
        limit = self._clock() - KEPT
        old = [dead_key(e.delivery) for e in await self.buried() if e.at < limit]
        await self._engine.save(DeliveryChange(dropped=old, state=self.state))
        async with asyncio.TaskGroup() as attempts:
            while True:
                self._engine.news.clear()
                taken = await self._next()
                for delivery in await self._step(taken):
                    attempts.create_task(self._attempt(delivery))
                if not taken.more:
                    await self._wait()

    async def _next(self) -> TakenFindings:
        return await self._engine.next(max(1, BATCH // max(1, len(self.routes))), FEW)

    async def _step(self, taken: TakenFindings) -> tuple[Delivery, ...]:
        """Take changes in and save what is so then; give what is due."""
        async with self._turning:
            before, now = self.state, self._clock()
            if taken.anew is not None:
                before = DeliveryState(disabled=before.disabled, paused=before.paused)
                before = before.joined(taken.anew)
                self._begun.set()
            before = before.joined(await self._engine.recall(taken.about))
            steps = notify.stepping(
                before, taken.changes, now, routes=self.routes, silences=self.silences()
            )
            state, due = await in_turns(steps)
            settled = notify.give_up(state, self.routes)
            change = await self._changed(before, settled, now)
        told = state.told is not before.told
        change = attrs.evolve(change, took=taken.took, told=told)
        if change.dead:
            self._engine.news.set()  # there may be more to give up
        return due if await self._engine.save(change) else ()

    async def _changed(
        self, before: DeliveryState, settled: notify.Settled, now: int
    ) -> DeliveryChange:
        """Set the state; give what leads to it."""
        state, dead = settled
        put, dropped = await in_turns(differing(before, state))
        self.state = state
        put |= await in_turns(dead_rows(dead, now))
        return DeliveryChange(put=put, dropped=dropped, dead=dead, at=now, state=state)

    async def _attempt(self, delivery: Delivery) -> None:
        failpoint("notify.before_attempt")
        outcome = await self.post(delivery)
        known = self.last.get(delivery.route, LastAttempts())
        self.last[delivery.route] = known.after(outcome, self._clock())
        failpoint("notify.after_attempt")
        async with self._turning:
            before, now = self.state, self._clock()
            settled = notify.settle(before, delivery, outcome, now)
            change = await self._changed(before, settled, now)
        # Where it arrived, even if it was forgotten meanwhile.
        gone = (delivery.key, dead_key(delivery)) if outcome.accepted else ()
        dropped = (*change.dropped, *gone)
        await self._engine.save(attrs.evolve(change, dropped=dropped, ended=delivery))
        failpoint("notify.after_outcome")
        # Where nothing waits for it any more an answer makes nothing due.
        if not outcome.accepted or self.state.queue(delivery.route):
            self._engine.news.set()

    async def buried(self) -> list[Buried]:
        """Messages given up that have not arrived since, the oldest first."""
        return await self._engine.buried(SHOWN)

    async def replay(self, route: str | None) -> int:
        """Deliver anew what was given up, of one route or of all; give how many.

        It stays among what was given up until it has arrived: a process that dies
        before may not know of it any more, and it can be replayed again.
        """
        await self._begun.wait()  # what is saved takes the place of what is in memory
        buried = [
            each.delivery
            for each in await self.buried()
            if route in (None, each.delivery.route)
        ]
        for start in range(0, len(buried), notify.TOGETHER):
            await self._revive(buried[start : start + notify.TOGETHER])
        return len(buried)

    async def _revive(self, buried: Sequence[Delivery]) -> None:
        async with self._turning:
            known = await self._engine.recall({each.finding.id for each in buried})
            before, now = self.state.joined(known), self._clock()
            settled = notify.revive(before, buried, now)
            change = await self._changed(before, settled, now)
        # What it ends is kept with what was given up, and is no dead letter.
        await self._engine.save(attrs.evolve(change, dead=()))
        self._engine.news.set()

    async def _wait(self) -> None:
        now = self._clock()
        due = notify.next_due(self.state, now)
        seconds = LONGEST_WAIT if due is None else (due - now) / 1e9
        try:
            async with asyncio.timeout(min(seconds, LONGEST_WAIT)):
                await self._engine.news.wait()
        except TimeoutError:
            return
