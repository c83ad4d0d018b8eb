"""The audit on Kafka: facts and acts in, links of the chains and signed heads out.

A stage of its own, so that nothing that revokes waits for it. Order of one round:
chain, publish to ``audit``, await all acks, go on. A link is a function of the link
before and of one record, so whoever chains again what is there already writes the
same bytes; readers pass such links over. That nobody wrote between is seen by the
offsets of the acks: where they are not those that were expected, another worker has
the partition or had it a moment ago, and what both wrote is read before more is added.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog

from streams.engines.kafka.audit.records import AUDIT, head_record, link_record, signed
from streams.engines.kafka.audit.state import UnknownChainError, restored
from streams.engines.kafka.client.group_consumer import (
    GroupConsumer,
    waiting_for_the_broker,
)
from streams.engines.kafka.client.log_reader import reading
from streams.engines.kafka.client.publisher import NotAckedError, die
from streams.engines.kafka.records.genesis import read_geneses
from streams.engines.kafka.records.layout import FACTS, HEADS
from streams.engines.kafka.records.poison import letters
from streams.engines.kafka.records.schema_registry import learn
from streams.model.times import SECOND
from streams.observability.failpoints import failpoint
from streams.observability.progress import Progress
from streams.stages.audit.chain import Head

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from streams.engines.kafka.audit.chains import ChainLink, ChainTip
    from streams.engines.kafka.audit.records import SignedHead
    from streams.engines.kafka.audit.state import Audited
    from streams.engines.kafka.client.log_reader import PartitionReader
    from streams.engines.kafka.client.publisher import Acked, Publisher
    from streams.services.audit_heads import HeadKey
    from streams.services.audit_sinks import Sinks
    from streams.settings.kafka import KafkaSettings
    from streams.settings.worker import WorkerSettings

IDLE_SECONDS: Final = 0.2
SLICE: Final = 250  # records; others of this process get their turn between
COMMIT_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 5.0
STANDS: Final = (
    "not audited until it can be read: start the version that wrote it, or write a "
    "tombstone under its key, and chains that lie there may begin anew"
)

log = structlog.get_logger()


class AuditStage:
    """Chains the partitions that the group gives this worker.

    Attributes:
        audited: the partitions, by their numbers.
        progress: for health.
        public_key: of what signs here (PEM).
        signed_at: when every chain here had a signed head (ns); before the first one,
            when this was made.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        worker: WorkerSettings,
        publisher: Publisher,
        clock: Callable[[], int],
        key: HeadKey,
        sinks: Sinks,
    ) -> None:
        """Set up; `run` works.

        Args:
            settings: of the cluster and the layout.
            worker: of this worker.
            publisher: writes links and heads.
            clock: gives the time (ns).
            key: signs heads.
            sinks: keep them outside.
        """
        self.audited: dict[int, Audited] = {}
        self.progress = Progress()
        self.signed_at = clock()
        self.member = GroupConsumer.of_stage("audit", FACTS, settings, worker)
        self._settings = settings
        self._publisher = publisher
        self._clock = clock
        self._key = key
        self.public_key = key.public_pem()
        self._sinks = sinks
        self._every = worker.head_seconds
        self._writer = f"{worker.name}-{clock()}"
        self._sign_at = 0.0
        self._stands: set[int] = set()
        self._look_at = 0.0

    async def run(self) -> None:
        """Work until cancelled; then the last heads are signed."""
        async with self.member:
            try:
                while True:
                    await self._turn()
            finally:
                await self._leave()

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(COMMIT_SECONDS), self.member.lock:
                if not await self._sign() or self.member.fresh:
                    # Entries of a partition to be read again have no head yet.
                    await self._load()
                    await self._sign()
        except (NotAckedError, TimeoutError) as error:
            log.warning("audit_not_signed", error=type(error).__name__)
        await self._commit(at_once=True)

    async def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        if self.member.fresh - self._stands or loop.time() >= self._look_at:
            self._look_at = loop.time() + LOOK_SECONDS
            await self._load()
        fetched = await self.member.poll(IDLE_SECONDS)
        await learn(fetched)
        async with self.member.lock:
            try:
                for number, records in fetched.items():
                    if number in self.audited and number not in self.member.fresh:
                        await self._chain(self.audited[number], records)
                if loop.time() >= self._sign_at and await self._sign():
                    self._sign_at = loop.time() + self._every
                    if not self.member.fresh:
                        self.signed_at = self._clock()
            except NotAckedError as error:
                die("audit: not acked", error)
            await self._commit()
        self._tell()

    async def _load(self) -> None:
        """Take up where the topics say that the fresh partitions stand."""
        if not self.member.fresh:
            return
        self._stands.clear()
        async with waiting_for_the_broker():
            geneses = await read_geneses(self._settings)
            async with reading(self._settings) as reader:
                for number in sorted(self.member.fresh):
                    if number in geneses:
                        await self._take_up(reader, number, geneses[number].genesis)
                    else:
                        log.warning("no_genesis", partition=number)
            for number in set(self.audited) - self.member.assigned:
                del self.audited[number]

    async def _take_up(
        self, reader: PartitionReader, number: int, genesis: str
    ) -> None:
        try:
            audited = await restored(reader, number, genesis)
        except UnknownChainError as error:
            log.error("audit_stands_still", record=str(error), remedy=STANDS)  # noqa: TRY400 - it says all
            self._stands.add(number)
            return
        await self._bury(audited)
        begin, audited.target = await reader.bounds(FACTS, number)
        if not begin <= audited.position <= audited.target:
            audited.position = begin
        self.audited[number] = audited
        self.member.begin(number, audited.position)
        log.info(
            "audit_loaded",
            partition=number,
            position=audited.position,
            realms=len(audited.chains.tips),
        )

    async def _bury(self, audited: Audited) -> None:
        """Put what cannot be read into the dead letters."""
        count, number = self._settings.partitions, audited.number
        groups = [
            letter
            for topic, each in audited.poison
            for letter in letters(topic, number, count, [each])
        ]
        audited.poison.clear()
        try:
            await self._publisher.publish(self._settings.topic("dlq"), groups)
        except NotAckedError as error:
            die("audit: not acked", error)

    async def _chain(self, audited: Audited, records: Sequence[Any]) -> None:
        topic = self._settings.topic(AUDIT)
        waiting: list[Awaitable[Acked]] = []
        position = audited.position
        for start in range(0, len(records), SLICE):
            links, position = self._links(audited, records[start : start + SLICE])
            groups = ([link_record(each)] for each in links)
            waiting += await self._publisher.send(topic, groups)
            failpoint("audit.chained")
            await asyncio.sleep(0)
        acked = await self._publisher.acks(waiting)
        failpoint("audit.acked")
        if self._alone(audited, acked):
            audited.position = position

    def _links(
        self, audited: Audited, records: Sequence[Any]
    ) -> tuple[list[ChainLink], int]:
        """Chain records; give what is to be written, and where it goes on."""
        chained = (
            audited.chains.link(each.offset, each.key or b"", each.value)
            for each in records
        )
        links = [each for each in chained if each is not None]
        return links, records[-1].offset + 1

    def _alone(self, audited: Audited, acked: Sequence[Acked]) -> bool:
        """Whether what was acked follows what was known; else read it again."""
        for each in acked:
            if each.start != audited.end:
                log.warning("audit_shared", partition=audited.number, at=each.start)
                self.member.hold(audited.number)
                return False
            audited.end = each.end
        return True

    async def _sign(self) -> bool:
        """Sign the head of each chain that moved; False: one is to be read again."""
        ours = [audited for audited in self._ours() if audited.unsigned]
        return all([await self._sign_of(audited) for audited in ours])

    async def _sign_of(self, audited: Audited) -> bool:
        end, position = audited.end, audited.position
        heads = [self._signed(audited, *each) for each in audited.unsigned]
        acked = await self._publisher.publish(
            self._settings.topic(AUDIT), ([head_record(each)] for each in heads)
        )
        failpoint("audit.signed")
        if not self._alone(audited, acked):
            return False
        # Behind their entries first, then where the next owner looks.
        topic = self._settings.topic(HEADS)
        await self._publisher.publish(
            topic, ([head_record(each, self._own(each.realm))] for each in heads)
        )
        audited.round_end, audited.round_position = end, position
        for head in heads:
            audited.signed[head.realm] = head.sequence
            own, keys = self._own(head.realm), audited.keys[head.realm]
            for key in keys - {own}:
                await self._publisher.end(topic, audited.number, key)
            audited.keys[head.realm] = {own}
            self._sinks.take(head.realm, head.sequence, head.signature)
        return True

    def _signed(self, audited: Audited, realm: str, tip: ChainTip) -> SignedHead:
        now = self._clock() // SECOND
        head = Head(realm, tip.genesis, tip.sequence, tip.hash, now)
        return signed(
            head,
            self._key.sign(head),
            partition=audited.number,
            offset=tip.offset,
            position=audited.round_position,
            resume=audited.round_end,
        )

    def _own(self, realm: str) -> bytes:
        """Key of this process's heads of a realm."""
        return f"{realm}/{self._writer}".encode()

    def _ours(self) -> list[Audited]:
        ready = sorted(self.member.begun & self.audited.keys())
        return [self.audited[number] for number in ready]

    async def _commit(self, *, at_once: bool = False) -> None:
        """Commit how far it is, for who watches the group; nobody goes by it."""
        if not at_once and not self.member.commit_due(COMMIT_SECONDS):
            return
        await self.member.commit(
            {each.number: (each.position, each.genesis) for each in self._ours()}
        )

    def _tell(self) -> None:
        ours = self._ours()
        positions = {each.number: each.position for each in ours}
        self.progress.turn(
            now=asyncio.get_running_loop().time(),
            # What stands still on purpose is no reason to start this process anew.
            assigned=self.member.assigned - self._stands,
            ready=bool(ours)
            and not self.member.fresh
            and all(each.position >= each.target for each in ours),
            waiting=0,
            positions=positions,
            committed=positions,
        )
