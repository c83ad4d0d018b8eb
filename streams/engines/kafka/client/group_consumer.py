"""One consumer: which partitions it has, where each begins, and when it is lost.

Positions are ours alone: a partition that was just assigned stands still until its
holder has said where to begin, and the client may never choose a position by itself.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Self

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import (
    StickyPartitionAssignor,
)
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import OffsetAndMetadata

from enforcement.kafka.connecting import stopped, whole
from streams.engines.kafka.client import internals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping

    from streams.settings.kafka import KafkaSettings
    from streams.settings.worker import WorkerSettings

MOST_RECORDS: Final = 2000
FETCH_BYTES: Final = 4 << 20
COMMIT_SECONDS: Final = 10.0
AWAY_SECONDS: Final = 0.2
BEAT_SECONDS: Final = 2.0
REBALANCE_SECONDS: Final = 60.0  # a large batch in hand may take that long
NOTHING_SECONDS: Final = 0.05
HANGING_MS: Final = 300_000  # without a poll, then the group gives our place away

log = structlog.get_logger()


@asynccontextmanager
async def waiting_for_the_broker(event: str = "not_loaded") -> AsyncIterator[None]:
    """Wait a little where the broker is away; who loops tries again.

    Partitions that were to begin stand still meanwhile, and we are not ready.
    """
    try:
        yield
    except (KafkaError, OSError) as error:
        log.warning(event, error=type(error).__name__)
        await asyncio.sleep(AWAY_SECONDS)


class GroupConsumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """A consumer of one topic, in a group or of given partitions.

    Attributes:
        lock: held while a batch is worked off, so that no partition goes meanwhile.
        fresh: partitions that stand still until `begin`.
        assignments: how often partitions were given to us; what was found out under
            an earlier one may not hold any more.
        lost: how often a position was out of range.
        joined: partitions were assigned once, or none.
        kept: partition to what was committed last, or where it began.
        polled_at: when records were asked for last, by the event loop's clock.
        let_go: what is done while the partitions are still ours, before they go.
        leaves: whether it gives its place up as it ends, so that others have it soon.
        name: of the client, by which the group's other members know it.
    """

    def __init__(  # noqa: PLR0913 - the last ones by name
        self,
        settings: KafkaSettings,
        topic: str,
        *,
        group: str | None = None,
        instance: str | None = None,
        partitions: Iterable[int] = (),
        session_seconds: float = 10.0,
        rebalance_seconds: float = REBALANCE_SECONDS,
    ) -> None:
        """Set up.

        Args:
            settings: of the cluster.
            topic: its full name.
            group: the group to join; None to read the given partitions.
            instance: a stable name of this process in the group.
            partitions: all that is read, without a group.
            session_seconds: of silence, then the group gives its place away.
            rebalance_seconds: that the group waits for a member to let its partitions
                go; all stand still until then where it died meanwhile.
        """
        self.lock = asyncio.Lock()
        self.fresh: set[int] = set()
        self.assignments = 0
        self.lost = 0
        self.joined = asyncio.Event()
        self.kept: dict[int, int] = {}
        self.polled_at = 0.0
        self.let_go: Callable[[], Awaitable[None]] | None = None
        self.leaves: Callable[[], bool] = bool
        self._asked_at = 0.0  # as the client counts it
        self._topic = topic
        self._group = group
        self._fixed = [TopicPartition(topic, number) for number in partitions]
        # By it the others learn who has what.
        self.name = instance or f"rescind-{topic}"
        self._options = {
            "group_id": group,
            "group_instance_id": instance,
            "client_id": self.name,
            "session_timeout_ms": int(session_seconds * 1000),
            # By its answers a member hears that partitions are given out anew.
            "heartbeat_interval_ms": int(
                1000 * min(session_seconds / 5, BEAT_SECONDS, rebalance_seconds / 6)
            ),
            "rebalance_timeout_ms": int(rebalance_seconds * 1000),
        }
        self._settings = settings
        self._consumer: Any = None
        self._commit_due_at = 0.0
        # One may be in hand, and the last one follows, before the partitions go.
        self._commit_seconds = min(COMMIT_SECONDS, rebalance_seconds / 3)
        self._session_seconds = session_seconds
        self._confirmed_at = 0.0  # asked then, by the event loop's clock

    @classmethod
    def of_stage(
        cls, stage: str, topic: str, settings: KafkaSettings, worker: WorkerSettings
    ) -> Self:
        """Consumer of a stage: in its group, by the name of its worker."""
        return cls(
            settings,
            settings.topic(topic),
            group=settings.group(stage),
            instance=worker.name,
            session_seconds=worker.session_seconds,
        )

    async def __aenter__(self) -> Self:
        """Connect, and join the group."""
        self._consumer = AIOKafkaConsumer(
            **self._settings.client(),
            **self._options,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_poll_interval_ms=HANGING_MS,
            # A topic that was made anew is noticed by its metadata alone.
            metadata_max_age_ms=10_000,
            fetch_max_wait_ms=500,
            max_partition_fetch_bytes=FETCH_BYTES,
            partition_assignment_strategy=(StickyPartitionAssignor,),
        )
        try:
            await whole(self._consumer.start())
        except BaseException:
            # Nobody will leave what was not entered.
            await stopped(self._consumer.stop)
            raise
        if self._group is None:
            self._consumer.assign(self._fixed)
            await self.on_partitions_assigned(self._fixed)
        else:
            self._consumer.subscribe([self._topic], listener=self)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect. A member with a stable name keeps its place until it is due."""
        if self._group is not None and self.leaves():
            internals.leave_on_stop(self._consumer)
        try:
            await stopped(self._consumer.stop, COMMIT_SECONDS)
        except (KafkaError, TimeoutError) as broken:
            log.warning("consumer_not_stopped", error=type(broken).__name__)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Let the batch in hand end, with its acks, checkpoint and commit."""
        async with self.lock:
            if self.let_go is not None:
                await self.let_go()
            log.info("partitions_revoked", partitions=sorted(p for _, p in revoked))

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Have the new partitions stand still."""
        assigned = list(assigned)
        for tp in assigned:
            # Without a position the client would ask for one, and has none to take.
            self._consumer.seek(tp, 0)
        if assigned:
            self._consumer.pause(*assigned)
        self.fresh = {tp.partition for tp in assigned}
        self.assignments += 1
        self._confirmed_at = asyncio.get_running_loop().time()
        self.kept.clear()
        self.joined.set()
        log.info("partitions_assigned", partitions=sorted(self.fresh))

    @property
    def assigned(self) -> frozenset[int]:
        """Partitions that are ours now."""
        if self._consumer is None:
            return frozenset()
        return frozenset(tp.partition for tp in self._consumer.assignment())

    @property
    def begun(self) -> frozenset[int]:
        """Partitions that are ours and are read."""
        return self.assigned - self.fresh

    @property
    def member_id(self) -> str:
        """Our id in the group; empty outside of one."""
        return "" if self._consumer is None else internals.member_id(self._consumer)

    def hold(self, number: int) -> None:
        """Have a partition stand still until it begins anew."""
        if number in self.assigned:
            self._consumer.pause(TopicPartition(self._topic, number))
            self.fresh.add(number)

    def begin(self, number: int, position: int) -> None:
        """Read a fresh partition from a position on."""
        tp = TopicPartition(self._topic, number)
        if number in self.fresh and number in self.assigned:
            self._consumer.seek(tp, position)
            self._consumer.resume(tp)
            self.fresh.discard(number)
            self.kept.setdefault(number, position)

    async def bounds(self, number: int) -> tuple[int, int]:
        """First and next offset of a partition now."""
        tp = TopicPartition(self._topic, number)
        # Together, so that both wait behind one long poll at most.
        begin, end = await asyncio.gather(
            self._consumer.beginning_offsets([tp]), self._consumer.end_offsets([tp])
        )
        return begin[tp], end[tp]

    async def since(self, number: int, at: int) -> int | None:
        """First offset written at a time or later; None where none was.

        Args:
            number: of the partition.
            at: ns.
        """
        tp = TopicPartition(self._topic, number)
        found = await self._consumer.offsets_for_times({tp: at // 1_000_000})
        place = found[tp]
        return None if place is None else int(place.offset)

    async def position(self, number: int) -> int:
        """Offset that is read next, past what is compacted."""
        return int(await self._consumer.position(TopicPartition(self._topic, number)))

    async def committed(self, number: int) -> OffsetAndMetadata | None:
        """Return the committed offset of a partition, with its note."""
        if self._group is None:
            return None
        tp = TopicPartition(self._topic, number)
        return await internals.committed(self._consumer, tp)

    async def poll(
        self, seconds: float, without: Iterable[int] = ()
    ) -> dict[int, list[Any]]:
        """Next records of partitions that are not fresh.

        Args:
            seconds: to wait for some at most.
            without: partitions to leave alone.

        Raises:
            KafkaError: what a new process does not end either.
        """
        self.polled_at = asyncio.get_running_loop().time()
        left_out = {*without, *self.fresh}
        wanted = [
            TopicPartition(self._topic, number)
            for number in self.assigned
            if number not in left_out
        ]
        if not wanted:
            await self._poll_nothing(min(seconds, NOTHING_SECONDS))
            return {}
        try:
            fetched = await self._consumer.getmany(
                *wanted, timeout_ms=int(seconds * 1000), max_records=MOST_RECORDS
            )
        except OffsetOutOfRangeError as error:
            for tp in error.args[0]:
                log.warning("out_of_range", topic=tp.topic, partition=tp.partition)
                self.hold(tp.partition)
            self.lost += 1
            return {}
        self._asked_at = self.polled_at
        return {tp.partition: records for tp, records in fetched.items()}

    async def _poll_nothing(self, seconds: float) -> None:
        """Wait without reading, and stay in the group.

        To have nothing to read is not to hang: else the client would leave the group,
        and join it never again. And it says only when asked why it cannot join.
        """
        await asyncio.sleep(seconds)
        held = [tp for tp in self._consumer.assignment() if tp.partition in self.begun]
        if held and self.polled_at - self._asked_at < HANGING_MS / 2000:
            return
        # What was fetched of these is dropped, and fetched again.
        self._consumer.pause(*held)
        self._asked_at = self.polled_at
        try:
            # While partitions are given out the client waits for that, for ever.
            async with asyncio.timeout(NOTHING_SECONDS):
                await self._consumer.getmany(timeout_ms=0)
        except (TimeoutError, OffsetOutOfRangeError):
            return
        finally:
            for tp in held:
                if tp.partition in self.begun:
                    self._consumer.resume(tp)

    @property
    def doubtful(self) -> bool:
        """Whether the group was silent so long that it may have counted us out.

        Its own clock runs from the same answers, and half of its patience is for what
        we do next.
        """
        silent = asyncio.get_running_loop().time() - self._confirmed_at
        return silent > self._session_seconds / 2

    async def confirm(self) -> bool:
        """Have the group confirm our partitions; tell whether it did.

        By a heartbeat: commits are taken from anybody while nobody is in the group.
        What is given out anew meanwhile is not confirmed either.
        """
        assignments, asked = self.assignments, asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                counted = await internals.beat(self._consumer)
        except (KafkaError, TimeoutError):
            return False
        if not counted or self.assignments != assignments:
            return False
        self._confirmed_at = asked
        return True

    def commit_due(self, seconds: float) -> bool:
        """Whether it is time to commit again; it is off the way of all latency.

        Args:
            seconds: between two commits.
        """
        now = asyncio.get_running_loop().time()
        if now < self._commit_due_at:
            return False
        self._commit_due_at = now + seconds
        return True

    async def commit(self, positions: Mapping[int, tuple[int, str]]) -> bool:
        """Commit positions with a note each; tell whether it was done.

        A commit that fails costs nothing but work that is done again.
        """
        if self._group is not None and not self.member_id:
            return False  # counted out; an empty group would take it, over a newer one
        ours, asked = self.assigned, asyncio.get_running_loop().time()
        offsets = {
            TopicPartition(self._topic, number): OffsetAndMetadata(*value)
            for number, value in positions.items()
            if number in ours
        }
        try:
            if offsets:
                # The client itself would wait for the group's coordinator forever.
                async with asyncio.timeout(self._commit_seconds):
                    await self._consumer.commit(offsets)
        except (KafkaError, TimeoutError) as error:
            log.info("not_committed", error=type(error).__name__)
            return False
        if offsets:
            self._confirmed_at = asked
        self.kept.update({tp.partition: each.offset for tp, each in offsets.items()})
        return True
