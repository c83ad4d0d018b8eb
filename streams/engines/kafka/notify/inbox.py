"""Records of ``findings`` for the delivery worker, and each acked when settled.

A record is owed until its finding has no message under way or waiting to be tried; only
then is it acked, and the commit may pass it. So an alert is delivered at least once
whatever dies, and its id is a function of finding and revision. The schedule of
attempts, which spans days, lies in the local `DeliveryFile`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from enforcement.kafka.connecting import whole
from enforcement.turns import in_turns
from schemas.errors import SchemaError
from streams.engines.kafka.finding_records import FindingRecord, read_finding
from streams.engines.kafka.records.codec import partition_of
from streams.engines.kafka.records.dead_letters import dead_letter_record
from streams.engines.kafka.records.poison import letters, poison_of
from streams.model.findings import SUMMARY
from streams.model.records import DeadLetter
from streams.observability import tracing
from streams.observability.failpoints import failpoint
from streams.ports.delivery import DeliveryChange, TakenFindings
from streams.stages.ingest.ingress import Origin
from streams.stages.notify.queue import urgent
from streams.stages.notify.state import STEP, DeliveryState, NotifiedState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from agents_registry.steps import Steps
    from streams.engines.kafka.notify.delivery_file import DeliveryFile
    from streams.engines.kafka.notify.records import Record
    from streams.engines.kafka.records.codec import Outgoing
    from streams.settings.kafka import KafkaSettings
    from streams.stages.notify.deliveries import Dead, Delivery
    from streams.stages.notify.state import Buried

    Letters = Callable[[Sequence[Outgoing]], Awaitable[Any]]
    _Read = tuple[Record, FindingRecord]

INBOX: Final = 5_000  # so many records may lie before one that is urgent
FEW: Final = 64  # rows that are saved quicker than on the way through a thread
TOGETHER: Final = 100  # dead letters that wait for their acks at once


class FindingInbox:
    """Gives the records that were laid in, saves what became of them, and acks them.

    Attributes:
        news: set where records or an answer came.
        dead: dead letters since the start, of messages and of unreadable records.
        turned_at: when it was asked for the next ones (monotonic, in seconds); 0 before
            the first time.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        file: DeliveryFile,
        letters: Letters,
        *,
        repeats: bool = False,
    ) -> None:
        """Set up.

        Args:
            settings: of the layout.
            file: of this process.
            letters: writes records to ``dlq``; returns once they are acked.
            repeats: a receiver forgets, so what is open is told again and again.
        """
        self.news = asyncio.Event()
        self.dead = 0
        self.turned_at = 0.0
        self._settings = settings
        self._file = file
        self._letters = letters
        self._repeats = repeats
        self._patient: asyncio.Queue[_Read] = asyncio.Queue(INBOX)
        self._urgent: asyncio.Queue[_Read] = asyncio.Queue(INBOX)
        self._mine: frozenset[int] = frozenset()
        self._begun = False  # what the file holds was given since the last restart
        self._going = False  # the partitions are, so nothing is begun any more
        self._taking: list[_Read] = []
        self._owed: dict[str, list[Callable[[], Any]]] = {}  # acks of records
        self._known: set[str] = set()
        self._committed: dict[int, int] = {}
        # Held by who reads the file too: what is in memory may wait for a dead letter
        # before it is there.
        self._saving = asyncio.Lock()

    @property
    def waiting(self) -> int:
        """Count the records that were not taken in yet."""
        return self._patient.qsize() + self._urgent.qsize()

    @property
    def owed(self) -> int:
        """Count the records that the commit may not pass yet."""
        return sum(map(len, self._owed.values()))

    async def take(self, record: Record) -> None:
        """Lay a record in; waits while there is no room.

        One that cannot be read is a dead letter.
        """
        try:
            found = read_finding(record.value, record.headers)
        except SchemaError as error:
            settings = self._settings
            topic, number = settings.topic("findings"), record.partition
            poison = poison_of(record, str(error), settings.digest())
            for letter in letters(topic, number, settings.partitions, [poison]):
                await self._letters(letter)
            self.dead += 1
            record.ack()
            return
        finding = found.change.finding
        tracing.note(finding.id, tracing.header_of(record.headers))
        # All records of one finding are alike in that, so they keep their order.
        inbox = self._urgent if urgent(finding) else self._patient
        await inbox.put((record, found))
        self.news.set()

    def restart(self, assigned: frozenset[int]) -> None:
        """Forget everything: the partitions are given out anew.

        What is not committed comes again to whoever has its partition now, and what
        was known of it lies in the file.

        Args:
            assigned: partitions that this process has now.
        """
        for records in (self._urgent, self._patient):
            while not records.empty():
                records.get_nowait()
        self._taking.clear()
        self._owed.clear()
        self._mine = assigned
        self._begun = self._going = False
        self.news.set()

    def stop(self) -> None:
        """Begin no message until `restart`: whoever has its partition then does."""
        self._going = True

    def forget(self, committed: Mapping[int, int]) -> None:
        """Forget records below what is committed, by partition, with the next save."""
        self._committed |= committed

    async def next(self, most: int, few: int) -> TakenFindings:
        """Take the next records: what is urgent first, and few others at once."""
        self.turned_at = asyncio.get_running_loop().time()
        async with self._saving:
            if self._going:
                return TakenFindings(took=())
            anew = None if self._begun else await self._begin()
            return self._take(most, few, anew)

    def _take(self, most: int, few: int, anew: DeliveryState | None) -> TakenFindings:
        self._taking = [
            each.get_nowait()
            for each, size in ((self._urgent, most), (self._patient, few))
            for _ in range(min(size, each.qsize()))
        ]
        batch = {
            place: found.change
            for record, found in self._taking
            if not self._file.took(
                *(place := (record.partition, record.offset, found.identity))
            )
        }
        return TakenFindings(
            changes=[*batch.values()],
            about={found.change.finding.id for _, found in self._taking},
            took=[*batch],
            more=bool(self._taking),
            anew=anew,
        )

    async def _begin(self) -> DeliveryState:
        """Bring back posture findings that wait for others, and what is repeated.

        What is open in the partitions, and was committed long ago, comes no more; it
        is repeated from the file to the receivers that forget.
        """
        self._begun = True
        gathered = await whole(asyncio.to_thread(self._file.gathered))
        self._known = set(gathered.announced)
        count = self._settings.partitions
        told = {
            name: known
            for name, known in (self._file.open_ones() if self._repeats else {}).items()
            if known.told is not None
            and partition_of(known.told.realm, count) in self._mine
        }
        return DeliveryState(told=NotifiedState(told)).joined(gathered)

    async def recall(self, findings: Iterable[str]) -> DeliveryState:
        """Bring back what the file holds of findings; its attempts were lost."""
        async with self._saving:
            fresh = {each for each in findings if each not in self._known}
            self._known |= fresh
            return self._file.of_findings(fresh)

    async def save(self, change: DeliveryChange) -> bool:
        """Have dead letters acked, save the rows, and ack what is settled by them.

        A record that was taken is owed from here on, and not before: an attempt that
        ends meanwhile would ack it.
        """
        async with self._saving:  # while a letter is on its way, the next ones wait
            if change.took is not None and not self._taken_here:
                return False  # it comes again, to us or to others
            for start in range(0, len(change.dead), TOGETHER):
                dead = change.dead[start : start + TOGETHER]
                await self._letters([self._letter(each, change.at) for each in dead])
            self.dead += len(change.dead)
            await self._save(change)
            many = change.told or bool(change.dead)
            if change.took is not None:
                many = many or bool(self._taking)
                for record, found in self._taking:
                    acks = self._owed.setdefault(found.change.finding.id, [])
                    acks.append(record.ack)
                self._taking = []
                failpoint("notify.taken")
            await in_turns(self._release(change.state, change.ended, many=many))
        return self._taken_here

    async def _save(self, change: DeliveryChange) -> None:
        committed, self._committed = self._committed, {}
        rows = change.put, change.dropped, change.took or (), committed
        if len(change.put) < FEW:
            self._file.save(*rows)
        else:
            await whole(asyncio.to_thread(self._file.save, *rows))

    @property
    def _taken_here(self) -> bool:
        """Whether what `next` gave last is ours to tell."""
        return self._begun and not self._going

    def _letter(self, dead: Dead, at: int) -> Outgoing:
        finding = dead.delivery.finding
        letter = DeadLetter("notify", 0, 0, dead.reason, event_id=finding.id)
        origin = Origin("notify", finding.realm, at)
        count = self._settings.partitions
        return dead_letter_record(letter, origin, count, dead.delivery.key)

    def _release(
        self, state: DeliveryState, ended: Delivery | None, *, many: bool
    ) -> Steps[None]:
        """Ack what a saved state does not owe: all of it, or what an attempt was at."""
        findings: Iterable[str] = () if ended is None else (ended.finding.id,)
        summary = ended is not None and ended.finding.presented.kind == SUMMARY
        if many or summary:
            findings = tuple(self._owed)
        taking = {found.change.finding.id for _, found in self._taking}
        for count, finding in enumerate(findings):
            if count & STEP == STEP:
                yield
            if state.owes(finding):
                continue
            if finding not in state.announced and finding not in taking:
                self._known.discard(finding)
            for ack in self._owed.pop(finding, ()):
                ack()
                failpoint("notify.released")

    async def buried(self, most: int) -> list[Buried]:
        """Messages given up that have not arrived since, the oldest first."""
        async with self._saving:
            return await whole(asyncio.to_thread(self._file.buried, most))
