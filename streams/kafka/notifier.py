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
from typing import TYPE_CHECKING, Any, Final

import attrs
from attrs import define, frozen

from schemas.errors import SchemaError
from streams.failpoints import failpoint
from streams.kafka.finding_records import FindingRecord, read_finding
from streams.kafka.payloads import dead_letter_record
from streams.kafka.poison import letters, poison_of
from streams.records import DeadLetter
from streams.stages import notify
from streams.stages.deliveries import Delivery, Outcome, Route, State, changes
from streams.stages.ingress import Origin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from streams.kafka.delivery_file import DeliveryFile
    from streams.kafka.framing import Outgoing
    from streams.kafka.settings import KafkaSettings
    from streams.stages.deliveries import Dead

    Post = Callable[[Delivery], Awaitable[Outcome]]
    Letters = Callable[[Outgoing], Awaitable[Any]]

BATCH: Final = 200
INBOX: Final = 500
LONGEST_WAIT: Final = 5.0


@frozen(eq=False)
class Record:
    """A record of ``findings`` on its way.

    Attributes:
        timestamp: when the broker took it, in milliseconds.
        ack: call it when the commit may pass the record.
    """

    partition: int
    offset: int
    timestamp: int
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    ack: Callable[[], Any]


@define
class Counts:
    """What happened since the start."""

    delivered: int = 0
    failed: int = 0
    buried: int = 0
    poison: int = 0


class Desk:
    """Takes findings in and sees their alerts through.

    Attributes:
        state: of the notify stage, for the findings that are owed or open.
        counts: for metrics.
        restarted: how often everything in memory was given up.
        turned_at: when its loop came round (monotonic, in seconds); 0 before it runs.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        file: DeliveryFile,
        routes: Sequence[Route],
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
        self.state = State()
        self.counts = Counts()
        self.restarted = 0
        self.turned_at = 0.0
        self._settings = settings
        self._file = file
        self._routes = tuple(routes)
        self._post = post
        self._letters = letters
        self._clock = clock
        self._inbox: asyncio.Queue[Record] = asyncio.Queue(INBOX)
        self._owed: dict[str, list[Record]] = {}
        self._known: set[str] = set()
        self._news = asyncio.Event()
        self._settling = asyncio.Lock()

    @property
    def waiting(self) -> int:
        """Count the records that lie in the inbox."""
        return self._inbox.qsize()

    @property
    def owed(self) -> int:
        """Count the records that the commit may not pass yet."""
        return sum(map(len, self._owed.values()))

    async def take(self, record: Record) -> None:
        """Lay a record into the inbox; waits while it is full."""
        await self._inbox.put(record)
        self._news.set()

    def restart(self) -> None:
        """Forget everything: the partitions are given out anew.

        What is not committed comes again to whoever has its partition now, and what
        was known of it lies in the file.
        """
        while not self._inbox.empty():
            self._inbox.get_nowait()
        self.state = State(disabled=self.state.disabled)
        self._owed.clear()
        self._known.clear()
        self.restarted += 1

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
        size = min(BATCH, self._inbox.qsize())
        return [self._inbox.get_nowait() for _ in range(size)]

    async def _step(self, records: Sequence[Record]) -> tuple[Delivery, ...]:
        before = self.restarted
        readable = [(r, found) for r in records if (found := await self._read(r))]
        if before != self.restarted:
            return ()  # they come again
        batch: dict[tuple[int, int, str], notify.Change] = {}
        for record, found in readable:
            finding = found.change.finding.id
            self._bring(finding)
            self._owed.setdefault(finding, []).append(record)
            place = (record.partition, record.offset, found.identity)
            if not self._file.took(*place):
                batch[place] = found.change
        old = self.state
        step = notify.step(old, batch.values(), self._clock(), routes=self._routes)
        self.state = step.state
        self._file.save(*changes(old, step.state), batch)
        failpoint("notify.taken")
        self._release()
        return step.due

    async def _read(self, record: Record) -> FindingRecord | None:
        """Read a record; one that cannot be read is a dead letter."""
        try:
            return read_finding(record.value, record.headers)
        except SchemaError as error:
            settings = self._settings
            topic, number = settings.topic("findings"), record.partition
            poison = poison_of(record, str(error), settings.digest())
            for (letter,) in letters(topic, number, settings.partitions, [poison]):
                await self._letters(letter)
            self.counts.poison += 1
            record.ack()
            return None

    def _bring(self, finding: str) -> None:
        """Bring back what the file holds of a finding; its attempts were lost."""
        if finding in self._known:
            return
        self._known.add(finding)
        found = self._file.of_finding(finding)
        freed = {
            key: attrs.evolve(delivery, leased_until=0)
            for key, delivery in found.deliveries.items()
        }
        self.state = attrs.evolve(
            self.state,
            deliveries={**self.state.deliveries, **freed},
            announced={**self.state.announced, **found.announced},
        )

    def _release(self) -> None:
        """Ack what is settled."""
        state = self.state
        busy = {delivery.finding.id for delivery in state.deliveries.values()}
        busy |= {name for name, it in state.announced.items() if it.waiting is not None}
        for finding in self._owed.keys() - busy:
            for record in self._owed.pop(finding):
                record.ack()
            failpoint("notify.released")
        self._known &= busy | self._owed.keys() | state.announced.keys()

    async def _attempt(self, delivery: Delivery) -> None:
        failpoint("notify.before_attempt")
        outcome = await self._post(delivery)
        failpoint("notify.after_attempt")
        async with self._settling:
            await self._settle(delivery, outcome)
        failpoint("notify.after_outcome")
        self._release()
        self._news.set()

    async def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        now = self._clock()
        lettered: set[str] = set()
        while True:
            # While a letter is on its way, more may have come that is dead too.
            settled = notify.settle(self.state, delivery, outcome, now)
            new = [dead for dead in settled.dead if dead.delivery.key not in lettered]
            if not new:
                break
            for dead in new:
                await self._letters(self._letter(dead, now))
                lettered.add(dead.delivery.key)
        put, dropped = changes(self.state, settled.state)
        delivered = outcome.status is not None and outcome.status // 100 == 2  # noqa: PLR2004 - RFC 9110 2xx
        if delivered:
            # Even where a restart has forgotten it meanwhile.
            dropped = (*dropped, delivery.key)
        self.state = settled.state
        self._file.save(put, dropped)
        self.counts.buried += len(lettered)
        self.counts.delivered += delivered
        self.counts.failed += not delivered

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
