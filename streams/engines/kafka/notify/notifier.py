"""The notify stage on Kafka: findings in, alerts out, and each acked when settled.

A record of ``findings`` is owed until its finding has no message under way or waiting
to be tried; only then is it acked, and the commit may pass it. So an alert is delivered
at least once whatever dies, and its id is a function of finding and revision. The
schedule of attempts, which spans days, lies in the local `DeliveryFile`.

One message to one receiver takes this way: taken in and saved, posted, its outcome
saved (a message that is given up goes to ``dlq`` and is acked there before), acked.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from enforcement.turns import in_turns
from schemas.errors import SchemaError
from streams.engines.kafka.finding_records import FindingRecord, is_urgent, read_finding
from streams.engines.kafka.notify.records import DeliveryCounts
from streams.engines.kafka.records.codec import partition_of
from streams.engines.kafka.records.dead_letters import dead_letter_record
from streams.engines.kafka.records.poison import letters, poison_of
from streams.model.findings import SUMMARY
from streams.model.records import DeadLetter
from streams.observability import tracing
from streams.observability.failpoints import failpoint
from streams.stages.ingest.ingress import Origin
from streams.stages.notify import notify
from streams.stages.notify.deliveries import AttemptOutcome, Delivery, ReceiverRoute
from streams.stages.notify.state import (
    KEPT,
    Buried,
    DeliveryState,
    NotifiedState,
    changes,
    dead_key,
    dead_rows,
    differing,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from streams.engines.kafka.notify.delivery_file import DeliveryFile
    from streams.engines.kafka.notify.records import Record
    from streams.engines.kafka.records.codec import Outgoing
    from streams.settings.kafka import KafkaSettings
    from streams.stages.notify.deliveries import Dead
    from streams.stages.notify.silences import Silence

    _Place = tuple[int, int, str]  # partition, offset and identity of a record
    Post = Callable[[Delivery], Awaitable[AttemptOutcome]]
    Letters = Callable[[Outgoing], Awaitable[Any]]

BATCH: Final = 200  # messages, about, that one step makes
FEW: Final = 50  # records that are not urgent, between two looks for urgent ones
INBOX: Final = 5_000  # so many of those may lie before one that is
LONGEST_WAIT: Final = 5.0
SHOWN: Final = 10_000  # dead letters that are shown and replayed at once


class DeliveryWorker:
    """Takes findings in and sees their alerts through.

    Attributes:
        state: of the notify stage, for the findings that are owed or open.
        counts: for metrics.
        silences: gives what is not told now.
        restarted: how often everything in memory was given up.
        turned_at: when its loop came round (monotonic, in seconds); 0 before it runs.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        file: DeliveryFile,
        routes: Sequence[ReceiverRoute],
        post: Post,
        letters: Letters,
        clock: Callable[[], int],
    ) -> None:
        """Set up; `run` works.

        Args:
            settings: of the layout.
            file: of this process.
            routes: the receivers.
            post: makes one attempt; never raises for what the receiver does.
            letters: writes a record to ``dlq``; returns once it is acked.
            clock: gives the time (ns).
        """
        self.state = DeliveryState()
        self.counts = DeliveryCounts()
        self.restarted = 0
        self.turned_at = 0.0
        self._settings = settings
        self._file = file
        self.routes = tuple(routes)
        self.post = post
        self.silences: Callable[[], Sequence[Silence]] = tuple
        self._letters = letters
        self._clock = clock
        self._inbox: asyncio.Queue[Record] = asyncio.Queue(INBOX)
        self._urgent: asyncio.Queue[Record] = asyncio.Queue(INBOX)
        self._owed: dict[str, list[Record]] = {}
        self._known: set[str] = set()
        self._mine: frozenset[int] = frozenset()
        self._news = asyncio.Event()
        self._settling = asyncio.Lock()
        limit = clock() - KEPT
        old = [each.delivery for each in file.buried(SHOWN) if each.at < limit]
        file.save({}, map(dead_key, old))
        self._gather()

    @property
    def waiting(self) -> int:
        """Count the records that were not taken in yet."""
        return self._inbox.qsize() + self._urgent.qsize()

    @property
    def owed(self) -> int:
        """Count the records that the commit may not pass yet."""
        return sum(map(len, self._owed.values()))

    def heed(self) -> None:
        """Look at the silences: they changed."""
        self._news.set()

    async def take(self, record: Record) -> None:
        """Lay a record into its inbox; waits while that is full."""
        ahead = is_urgent(record.value, record.headers)
        await (self._urgent if ahead else self._inbox).put(record)
        self._news.set()

    def restart(self) -> None:
        """Forget everything: the partitions are given out anew.

        What is not committed comes again to whoever has its partition now, and what
        was known of it lies in the file.
        """
        for inbox in (self._urgent, self._inbox):
            while not inbox.empty():
                inbox.get_nowait()
        self.state = DeliveryState(
            disabled=self.state.disabled, paused=self.state.paused
        )
        self._owed.clear()
        self._known.clear()
        self._gather()
        self._mine = frozenset()
        self.restarted += 1

    def _gather(self) -> None:
        """Bring back the posture findings that wait to be told with others."""
        gathered = self._file.gathered()
        self._known |= gathered.announced.keys()
        self.state = self.state.joined(gathered)

    def own(self, assigned: frozenset[int]) -> None:
        """Take note of the partitions that this process has.

        What is open in those that are new, and was committed long ago, is repeated
        from the file to the receivers that forget.
        """
        fresh, self._mine = assigned - self._mine, assigned
        if not fresh or not any(route.repeat for route in self.routes):
            return
        count, told = self._settings.partitions, self.state.announced
        found = {
            name: known
            for name, known in self._file.open_ones().items()
            if name not in told
            and known.told is not None
            and partition_of(known.told.realm, count) in fresh
        }
        self.state = self.state.joined(DeliveryState(told=NotifiedState(found)))
        self._news.set()

    def forget(self, committed: Mapping[int, int]) -> None:
        """Forget records below what is committed, by partition."""
        self._file.forget(committed)

    async def run(self) -> None:
        """Deliver until cancelled; the first thing that breaks ends it."""
        async with asyncio.TaskGroup() as attempts:
            while True:
                self.turned_at = asyncio.get_running_loop().time()
                self._news.clear()
                records = self._next()
                for delivery in await self._step(records):
                    attempts.create_task(self._attempt(delivery))
                if not records:
                    await self._wait()

    def _next(self) -> list[Record]:
        """Take the next records: what is urgent first, and few others at once."""
        size = max(1, BATCH // max(1, len(self.routes)))
        return [
            inbox.get_nowait()
            for inbox, most in ((self._urgent, size), (self._inbox, FEW))
            for _ in range(min(most, inbox.qsize()))
        ]

    async def _step(self, records: Sequence[Record]) -> tuple[Delivery, ...]:
        before = self.restarted
        readable = [(r, found) for r in records if (found := await self._read(r))]
        if before != self.restarted:
            return ()  # they come again
        batch: dict[_Place, notify.FindingChange] = {}
        for record, found in readable:
            self._bring(found.change.finding.id)
            place = (record.partition, record.offset, found.identity)
            if not self._file.took(*place):
                batch[place] = found.change
        told = self.state.told
        due = await self._stepped(batch, before)
        if due is None:
            return ()
        # Not before the state owes it: an attempt that ends meanwhile would ack it.
        for record, found in readable:
            self._owed.setdefault(found.change.finding.id, []).append(record)
        failpoint("notify.taken")
        gave_up = await self._give_up()
        if records or gave_up or self.state.told is not told:
            self._release(tuple(self._owed))
        return due

    async def _stepped(
        self, batch: Mapping[_Place, notify.FindingChange], restarted: int
    ) -> tuple[Delivery, ...] | None:
        """Take a batch in and save it, in turns; give what is due.

        None: everything was given up meanwhile. An attempt that ends meanwhile has its
        outcome kept, and the step is done again; from then on attempts wait for it.
        """
        for tried in itertools.count():
            async with self._settling if tried else nullcontext():
                old = self.state
                steps = notify.stepping(
                    old,
                    batch.values(),
                    self._clock(),
                    routes=self.routes,
                    silences=self.silences(),
                )
                state, due = await in_turns(steps)
                rows = await in_turns(differing(old, state))
                if restarted != self.restarted:
                    return None
                if old is self.state:
                    self.state = state
                    self._file.save(*rows, batch)
                    return due
        raise AssertionError  # it counts for ever

    async def _give_up(self) -> bool:
        """Drop messages without a receiver; True where there were any."""
        if not notify.give_up(self.state, self.routes).dead:
            return False
        async with self._settling:
            now = self._clock()
            change = functools.partial(notify.give_up, routes=self.routes)
            self._keep(await self._lettered(change, now), now)
        return True

    async def _read(self, record: Record) -> FindingRecord | None:
        """Read a record; one that cannot be read is a dead letter."""
        try:
            found = read_finding(record.value, record.headers)
        except SchemaError as error:
            settings = self._settings
            topic, number = settings.topic("findings"), record.partition
            poison = poison_of(record, str(error), settings.digest())
            for (letter,) in letters(topic, number, settings.partitions, [poison]):
                await self._letters(letter)
            self.counts.poison += 1
            record.ack()
            return None
        tracing.note(found.change.finding.id, tracing.header_of(record.headers))
        return found

    def _bring(self, finding: str) -> None:
        """Bring back what the file holds of a finding; its attempts were lost."""
        if finding in self._known:
            return
        self._known.add(finding)
        self.state = self.state.joined(self._file.of_finding(finding))

    def _release(self, findings: Iterable[str]) -> None:
        """Ack what is settled of these findings."""
        for finding in findings:
            if self.state.owes(finding):
                continue
            if finding not in self.state.announced:
                self._known.discard(finding)
            for record in self._owed.pop(finding, ()):
                record.ack()
                failpoint("notify.released")

    async def _attempt(self, delivery: Delivery) -> None:
        failpoint("notify.before_attempt")
        outcome = await self.post(delivery)
        failpoint("notify.after_attempt")
        async with self._settling:
            settled = await self._settle(delivery, outcome)
        failpoint("notify.after_outcome")
        if delivery.finding.presented.kind == SUMMARY:
            self._release(tuple(self._owed))  # it stands for many
        else:
            self._release(settled)
        self._news.set()

    async def _settle(self, delivery: Delivery, outcome: AttemptOutcome) -> set[str]:
        """Take in how an attempt ended; give the findings that this settles."""
        now = self._clock()

        def change(state: DeliveryState) -> notify.Settled:
            return notify.settle(state, delivery, outcome, now)

        settled = await self._lettered(change, now)
        delivered = outcome.accepted
        # Even where a restart has forgotten it meanwhile.
        arrived = (delivery.key, dead_key(delivery)) if delivered else ()
        self._keep(settled, now, arrived)
        self.counts.delivered += delivered
        self.counts.failed += not delivered
        gone = {each.delivery.finding.id for each in settled.dead}
        return {delivery.finding.id, *gone}

    async def _lettered(
        self, change: Callable[[DeliveryState], notify.Settled], now: int
    ) -> notify.Settled:
        """Write the letters of what a change of the state buries; give the change."""
        lettered: set[str] = set()
        while True:
            # While a letter is on its way, more may have come that is dead too.
            settled = change(self.state)
            new = [dead for dead in settled.dead if dead.delivery.key not in lettered]
            if not new:
                self.counts.buried += len(lettered)
                return settled
            for dead in new:
                await self._letters(self._letter(dead, now))
                lettered.add(dead.delivery.key)

    def _keep(
        self, settled: notify.Settled, now: int, arrived: Sequence[str] = ()
    ) -> None:
        put, dropped = changes(self.state, settled.state)
        put |= dead_rows(settled.dead, now)
        self.state = settled.state
        self._file.save(put, (*dropped, *arrived))

    async def buried(self) -> list[Buried]:
        """Messages given up that have not arrived since, the oldest first."""
        return self._file.buried(SHOWN)

    async def replay(self, route: str | None) -> int:
        """Deliver anew what was given up, of one route or of all; give how many.

        It stays among what was given up until it has arrived: a process that dies
        before does not know of it any more, and it can be replayed again.
        """
        buried = [
            each.delivery
            for each in await self.buried()
            if route in (None, each.delivery.route)
        ]
        for each in buried:
            self._bring(each.finding.id)
        now = self._clock()
        self._keep(notify.revive(self.state, buried, now), now)
        self._news.set()
        return len(buried)

    def _letter(self, dead: Dead, now: int) -> Outgoing:
        finding = dead.delivery.finding
        letter = DeadLetter("notify", 0, 0, dead.reason, event_id=finding.id)
        origin = Origin("notify", finding.realm, now)
        count = self._settings.partitions
        return dead_letter_record(letter, origin, count, dead.delivery.key)

    async def _wait(self) -> None:
        now = self._clock()
        due = notify.next_due(self.state, now)
        seconds = LONGEST_WAIT if due is None else (due - now) / 1e9
        try:
            async with asyncio.timeout(min(seconds, LONGEST_WAIT)):
                await self._news.wait()
        except TimeoutError:
            return
