"""Taking up partitions of ``access``, by our file or by what earlier owners told."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
from attrs import define, field

from enforcement.turns import in_turns
from streams.engines.kafka.checkpoints.opening import opened
from streams.engines.kafka.client.log_reader import reading
from streams.engines.kafka.finding_records import read_episodes
from streams.engines.kafka.records.codec import access_partition_of
from streams.engines.kafka.records.layout import ACCESS, FACTS
from streams.model.findings import FindingKind
from streams.observability.failpoints import failpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streams.engines.kafka.client.group_consumer import GroupConsumer
    from streams.engines.kafka.facts.replica import RealmTables
    from streams.engines.kafka.finding_records import Held
    from streams.engines.kafka.sentinel.owned_partition import OwnedPartition
    from streams.engines.kafka.sentinel.writing import SentinelWriter
    from streams.observability.progress import Progress
    from streams.settings.kafka import KafkaSettings
    from streams.settings.worker import WorkerSettings

# Longer than a replica is ever behind, and before a probe takes us for one that hangs;
# then an alert that comes twice is better than none.
LEVEL_SECONDS: Final = 20.0

log = structlog.get_logger()


@define(eq=False, slots=False)
class AccessLoader:
    """Takes up what the group gives this worker.

    Attributes:
        held: partitions by number; those that have not begun stand still.
    """

    _settings: KafkaSettings
    _worker: WorkerSettings
    _member: GroupConsumer
    _replica: RealmTables
    _writer: SentinelWriter
    _progress: Progress
    _clock: Callable[[], int]
    _remember: int  # ns
    _open: Callable[[int], OwnedPartition]
    held: dict[int, OwnedPartition] = field(factory=dict)

    def ours(self) -> list[OwnedPartition]:
        """Partitions that are ours now and read."""
        begun = self._member.begun
        return [each for each in self.held.values() if each.number in begun]

    async def load(self) -> None:
        """Take up those that are fresh, by what was saved of them."""
        numbers, assignments = sorted(self._member.fresh), self._member.assignments
        # An answer about one would wait behind the long poll of those that began.
        anew = [number for number in numbers if not await self._place(number)]
        told = await self._read_told(anew) if anew else {}
        for number in numbers:
            each = self.held[number]
            async with self._member.lock:
                if self._member.assignments != assignments:
                    return  # another may have had them meanwhile: all is found out anew
                each.take(told.get(number, ()))
                if not await in_turns(each.restore(self._clock())):
                    continue  # it stands still, and is taken up anew
                self._member.begin(number, each.position)
                await self._writer.write(self.ours())
                if number in self._member.fresh:
                    return  # the group does not count on us
            failpoint("sentinel.loaded")
        if numbers:
            async with self._member.lock:
                await self._writer.commit(self.ours(), at_once=True)

    async def _read_told(self, numbers: Iterable[int]) -> dict[int, list[Held]]:
        """Read the findings that earlier owners of some partitions wrote.

        Raises:
            KafkaError: the cluster cannot be asked.
        """
        settings, step = self._settings, self._progress.step
        every, count = range(settings.partitions), settings.access_partitions
        told: dict[int, list[Held]] = {number: [] for number in numbers}
        for held in await read_episodes(settings, every, self._clock(), step):
            finding = held.episode.finding
            number = access_partition_of(finding.realm, finding.point, count)
            # What closure told is closure's to end.
            if number in told and finding.kind is not FindingKind.CLOSURE_PARTIAL:
                told[number].append(held)
        await self._draw_level(told)
        return told

    async def _draw_level(self, numbers: Iterable[int]) -> None:
        """Know all that whoever told of some partitions may have known.

        A line of which a finding tells, and which no fact condemns yet, would be told
        again by that fact. And where the lines end is held against the findings.
        """
        async with reading(self._settings) as reader:
            lines = await reader.ends(ACCESS, numbers)
            facts = await reader.ends(FACTS, range(self._settings.partitions))
        for number, end in lines.items():
            self.held[number].target = end
        try:
            async with asyncio.timeout(LEVEL_SECONDS):
                for number, end in facts.items():
                    await self._replica.reach(number, end)
        except TimeoutError:
            log.warning("taken_up_without_facts", ends=facts)

    async def _place(self, number: int) -> bool:
        """Find where a partition goes on; it stands still until it begins.

        Tell whether our file says so. It does where it is ours that committed last:
        whoever had the partition since has told what the file knows nothing of.
        """
        begin, end = await self._member.bounds(number)
        # With a topic its commits go; that of another topic is no place in this one.
        committed = await self._member.committed(number)
        async with self._member.lock:
            if (before := self.held.pop(number, None)) is not None:
                before.close()
        each = self.held[number] = await opened(partial(self._open, number))
        each.target, position = end, each.file.position
        judged = begin if committed is None else int(committed.offset)
        if (
            committed is not None
            # Earlier versions left no name.
            and committed.metadata in {"", self._worker.name}
            and position is not None
            and max(begin, judged) <= position <= end
        ):
            each.position = position
            return True
        await asyncio.to_thread(each.file.reset)
        each.judged = judged if begin <= judged <= end else begin
        # What is older than that nothing can condemn any more.
        lately = self._clock() - self._remember
        since = await self._member.since(number, lately)
        each.position = min(each.judged, end if since is None else since)
        return False
