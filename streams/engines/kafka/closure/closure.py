"""Closure on Kafka: facts and receipts in, findings of late guards out.

A cause is read first, then the end of the receipts is asked for, over a connection of
its own, and the receipts are applied up to it: then its members are known. The
partitions are those of the group ``closure``. Receipts are read from their start
whenever a partition is taken up, so no take-over loses a laggard.
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog
from aiokafka.errors import KafkaError

from streams.engines.kafka.client.group_consumer import (
    GroupConsumer,
    waiting_for_the_broker,
)
from streams.engines.kafka.client.log_reader import reading
from streams.engines.kafka.client.publisher import NotAckedError, die
from streams.engines.kafka.closure import findings as closure_findings
from streams.engines.kafka.closure.closure_partition import (
    ClosurePartition,
    Rules,
    is_cause,
)
from streams.engines.kafka.records.genesis import read_geneses
from streams.engines.kafka.records.layout import FACTS, RECEIPTS
from streams.engines.kafka.records.outputs import finding_record
from streams.engines.kafka.records.poison import letters
from streams.engines.kafka.records.schema_registry import learn, learn_ids
from streams.observability import tracing
from streams.observability.progress import Progress
from streams.pipeline.closure import TICK, ClosureTally, judge
from streams.services.traced_stages import trace_finding

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextlib import AbstractAsyncContextManager

    from streams.engines.kafka.client.log_reader import PartitionReader
    from streams.engines.kafka.client.publisher import Publisher
    from streams.settings.kafka import KafkaSettings
    from streams.settings.worker import WorkerSettings
    from streams.stages.closure.closure import Closure
    from streams.stages.sentinel.episode import Episode

IDLE_SECONDS: Final = 0.2
LOOK_SECONDS: Final = 5.0
COMMIT_SECONDS: Final = 2.0
READ_SECONDS: Final = 2.0  # that who asks of a revocation waits for it to be read

T = TypeVar("T")

log = structlog.get_logger()


class ClosureStage:
    """Follows the causes of the partitions that the group gives this worker.

    Attributes:
        followed: the partitions, by their numbers.
        rules: how causes are followed.
        tally: for metrics.
        progress: for health.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        worker: WorkerSettings,
        publisher: Publisher,
        clock: Callable[[], int],
        rules: Rules,
    ) -> None:
        """Set up; `run` works.

        Args:
            settings: of the cluster and the layout.
            worker: of this worker.
            publisher: writes what is found.
            clock: gives the time (ns).
            rules: how causes are followed.
        """
        self.followed: dict[int, ClosurePartition] = {}
        self.rules = rules
        self.tally = ClosureTally()
        self.progress = Progress()
        self.member = GroupConsumer.of_stage("closure", FACTS, settings, worker)
        self._receipts = GroupConsumer(
            settings, settings.topic(RECEIPTS), partitions=range(settings.partitions)
        )
        self._asking: PartitionReader  # no long poll is in its way
        self._settings = settings
        self._publisher = publisher
        self._clock = clock
        self._news = asyncio.Event()
        self._looked_at = 0.0

    def serving(self, number: int) -> ClosurePartition | None:
        """Partition that is ours now and as new as when it was taken up."""
        followed = self.followed.get(number)
        ours = number in self.member.begun
        return followed if ours and followed and followed.ready else None

    def closures(self) -> list[Closure]:
        """Stages of all realms that are followed here."""
        return [one for each in self.followed.values() for one in each.closures]

    async def read_up_to_now(self, followed: ClosurePartition) -> bool:
        """Wait until all facts are read that were there when it was asked.

        Tell whether that was so in time: else nobody can say what is not there.
        """
        try:
            async with asyncio.timeout(READ_SECONDS):
                _, end = await self._asking.bounds(FACTS, followed.number)
                while followed.position < end:  # noqa: ASYNC110 - the stage reads on
                    await asyncio.sleep(TICK)
        except (KafkaError, TimeoutError, OSError):
            return False
        return self.followed.get(followed.number) is followed

    async def remove(self, realm: str, guard: str, followed: ClosurePartition) -> bool:
        """Let a guard go on an operator's word; on return no take-over brings it back.

        Raises:
            NotAckedError: it could not be written.
        """
        key = f"{realm}/{guard}".encode()
        topic = self._settings.topic(RECEIPTS)
        await self._publisher.end(topic, followed.number, key)
        self._news.set()
        return followed.realm(realm).roll.leave(guard)

    async def run(self) -> None:
        """Work until cancelled."""
        async with AsyncExitStack() as stack:
            self._asking = await _connected(stack, lambda: reading(self._settings))
            await _connected(stack, lambda: self._receipts)
            await _connected(stack, lambda: self.member)
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._follow())
                    tasks.create_task(self._listen())
                    tasks.create_task(judge(self._news, self._step))
            finally:
                await self._commit(at_once=True)

    async def _follow(self) -> None:
        """Read causes, and ask for the end of the receipts then."""
        while True:
            if self.member.fresh:
                await self._load()
            self._let_go()
            fetched = await self.member.poll(IDLE_SECONDS)
            records = itertools.chain.from_iterable(fetched.values())
            await learn_ids(each.value for each in records if is_cause(each))
            async with self.member.lock:
                await self._read(fetched)
                await self._commit()
            self._tell()

    async def _read(self, fetched: dict[int, list[Any]]) -> None:
        asked: list[ClosurePartition] = []
        now = asyncio.get_running_loop().time()
        for number, records in fetched.items():
            followed = self.followed.get(number)
            if followed is None:
                continue
            tracing.note_read(records)
            if followed.read(records):
                asked.append(followed)
            if followed.genesis_mismatch and now - self._looked_at > LOOK_SECONDS:
                self._looked_at, followed.genesis_mismatch = now, False
                self.member.hold(number)
        if asked:
            ends = await self._ends([each.number for each in asked])
            for each in asked:
                each.ask(ends[each.number])
            self._news.set()

    async def _ends(self, numbers: Collection[int]) -> dict[int, int]:
        """Ask for the ends of the receipts until they are told."""
        while True:
            try:
                return await self._asking.ends(RECEIPTS, numbers)
            except KafkaError as error:
                log.warning("no_end_of_receipts", error=type(error).__name__)
                await asyncio.sleep(IDLE_SECONDS)

    async def _load(self) -> None:
        async with waiting_for_the_broker():
            geneses = await read_geneses(self._settings)
            for number in sorted(self.member.fresh):
                if number in geneses:
                    await self._take_up(number, geneses[number].genesis)
                else:
                    log.warning("no_genesis", partition=number)

    def _let_go(self) -> None:
        for number in set(self.followed) - self.member.assigned:
            del self.followed[number]
            self._receipts.hold(number)

    async def _take_up(self, number: int, genesis: str) -> None:
        """Have a partition go on, or begin with its open causes and all receipts."""
        begin, end = await self._asking.bounds(FACTS, number)
        followed = self.followed.get(number)
        if (
            followed is None
            or followed.genesis != genesis
            or not begin <= followed.position <= end
        ):
            digest = self._settings.digest()
            followed = ClosurePartition(number, genesis, self.rules, self.tally, digest)
            committed = await self.member.committed(number)
            followed.position, followed.target = begin, end
            if committed is not None and committed.metadata == genesis:
                followed.position = max(begin, min(int(committed.offset), end))
            self._receipts.hold(number)
            followed.heard, followed.awaited = await self._asking.bounds(
                RECEIPTS, number
            )
            followed.restore(await closure_findings.told(self._settings, number))
            self.followed[number] = followed
            self._receipts.begin(number, followed.heard)
            log.info("closure_loaded", partition=number, position=followed.position)
        self.member.begin(number, followed.position)

    async def _listen(self) -> None:
        """Apply receipts as they come."""
        while True:
            for number in self._receipts.fresh & self.followed.keys():
                # Its place is gone: begin anew, facts and all.
                del self.followed[number]
                self.member.hold(number)
            fetched = await self._receipts.poll(IDLE_SECONDS)
            # Nothing was awaited since: they are of the partition as it is held now.
            of = {number: self.followed.get(number) for number in fetched}
            await learn(fetched)
            for number, followed in of.items():
                if followed is not None and self.followed.get(number) is followed:
                    records = fetched[number]
                    followed.hear(records, records[-1].offset + 1)
                    self._news.set()
            for number, followed in list(self.followed.items()):
                # The position passes over what compaction took away.
                if number not in self._receipts.fresh:
                    position = await self._receipts.position(number)
                    if self.followed.get(number) is followed:
                        followed.hear((), max(followed.heard, position))

    async def _step(self) -> list[Closure]:
        """See what became of the causes, and write it."""
        found: list[Episode] = []
        followed = list(self.followed.values())
        for each in followed:
            found += each.step(self._clock())
        poison = [each for each in followed if each.poison]
        if found or poison:
            await self._write(found, poison)
        return self.closures()

    async def _write(
        self, found: list[Episode], poison: list[ClosurePartition]
    ) -> None:
        settings, count = self._settings, self._settings.partitions
        try:
            waiting = await self._publisher.send(
                settings.topic("findings"),
                [[finding_record(each, count, trace_finding(each))] for each in found],
            )
            for each in poison:
                # Others come while these are handed over. A failure ends the process,
                # and the next one reads all receipts anew.
                some, each.poison = each.poison, []
                of = letters(settings.topic(RECEIPTS), each.number, count, some)
                waiting += await self._publisher.send(settings.topic("dlq"), of)
            await self._publisher.acks(waiting)
        except NotAckedError as error:
            die("closure: not acked", error)

    def _ours(self) -> list[ClosurePartition]:
        return [self.followed[n] for n in self.member.begun & self.followed.keys()]

    async def _commit(self, *, at_once: bool = False) -> None:
        """Commit from where the next owner must read; nothing waits for it."""
        if not at_once and not self.member.commit_due(COMMIT_SECONDS):
            return
        wall = self._clock()
        await self.member.commit(
            {each.number: (each.floor(wall), each.genesis) for each in self._ours()}
        )

    def _tell(self) -> None:
        ours = self._ours()
        positions = {each.number: each.position for each in ours}
        self.progress.turn(
            now=asyncio.get_running_loop().time(),
            assigned=self.member.assigned,
            ready=bool(ours)
            and not self.member.fresh
            and all(each.ready for each in ours),
            waiting=sum(each.waiting for each in ours),
            positions=positions,
            # What is committed waits for guards that are late, which is no fault.
            committed=positions,
        )


async def _connected(
    stack: AsyncExitStack, client: Callable[[], AbstractAsyncContextManager[T]]
) -> T:
    """Connect a client; a broker that is away is waited for."""
    while True:
        try:
            return await stack.enter_async_context(client())
        except (KafkaError, OSError) as error:
            log.warning("not_connected", error=type(error).__name__)
            await asyncio.sleep(IDLE_SECONDS)
