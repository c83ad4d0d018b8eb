"""The registry on Kafka: facts in, what they condemned out to ``invalidations``.

Order of one round: apply, publish, await all acks, save the local checkpoint, commit.
A produce that fails ends the process before anything is saved or committed. Nothing
is skipped because restored state knows it already: outputs may be missing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from enforcement.turns import in_turns
from streams.engines.kafka.checkpoints.journal import DamagedError
from streams.engines.kafka.client.group_consumer import (
    GroupConsumer,
    waiting_for_the_broker,
)
from streams.engines.kafka.client.publisher import NotAckedError, die
from streams.engines.kafka.facts.recovery import take
from streams.engines.kafka.facts.standby import Standby
from streams.engines.kafka.records.layout import FACTS
from streams.engines.kafka.records.outputs import invalidation_record
from streams.engines.kafka.records.poison import letters
from streams.engines.kafka.records.schema_registry import learn
from streams.observability import tracing
from streams.observability.failpoints import failpoint
from streams.stages.registry.registry import dead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from streams.engines.kafka.client.publisher import Publisher
    from streams.engines.kafka.facts.partition import Partition
    from streams.engines.kafka.facts.recovery import Loader
    from streams.engines.kafka.records.codec import Outgoing
    from streams.pipeline.facts_partition import Listed
    from streams.settings.kafka import KafkaSettings
    from streams.settings.worker import WorkerSettings

IDLE_SECONDS = 0.2


class RegistryStage:
    """Works the partitions that the group gives this worker.

    Attributes:
        partitions: as they are held; those that went stay until they are loaded anew,
            or are the standby's.
        standby: tails what others have; None where that is not wanted.
        progress: for health.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        worker: WorkerSettings,
        publisher: Publisher,
        loader: Loader,
        clock: Callable[[], int],
    ) -> None:
        """Set up; `run` works."""
        self.partitions: dict[int, Partition] = {}
        self.progress = loader.progress
        self.member = GroupConsumer.of_stage("registry", FACTS, settings, worker)
        self.standby: Standby | None = None
        if worker.standby:
            self.standby = Standby(settings, loader, self.member, self.partitions)
        self._settings = settings
        self._publisher = publisher
        self._loader = loader
        self._clock = clock
        self._commit_every = worker.commit_seconds
        self._loading: set[int] = set()

    def serving(self, number: int) -> Partition | None:
        """Partition that is ours now and as new as when it was loaded.

        None where another worker has it, or may have, or where it is being read.
        """
        partition = self.partitions.get(number)
        if partition is None or number in self._loading or not partition.ready:
            return None
        return partition if partition in self._ours() else None

    async def run(self) -> None:
        """Work until cancelled."""
        async with self.member:
            try:
                while True:
                    await self._turn()
            finally:
                for partition in self._ours():
                    partition.keep()
                await self._commit(at_once=True)

    async def _turn(self) -> None:
        if self.member.fresh:
            await self._load()
        busy = any(p.waiting for p in self._ours())
        alone = [p.number for p in self._ours() if p.exclusive]
        fetched = await self.member.poll(0 if busy else IDLE_SECONDS, alone)
        await learn(fetched)
        async with self.member.lock:
            await self._work(fetched)
        self._tell()

    async def _load(self) -> None:
        self._loading = set(self.member.fresh)
        async with waiting_for_the_broker():
            try:
                self.partitions |= await self._loaded()
            except DamagedError as error:
                die("registry: the local checkpoint is damaged", error)
            self._loading.clear()
            gone = set(self.partitions) - self.member.assigned
            if not self.member.fresh and self.standby is None:
                for number in gone:
                    del self.partitions[number]
            failpoint("registry.loaded")

    async def _loaded(self) -> dict[int, Partition]:
        if self.standby is None:
            return await self._loader.load(self.member, self.partitions)
        async with self.standby.lock:
            held = self.standby.partitions | self.partitions
            loaded = await self._loader.load(self.member, held)
            self.standby.given(loaded)
            # Before the lock is given back, else both had them.
            self.partitions |= loaded
            return loaded

    def _ours(self) -> list[Partition]:
        begun = self.member.begun
        return [p for p in self.partitions.values() if p.number in begun]

    async def _work(self, fetched: dict[int, list[Any]]) -> None:
        ours = self._ours()
        now = asyncio.get_running_loop().time()
        for partition in ours:
            if records := fetched.get(partition.number):
                await take(partition, records, self.progress)
                tracing.note_read(records, tracing.REGISTRY, self._clock())
                failpoint("registry.applied")
            if partition.doubtful(now):
                self.member.hold(partition.number)
        listed = [(p, each) for p in ours for each in await in_turns(p.slices())]
        poison = [p for p in ours if p.poison]
        if listed or poison:
            await self._publish(listed, poison)
        changed = {p.number for p, _ in listed}
        for partition, each in listed:
            partition.finish([each])
            self.progress.step()
        for partition in ours:
            if partition.due or partition.number in changed:
                # One write into the page cache: shorter than the way to a thread.
                partition.save()
                failpoint("registry.saved")
            if partition.worth_keeping:
                await asyncio.to_thread(partition.keep, share=True)
        await self._commit()

    async def _publish(
        self, listed: list[tuple[Partition, Listed]], poison: list[Partition]
    ) -> None:
        settings, publisher = self._settings, self._publisher
        try:
            waiting = await publisher.send(
                settings.topic("invalidations"), invalidations(listed)
            )
            waiting += await publisher.send(settings.topic("dlq"), self._poison(poison))
            failpoint("registry.published")
            await publisher.acks(waiting)
        except NotAckedError as error:
            die("registry: not acked", error)
        failpoint("registry.acked")

    def _poison(self, partitions: Iterable[Partition]) -> Iterator[list[Outgoing]]:
        topic, count = self._settings.topic(FACTS), self._settings.partitions
        for partition in partitions:
            yield from letters(topic, partition.number, count, partition.poison)

    async def _commit(self, *, at_once: bool = False) -> None:
        """Commit what is saved, now and then."""
        if not at_once and not self.member.commit_due(self._commit_every):
            return
        positions = {
            p.number: (p.file.listed if p.changed else p.listed, p.genesis)
            for p in self._ours()
        }
        if await self.member.commit(positions):
            failpoint("registry.committed")

    def _tell(self) -> None:
        ours = self._ours()
        self.progress.full = any(p.file.room.missing for p in ours)
        self.progress.turn(
            now=asyncio.get_running_loop().time(),
            assigned=self.member.assigned,
            ready=bool(ours) and not self.member.fresh and all(p.ready for p in ours),
            waiting=sum(p.waiting for p in ours),
            positions={p.number: p.position for p in ours},
            committed=dict(self.member.kept),
        )


def invalidations(
    listed: Iterable[tuple[Partition, Listed]],
) -> Iterator[list[Outgoing]]:
    """Return the records of slices, one a group."""
    for partition, (realm, (found, _)) in listed:
        for identifier, why in dead(found):
            yield [
                invalidation_record(
                    (partition.genesis, partition.number, partition.position),
                    realm,
                    identifier,
                    why,
                )
            ]
