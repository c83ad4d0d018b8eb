"""Bring a partition back: from the local checkpoint where that is of this very log.

The checkpoint is thrown away, and the partition read from its start, when its genesis
is another, when it lies beyond the log's end, or when the log no longer holds what
comes after it.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from enforcement.turns import in_turns, resting_tables
from schemas.errors import SchemaError
from streams.engines.kafka.checkpoints.checkpoint import KEEP_AFTER, FactsFile
from streams.engines.kafka.checkpoints.journal import DamagedError
from streams.engines.kafka.checkpoints.opening import opened
from streams.engines.kafka.client.publisher import die
from streams.engines.kafka.facts.partition import Partition
from streams.engines.kafka.records.genesis import read_geneses
from streams.engines.kafka.records.schema_registry import learn_ids
from streams.observability.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from agents_registry.identifiers import Vocabulary
    from agents_registry.steps import Steps
    from enforcement.kafka.replica import Raw
    from streams.engines.kafka.checkpoints.table_share import TableShare
    from streams.engines.kafka.client.group_consumer import GroupConsumer
    from streams.engines.kafka.records.codec import Genesis
    from streams.settings.kafka import KafkaSettings

WATCH_SECONDS: Final = 1.0
TABLE_SECONDS: Final = 60.0  # that a table of others may take
TOGETHER: Final = 16  # records applied before others may have their turn

log = structlog.get_logger()


async def take(
    partition: Partition, records: Sequence[Raw], progress: Progress
) -> None:
    """Apply records; a file that must be read for it and is damaged ends the process.

    It was thrown away by then, so the next process reads the topic.

    Args:
        partition: whose records they are.
        records: in their order.
        progress: of the stage; told of each piece of a table that is built anew.
    """
    try:
        async with resting_tables():
            await in_turns(_take(partition, records, progress))
    except DamagedError as error:
        die("the local checkpoint is damaged", error)


def _take(
    partition: Partition, records: Sequence[Raw], progress: Progress
) -> Steps[None]:
    for start in range(0, len(records), TOGETHER):
        partition.take(records[start : start + TOGETHER])
        for _ in partition.rebuild():
            progress.step()
            yield
        yield


class Loader:
    """Loads partitions of ``facts`` for one stage.

    Attributes:
        progress: of the stage; told of each piece of a file that is read.
        tailing: of its standby; as above.
        share: where tables of other workers are, if anywhere.
    """

    share: TableShare | None = None

    def __init__(
        self,
        settings: KafkaSettings,
        folder: Path,
        vocabulary: Vocabulary,
        geneses: dict[int, Genesis],
        keep_after: int = KEEP_AFTER,
    ) -> None:
        """Set up.

        Args:
            settings: of the cluster and the layout.
            folder: of the files.
            vocabulary: kind to class.
            geneses: kept as they were found last, also for who writes heartbeats.
            keep_after: facts between two snapshots, at least.
        """
        self.progress = Progress()
        self.tailing = Progress()
        self._geneses = geneses
        self._settings = settings
        self._folder = folder
        self._vocabulary = vocabulary
        self._keep_after = keep_after
        self._files: dict[int, FactsFile] = {}

    def close(self) -> None:
        """Close all files."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    async def load(
        self,
        member: GroupConsumer,
        held: dict[int, Partition],
        *,
        numbers: Iterable[int] | None = None,
        standby: bool = False,
    ) -> dict[int, Partition]:
        """Load the fresh partitions of a member, and have them begin.

        Args:
            member: whose they are.
            held: partitions from before; what is still right of them is used again.
            numbers: those of the fresh ones that are loaded; all by default.
            standby: only to be tailed; one that was is put to work otherwise.

        Returns:
            What was loaded; a partition without genesis is left out and stays fresh.

        Raises:
            KafkaError: the cluster cannot be asked.
            DamagedError: what was tailed cannot be put to work; a new process can.
        """
        wanted = sorted(member.fresh if numbers is None else numbers)
        if not wanted:
            return {}
        geneses = await read_geneses(self._settings)
        self._geneses.update(geneses)
        loaded = {}
        for number in wanted:
            genesis = geneses.get(number)
            if genesis is None:
                log.warning("no_genesis", partition=number)
                continue
            partition = held.get(number)
            if partition is None or not await self._fits(
                member, number, genesis.genesis, partition.position, partition.genesis
            ):
                partition = await self._open(
                    member, number, genesis.genesis, standby=standby
                )
            elif partition.standby and not standby:
                await self._promote(member, partition)
            loaded[number] = partition
        # Only now, since what fails above leaves none that is read and held by nobody.
        for number, partition in loaded.items():
            partition.genesis_mismatch = False
            member.begin(number, partition.position)
        return loaded

    async def _promote(self, member: GroupConsumer, partition: Partition) -> None:
        """Put a tailed partition to work, from where its last owner committed.

        The owner had acks of all below that, and of what lies above nobody knows.
        """
        committed = await member.committed(partition.number)
        relist = partition.relist
        if committed is not None and committed.metadata == partition.genesis:
            relist = int(committed.offset)
        _, partition.target = await member.bounds(partition.number)
        await asyncio.to_thread(partition.promote, relist)
        log.info(
            "partition_promoted",
            partition=partition.number,
            position=partition.position,
            relist=relist,
            target=partition.target,
        )

    async def _open(
        self, member: GroupConsumer, number: int, genesis: str, *, standby: bool
    ) -> Partition:
        if number not in self._files:
            path = self._folder / f"facts-{number}"
            self._files[number] = await opened(
                partial(FactsFile, path, self._vocabulary, self._keep_after)
            )
            self._files[number].shared = self.share
        file = self._files[number]
        lacks = await asyncio.to_thread(file.lacks_table)
        if lacks or not await self._fits(
            member, number, genesis, file.position, file.genesis
        ):
            if file.genesis:
                log.warning("checkpoint_dropped", partition=number)
            await asyncio.to_thread(file.reset, genesis)
        if lacks and self.share is not None:
            await self._begin_with_table(member, number, genesis, file)
        partition, relist = await self._restored(
            member, number, genesis, (file, standby)
        )
        begin, partition.target = await member.bounds(number)
        partition.position = max(partition.position, begin)
        log.info(
            "partition_loaded",
            partition=number,
            position=partition.position,
            relist=relist,
            target=partition.target,
        )
        return partition

    async def _begin_with_table(
        self, member: GroupConsumer, number: int, genesis: str, file: FactsFile
    ) -> None:
        """Begin with the table of another worker, where there is one of this log.

        Facts that may not have been listed are read in any case. Who has no group does
        not know which these are, and reads all.
        """
        committed = await member.committed(number)
        if committed is None or committed.metadata != genesis:
            return
        try:
            async with asyncio.timeout(TABLE_SECONDS):
                found = await asyncio.to_thread(file.offered)
        except TimeoutError:
            log.warning("no_shared_table", partition=number, why="it takes too long")
            return
        if found is None or not await self._fits(
            member, number, genesis, found.position, genesis
        ):
            return
        listed = int(committed.offset)
        await asyncio.to_thread(file.begin, genesis, found, listed)
        log.info("table_of_another_worker", partition=number, position=found.position)

    async def _restored(
        self,
        member: GroupConsumer,
        number: int,
        genesis: str,
        of: tuple[FactsFile, bool],
    ) -> tuple[Partition, int]:
        """Partition that a file makes, and from where its facts are listed."""
        file, standby = of
        await learn_ids(file.headers())
        unread = None
        if file.outgrown:
            # Passed over, by an older version, was a revocation perhaps.
            unread = file.unread
            log.warning("checkpoint_outgrown", partition=number, unread=unread)
            await asyncio.to_thread(file.reset, genesis)
        while True:
            partition = Partition(
                number, file, self._vocabulary, genesis, self._settings.digest()
            )
            partition.standby = standby
            relist = await self._relist(member, number, genesis, file)
            if unread is not None:
                relist = min(relist, unread)
            try:
                await self._restore(partition, relist)
            except (DamagedError, SchemaError):
                # Of a newer version, or damaged; the topic has it all.
                log.warning("checkpoint_dropped", partition=number)
                await asyncio.to_thread(file.reset, genesis)
            else:
                return partition, relist

    async def _restore(self, partition: Partition, relist: int) -> None:
        """Restore in a thread; what the file lacks ends it as it is, not in a group."""
        wrong: list[DamagedError | SchemaError] = []

        def restore() -> None:
            try:
                partition.restore(relist)
            except (DamagedError, SchemaError) as error:
                wrong.append(error)

        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._watch(partition))
            await asyncio.to_thread(restore)
            watching.cancel()
        if wrong:
            raise wrong[0]

    async def _watch(self, partition: Partition) -> None:
        """Log the steps of a long restore, which lets no loop turn."""
        applied = 0
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if partition.applied != applied:
                applied = partition.applied
                self.progress.step()
                self.tailing.step()  # the one may wait for the other

    async def _relist(
        self, member: GroupConsumer, number: int, genesis: str, file: FactsFile
    ) -> int:
        """Offset from which outputs may be missing.

        All below what is committed was acked, and so was all below what the file
        says; a new file says nothing.
        """
        committed = await member.committed(number)
        if committed is None or committed.metadata != genesis:
            return file.listed
        if file.position == 0:
            return int(committed.offset)
        return min(file.listed, int(committed.offset))

    async def _fits(
        self, member: GroupConsumer, number: int, genesis: str, position: int, of: str
    ) -> bool:
        """Whether a position of a log can be continued."""
        if of != genesis:
            return False
        begin, end = await member.bounds(number)
        return (begin <= position or begin == 0) and position <= end
