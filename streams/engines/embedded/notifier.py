"""Deliver findings: what is due is saved before it is posted, and so is the answer.

Findings that are urgent are read ahead of all others. Two positions follow the changes:
one up to which the urgent ones were taken, and behind it one up to which all were.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import orjson
from attrs import frozen

from enforcement.turns import in_turns
from streams.engines.embedded.crossing import Bell
from streams.engines.embedded.grouped_writes import GroupedWrites
from streams.model.findings import POSTURE, Severity
from streams.model.records import DeadLetter
from streams.observability.failpoints import failpoint
from streams.observability.progress import Progress
from streams.stages.notify import notify
from streams.stages.notify.deliveries import AttemptOutcome, Delivery, ReceiverRoute
from streams.stages.notify.queue import urgent
from streams.stages.notify.state import (
    DEAD,
    KEPT,
    Buried,
    DeliveryState,
    buried_of,
    changes,
    dead_key,
    dead_rows,
    differing,
)
from streams.stages.sentinel import saved_episodes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from streams.engines.embedded.store import Commit, Store
    from streams.engines.embedded.transaction import Transaction
    from streams.stages.notify.deliveries import Dead
    from streams.stages.notify.silences import Silence

    Post = Callable[[Delivery], Awaitable[AttemptOutcome]]

BATCH: Final = 200  # messages, about, that one step makes: some 10 ms
FEW: Final = 50  # changes that are not urgent, between two looks for urgent ones
AHEAD: Final = 5_000  # changes looked through for urgent ones at once
LONGEST_WAIT: Final = 5.0
SHOWN: Final = 10_000  # dead letters that are shown and replayed at once
_POSTURE: Final = ", ".join(f"'{kind.value}'" for kind in sorted(POSTURE, key=str))
_URGENT: Final = (
    "json_extract(CAST(body AS TEXT), '$.finding.severity') >= "
    f"{int(Severity.HIGH)} AND json_extract(CAST(body AS TEXT), '$.finding.kind')"
    f" NOT IN ({_POSTURE})"
)

_BETWEEN: Final = (
    "SELECT changed, open, body FROM findings WHERE changed > ? AND changed <= ? AND {}"
    " ORDER BY changed LIMIT ?"
)


@frozen
class _Changed:
    """Changes of findings to take in.

    Attributes:
        position: all were taken up to this change.
        ahead: the urgent ones were taken up to this one.
        last: the last there is.
    """

    changes: list[notify.FindingChange]
    position: int
    ahead: int
    last: int


class Notifier:
    """The loop of the stage notify over the findings in the file.

    Attributes:
        progress: for health.
        silences: gives what is not told now.
    """

    def __init__(
        self,
        store: Store,
        routes: Sequence[ReceiverRoute],
        post: Post,
        clock: Callable[[], int],
    ) -> None:
        """Set up.

        Args:
            store: holds findings and delivery state.
            routes: the receivers.
            post: makes one attempt; never raises for what the receiver does.
            clock: gives the time (ns).
        """
        self.state = DeliveryState()
        self.routes = tuple(routes)
        self.post = post
        self.silences: Callable[[], Sequence[Silence]] = tuple
        self.progress = Progress()
        self._store = store
        self._writes = GroupedWrites(store)
        self._clock = clock
        self._position = 0
        self._ahead = 0
        self._news = Bell()
        self._turning = asyncio.Lock()  # a step reads the state long before it sets it
        store.listeners.append(self._on_commit)

    def _on_commit(self, commit: Commit) -> None:
        if commit.findings:
            self._news.set()

    def heed(self) -> None:
        """Look at the silences: they changed."""
        self._news.set()

    async def load(self) -> None:
        """Bring the state back; what was under way is due again.

        The folder's lock says that no other process delivers, so no lease of an
        attempt can still be alive.
        """
        query = "SELECT stage, position FROM positions WHERE stage GLOB 'notify*'"
        positions = dict(await self._store.read(query))
        self._position = positions.get("notify", 0)
        self._ahead = max(self._position, positions.get("notify_urgent", 0))
        query = "SELECT key, body FROM deliveries WHERE NOT key GLOB ?"
        rows = await self._store.read(query, DEAD + "*")
        state = DeliveryState.of_rows({key: orjson.loads(body) for key, body in rows})
        # The settings say which receivers there are: a start is a new chance for all.
        self.state = DeliveryState().joined(state)
        old = [
            dead_key(each.delivery)
            for each in await self.buried()
            if each.at < self._clock() - KEPT
        ]
        await self._store.write_in_time(lambda tx: tx.put_deliveries({}, old))

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as attempts:
            while True:
                self._news.clear()
                self._turn()
                found = await self._changed()
                for delivery in await self._step(found):
                    attempts.create_task(self._attempt(delivery))
                if found.position >= found.last:
                    await self._wait()

    def _turn(self) -> None:
        taken = {0: self._position}
        self.progress.turn(
            now=asyncio.get_running_loop().time(),
            assigned=frozenset(taken),
            ready=True,
            waiting=0,
            positions=taken,
            committed=taken,
        )

    async def _changed(self) -> _Changed:
        """Read what changed: what is urgent first, and the rest behind it."""
        query = "SELECT coalesce(max(changed), 0) FROM findings"
        ((last,),) = await self._store.read(query)
        end = max(self._ahead, min(last, self._ahead + AHEAD))
        size = max(1, BATCH // max(1, len(self.routes)))
        first = await self._between(self._ahead, end, size, _URGENT)
        if len(first) == size:
            ahead, _ = first[-1]
            return _Changed([it for _, it in first], self._position, ahead, last)
        others = await self._between(self._position, end, FEW)
        position = others[-1][0] if len(others) == FEW else end
        taken = [it for _, it in first]
        taken += [it for _, it in others if not urgent(it.finding)]
        return _Changed(taken, position, end, last)

    async def _between(
        self, start: int, end: int, size: int, which: str = "TRUE"
    ) -> list[tuple[int, notify.FindingChange]]:
        """Read some changes behind one and up to another, with their numbers."""
        query = _BETWEEN.format(which)
        rows = await self._store.read(query, start, end, size)
        return [
            (
                changed,
                notify.FindingChange(
                    saved_episodes.load(orjson.loads(body)).finding, not opened
                ),
            )
            for changed, opened, body in rows
        ]

    async def _step(self, found: _Changed) -> tuple[Delivery, ...]:
        async with self._turning:
            before, now = self.state, self._clock()
            steps = notify.stepping(
                before, found.changes, now, routes=self.routes, silences=self.silences()
            )
            after, due = await in_turns(steps)
            after, dead = notify.give_up(after, self.routes)
            put, dropped = await in_turns(differing(before, after))
            self.state = after
        moved = (found.position, found.ahead) != (self._position, self._ahead)
        put |= dead_rows(dead, now)
        self._position, self._ahead = found.position, found.ahead

        def job(tx: Transaction) -> None:
            tx.put_deliveries(put, dropped)
            tx.set_position("notify", found.position)
            tx.set_position("notify_urgent", found.ahead)
            _bury(tx, dead, now)

        if moved or put or dropped:
            await self._writes.write(job)
        return due

    async def _attempt(self, delivery: Delivery) -> None:
        failpoint("notify.before_attempt")
        outcome = await self.post(delivery)
        failpoint("notify.after_attempt")
        async with self._turning:
            before, now = self.state, self._clock()
            self.state, dead = notify.settle(before, delivery, outcome, now)
        put, dropped = changes(before, self.state)
        put |= dead_rows(dead, now)
        if outcome.accepted:
            dropped = (*dropped, dead_key(delivery))

        def job(tx: Transaction) -> None:
            tx.put_deliveries(put, dropped)
            _bury(tx, dead, now)

        await self._writes.write(job)
        failpoint("notify.after_outcome")
        # Where nothing waits for it any more an answer makes nothing due.
        if not outcome.accepted or self.state.queue(delivery.route):
            self._news.set()

    async def buried(self) -> list[Buried]:
        """Messages given up that have not arrived since, the oldest first."""
        query = "SELECT body FROM deliveries WHERE key GLOB ? LIMIT ?"
        rows = await self._store.read(query, DEAD + "*", SHOWN)
        return buried_of(orjson.loads(body) for (body,) in rows)

    async def replay(self, route: str | None) -> int:
        """Deliver anew what was given up, of one route or of all; give how many.

        It stays among what was given up until it has arrived.
        """
        buried = [
            each.delivery
            for each in await self.buried()
            if route in (None, each.delivery.route)
        ]
        async with self._turning:
            before, now = self.state, self._clock()
            self.state, ends = notify.revive(before, buried, now)
        put, dropped = changes(before, self.state)
        put |= dead_rows(ends, now)
        await self._writes.write(lambda tx: tx.put_deliveries(put, dropped))
        self._news.set()
        return len(buried)

    async def _wait(self) -> None:
        now = self._clock()
        due = notify.next_due(self.state, now)
        seconds = LONGEST_WAIT if due is None else (due - now) / 1e9
        try:
            async with asyncio.timeout(min(seconds, LONGEST_WAIT)):
                await self._news.wait()
        except TimeoutError:
            return


def _bury(tx: Transaction, dead: Iterable[Dead], now: int) -> None:
    letters = [
        DeadLetter("notify", 0, 0, each.reason, event_id=each.delivery.finding.id)
        for each in dead
    ]
    tx.add_dead_letters(letters, authority="notify", at=now, single=True)
