"""The sentinel on Kafka: accesses and facts in, ``findings`` out.

It holds a replica of all facts, and remembers the uses of the partitions of
``access`` that the group gives it. An access is judged once the facts are applied
that ingress wrote with or before it. Order of one round: judge, publish, await all
acks, save the local checkpoint, commit. A produce that fails ends the process.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from streams.engines.kafka.checkpoints.uses_file import UsesFile
from streams.engines.kafka.client.group_consumer import (
    GroupConsumer,
    waiting_for_the_broker,
)
from streams.engines.kafka.facts.replica import RealmTables
from streams.engines.kafka.records.layout import ACCESS
from streams.engines.kafka.records.schema_registry import learn
from streams.engines.kafka.sentinel.access_loader import AccessLoader
from streams.engines.kafka.sentinel.judged_partitions import JudgedPartitions
from streams.engines.kafka.sentinel.owned_partition import OwnedPartition
from streams.engines.kafka.sentinel.receipt_log import KafkaReceiptLog
from streams.engines.kafka.sentinel.writing import SentinelWriter
from streams.observability.progress import Progress
from streams.pipeline.access_records import Accesses, ScopeUse
from streams.pipeline.unsaved import AccessTally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from streams.engines.kafka.client.publisher import Publisher
    from streams.engines.kafka.facts.recovery import Loader
    from streams.engines.kafka.records.poison import Poison
    from streams.engines.kafka.records.receipts import Keys
    from streams.pipeline.access_records import AccessRecord
    from streams.pipeline.facts_partition import Listed
    from streams.settings.kafka import KafkaSettings
    from streams.settings.worker import WorkerSettings
    from streams.stages.sentinel.tolerances import Tolerances

IDLE_SECONDS: Final = 0.2
TIDY_SECONDS: Final = 5.0
# Longer than a replica is ever behind a fact that was acked; then judge as it is.
AFTER_SECONDS: Final = 10.0

log = structlog.get_logger()


class SentinelStage:
    """Judges the accesses that the group gives this worker.

    Attributes:
        replica: of all facts.
        witnesses: what guards report.
        watched: the partitions of ``access``.
        judged: those that are ours now and read.
        progress: for health.
        tally: for metrics.
    """

    def __init__(  # noqa: PLR0913 - each by name
        self,
        settings: KafkaSettings,
        worker: WorkerSettings,
        publisher: Publisher,
        loader: Loader,
        *,
        clock: Callable[[], int],
        tolerances: Tolerances,
        keys: Keys,
    ) -> None:
        """Set up; `run` works.

        Args:
            settings: of the cluster and the layout.
            worker: of this worker.
            publisher: writes what is found.
            loader: brings the tables back.
            clock: gives the time (ns).
            tolerances: how accesses are judged.
            keys: of the guards that sign, by their names.
        """
        self.replica = RealmTables(settings, loader)
        self.witnesses = KafkaReceiptLog(
            settings, keys, tolerances.points, clock, self._genesis_of
        )
        self.progress = Progress()
        self.tally = AccessTally()
        self.member = GroupConsumer.of_stage("sentinel", ACCESS, settings, worker)
        self._settings = settings
        self._worker = worker
        self._writer = SentinelWriter(settings, worker, publisher, self.member, clock)
        self._loader = AccessLoader(
            settings, worker, self.member, self.replica, self._writer, self.progress,
            clock, tolerances.remember, self._open,
        )  # fmt: skip
        self.watched = self._loader.held
        self._ours = self._loader.ours
        self._tolerances = tolerances
        self._tidied = 0.0
        self.judged = JudgedPartitions(
            self._ours, self.replica, settings.access_partitions, clock
        )

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            lock, loaded = self.member.lock, self.replica.loaded
            tasks.create_task(self.replica.run(lock, self._told))
            tasks.create_task(self.witnesses.run(lock, self._reported, loaded))
            tasks.create_task(self._follow())

    def _genesis_of(self, number: int) -> str:
        return self.replica.partitions[number].genesis

    async def _follow(self) -> None:
        await self.witnesses.loaded.wait()
        await self._meet()
        async with self.member:
            try:
                while True:
                    await self._turn()
            finally:
                async with self.member.lock:  # another task may save
                    await self._writer.commit(self._ours(), at_once=True)
                    for each in self.watched.values():
                        each.close()

    async def _turn(self) -> None:
        async with waiting_for_the_broker():
            await self._loader.load()
        fetched = await self.member.poll(0 if self.judged.left else IDLE_SECONDS)
        await learn(fetched)
        read: dict[OwnedPartition, list[tuple[int, AccessRecord | Poison]]] = {}
        for number, records in fetched.items():
            watched = self.watched[number]
            read[watched] = [(each.offset, watched.read(each)) for each in records]
        await self._catch_up(each for of_one in read.values() for _, each in of_one)
        async with self.member.lock:
            await self.judged.judge(read)
            await self.judged.look_again()
            now = asyncio.get_running_loop().time()
            if now - self._tidied > TIDY_SECONDS:
                self._tidied = now
                await self.judged.tidy()
            await self._writer.write(self._ours())
            await self._writer.commit(self._ours())
        self._tell()

    async def _meet(self) -> None:
        """Take the names of all tables in, a part at a time, before any line comes."""
        for partition in list(self.replica.partitions.values()):
            for realm in list(partition.realms.values()):
                while realm.dead_bits().grow():  # noqa: ASYNC110 - others get a turn
                    await asyncio.sleep(0)

    def _open(self, number: int) -> OwnedPartition:
        path = self._worker.data_dir / "sentinel" / f"access-{number}.db"
        return OwnedPartition(
            UsesFile(path),
            self._tolerances,
            self.replica.realm,
            number,
            self._settings.digest(),
            tally=self.tally,
            points_of=self.witnesses.points,
        )

    async def _catch_up(self, read: Iterable[AccessRecord | Poison]) -> None:
        """Wait for the facts that were written with or before some records."""
        after: dict[str, int] = {}
        for record in read:
            if isinstance(record, Accesses | ScopeUse):
                after[record.realm] = max(record.after, after.get(record.realm, 0))
        try:
            async with asyncio.timeout(AFTER_SECONDS):
                for realm, offset in after.items():
                    await self.replica.wait_for(realm, offset)
        except TimeoutError:
            log.warning("judged_without_facts", realms=sorted(after))

    @property
    def serving(self) -> frozenset[int]:
        """Partitions of ``access`` that are ours now and read."""
        return frozenset(each.number for each in self._ours())

    async def _told(self, listed: list[Listed]) -> None:
        """Judge again what facts condemned; the lock is held."""
        await self.judged.reconsider(listed)
        await self._writer.write(self._ours())

    async def _reported(self, news: Mapping[str, set[str]]) -> None:
        """See whether receipts turn lags into failures; the lock is held."""
        await self.judged.recheck(news)
        await self._writer.write(self._ours())

    def _tell(self) -> None:
        ours = self._ours()
        replica = self.replica.partitions.values()
        self.progress.full = any(each.file.room.missing for each in ours)
        self.progress.turn(
            now=asyncio.get_running_loop().time(),
            assigned=self.member.assigned,
            ready=bool(ours)
            and not self.member.fresh
            and not self.replica.member.fresh
            and all(each.ready for each in ours),
            waiting=sum(p.waiting for p in replica) + self.judged.left,
            positions={each.number: each.position for each in ours},
            committed=dict(self.member.kept),
        )
