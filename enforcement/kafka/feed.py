"""The feed from Kafka: keep a replica equal to a partition of the topic ``facts``.

Two clients. One reads the partition, by `assign` and without a group: the position is
the replica's own, and the client may never choose one. The other asks for the
partition's end four times in a lease; on the reading client the answer would wait
behind the long poll.

Nothing here decides what is allowed: whatever goes wrong, the lease runs out by itself
and a new connection follows after a random pause. A replica that has to be built anew
goes on being read, while a second reader feeds its successor.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from attrs import define

from enforcement import tracing
from enforcement.feed import REBUILD_SPREAD, SECOND
from enforcement.kafka.connecting import stopped, whole
from enforcement.kafka.genesis import POLL_MS, NoLogError, read_genesis
from enforcement.reconnect import pause
from enforcement.tasks import heed_cancellation
from enforcement.turns import in_slices, resting_tables
from schemas.placement import partition_of

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Awaitable,
        Callable,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )

    from enforcement.kafka.replica import LogReplica
    from enforcement.kafka.reporter import Reporter
    from enforcement.kafka.standing import LogStanding

MOST_RECORDS: Final = 500
FETCH_BYTES: Final = 1 << 20
IDENTIFY_SECONDS: Final = 30.0
LEAST_TIMEOUT: Final = 2.0  # seconds; a request that is older is given up
STOP_SECONDS: Final = 5.0


@define(slots=True, eq=False)
class Reader:
    """One reader, over all its connections, and the replica that it feeds.

    Attributes:
        succeeds: it is to replace the replica in force, not to continue it.
    """

    replica: LogReplica
    succeeds: bool = False
    task: asyncio.Task[None] | None = None
    failures: int = 0


class LogFeed:
    """Readers of one realm's partition, as many as needed (one, at times two).

    Attributes:
        partition: which one it is, None before the topic was seen.
        connected: how many readers are connected.
        connections: how many connections were made since the start.
        last_error: why the last one ended, for people.
        learn: has the codec learn the schemas of fetched records, before they are read.
    """

    learn: Callable[[Mapping[Any, Sequence[Any]]], Awaitable[None]] | None = None

    def __init__(  # noqa: PLR0913 - each by name
        self,
        client: Mapping[str, Any],
        *,
        topic: str,
        realm: str,
        standing: LogStanding,
        jitter: Callable[[], float],
        reporter: Reporter | None = None,
        name: str = "",
    ) -> None:
        """Set up; `run` connects.

        Args:
            client: arguments of the aiokafka clients: where and as whom they connect.
            topic: ``facts``, its full name.
            realm: whose facts are read.
            standing: what the feed keeps up to date.
            jitter: gives a random number in [0, 1).
            reporter: reports to closure; without, closure knows nothing of the guard.
            name: of the guard, for traces.
        """
        lease = standing.lease.length / SECOND
        self._client = {
            **client,
            "request_timeout_ms": round(1000 * max(LEAST_TIMEOUT, 2 * lease)),
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            # A topic that was made anew is noticed by its metadata alone.
            "metadata_max_age_ms": 10_000,
            "max_partition_fetch_bytes": FETCH_BYTES,
        }
        self._period = lease / 4
        self._topic = topic
        self._realm = realm
        self._standing = standing
        self._jitter = jitter
        self._reporter = reporter
        self._name = name
        self._causes = f"{realm}/cause/".encode()
        self._readers: list[Reader] = []
        self._progress = asyncio.Event()
        self.partition: int | None = None
        self.connected = 0
        self.connections = 0
        self.last_error: str | None = None

    @property
    def unreadable(self) -> int:
        """Count the records that were passed over in the table in force."""
        return self._standing.replica.unreadable

    async def run(self) -> None:
        """Feed the standing until cancelled."""
        reporter = self._reporter
        try:
            async with asyncio.TaskGroup() as tasks:
                self._spawn(tasks, Reader(self._standing.begin()), after=0.0)
                if reporter is not None:
                    tasks.create_task(reporter.run(self.progress, self._complain))
                await self._ask_always()
        finally:
            if reporter is not None:
                self._standing.end()
                await reporter.goodbye()

    async def progress(self) -> None:
        """Wait until something was applied or proven."""
        await self._progress.wait()

    def _complain(self, text: str) -> None:
        self.last_error = text

    def _tell(self) -> None:
        self._progress.set()
        self._progress = asyncio.Event()

    async def _ask_always(self) -> None:
        failures = 0
        while True:
            if await self._attempt(self._ask):
                failures = 0
            await asyncio.sleep(pause(failures, self._jitter))
            failures = min(failures + 1, 16)

    def _spawn(self, tasks: asyncio.TaskGroup, reader: Reader, after: float) -> None:
        async def read(consumer: AIOKafkaConsumer) -> None:
            await self._read(tasks, reader, consumer)

        async def keep() -> None:
            await asyncio.sleep(after)
            while True:
                await self._attempt(read)
                await asyncio.sleep(pause(reader.failures, self._jitter))
                reader.failures = min(reader.failures + 1, 16)

        self._readers.append(reader)
        reader.task = tasks.create_task(keep())

    async def _attempt(
        self, use: Callable[[AIOKafkaConsumer], Awaitable[None]]
    ) -> bool:
        """Use one connection as long as it lasts; tell whether it was made."""
        consumer = AIOKafkaConsumer(**self._client)
        made = False
        try:
            await whole(consumer.start())
            made = True
            await use(consumer)
        except asyncio.CancelledError:
            heed_cancellation()
            self.last_error = "the client broke off"
        except Exception as error:  # noqa: BLE001
            # The boundary of a connection: whatever ended it, another one follows,
            # and until it has caught up the lapsed lease denies.
            self.last_error = f"{type(error).__name__}: {error}"
        finally:
            await _stop(consumer)
        heed_cancellation()
        return made

    async def _ask(self, consumer: AIOKafkaConsumer) -> None:
        """Ask for the end of the partition, again and again."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + self._period
            if self.partition is not None:
                place = TopicPartition(self._topic, self.partition)
                question = self._standing.ask()
                # An end serves only if the registration was acked before the question.
                if self._reporter is None or self._reporter.covers(question.sent):
                    ends = await consumer.end_offsets([place])
                    self._standing.ended(question, ends[place])
                else:
                    due = loop.time() + self._period / 10
                self._tell()
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def _read(
        self, tasks: asyncio.TaskGroup, reader: Reader, consumer: AIOKafkaConsumer
    ) -> None:
        place, partitions = await self._place(consumer)
        consumer.assign([place])
        await self._take_up(reader, consumer, place, partitions)
        self.connected += 1
        self.connections += 1
        try:
            async for _ in self._batches(reader, consumer, place):
                self._settle(tasks, reader)
                if not self._goes_on(reader):
                    await self._take_up(reader, consumer, place, partitions)
        finally:
            self.connected -= 1

    async def _place(self, consumer: AIOKafkaConsumer) -> tuple[TopicPartition, int]:
        """Realm's partition, and how many there are."""
        # Asked for any of its partitions, the client learns of all of them.
        await consumer.beginning_offsets([TopicPartition(self._topic, 0)])
        found = consumer.partitions_for_topic(self._topic)
        if not found:
            raise NoLogError(f"there is no topic {self._topic} that we may read")
        self.partition = partition_of(self._realm, len(found))
        self._standing.partition = self.partition
        if self._reporter is not None:
            self._reporter.partition = self.partition
        return TopicPartition(self._topic, self.partition), len(found)

    async def _take_up(
        self,
        reader: Reader,
        consumer: AIOKafkaConsumer,
        place: TopicPartition,
        partitions: int,
    ) -> None:
        """Find out which log it is, and go on or begin in it."""
        async with asyncio.timeout(IDENTIFY_SECONDS):
            start = (await consumer.beginning_offsets([place]))[place]
            end = (await consumer.end_offsets([place]))[place]
            codec = reader.replica.codec
            genesis = await read_genesis(consumer, place, (start, end), codec)
        if genesis.partitions != partitions or genesis.partition != place.partition:
            raise NoLogError(
                f"{place.topic} has {partitions} partitions, and was laid out with "
                f"{genesis.partitions}: realms lie elsewhere now"
            )
        standing, replica = self._standing, reader.replica
        standing.identify(genesis.genesis)
        if replica.genesis != genesis.genesis or not standing.continues(
            replica, start, end
        ):
            standing.lost(replica)
            standing.identify(genesis.genesis)
            if replica.genesis is not None:
                reader.replica = replica = replica.successor()
            replica.begin(genesis.genesis, start, end)
        consumer.seek(place, replica.next)
        self._settle_alone(reader)

    async def _batches(
        self, reader: Reader, consumer: AIOKafkaConsumer, place: TopicPartition
    ) -> AsyncIterator[None]:
        """Apply what comes, batch by batch."""
        while True:
            try:
                fetched = await consumer.getmany(
                    place, timeout_ms=POLL_MS, max_records=MOST_RECORDS
                )
            except OffsetOutOfRangeError as error:
                self.last_error = f"out of range: {error}"
                self._standing.lost(reader.replica)
                self._standing.doubt()
                yield
                continue
            if self.learn is not None:
                await self.learn(fetched)
            # The position passes over what compaction took away.
            end = await consumer.position(place)
            records, was_complete = fetched.get(place, ()), reader.replica.complete
            async with resting_tables():
                await in_slices(reader.replica.take(records, end))
            if was_complete:
                tracing.applied(self._traces(records), self._name)
            for beat in reader.replica.beats:
                self._standing.beat(beat)
            reader.replica.beats.clear()
            yield

    def _traces(self, records: Iterable[Any]) -> Iterator[str]:
        """Traces that revocations of our realm came with."""
        for record in records:
            if record.key and record.key.startswith(self._causes):
                for name, value in record.headers:
                    if name == "traceparent":
                        yield value.decode("ascii", "replace")

    def _goes_on(self, reader: Reader) -> bool:
        standing = self._standing
        unsound = reader.replica is standing.replica and not standing.sound
        return standing.genesis is not None and not unsound

    def _settle_alone(self, reader: Reader) -> None:
        """Put a replica in force that is complete, and see what is proven now."""
        if self._standing.offer(reader.replica):
            for other in self._readers:
                if other is not reader and other.task is not None:
                    other.task.cancel()
            self._readers = [reader]
            reader.succeeds = False
        else:
            self._standing.refresh()
        if self._standing.holds():
            reader.failures = 0
        self._tell()

    def _settle(self, tasks: asyncio.TaskGroup, reader: Reader) -> None:
        """Put what was applied in force, and see to a successor where one is due."""
        self._settle_alone(reader)
        replica = reader.replica
        if (
            replica is self._standing.replica
            and replica.needs_successor
            and len(self._readers) == 1
        ):
            spread = 0.0 if replica.urgent else REBUILD_SPREAD
            successor = Reader(replica.successor(), succeeds=True)
            self._spawn(tasks, successor, self._jitter() * spread)


async def _stop(consumer: AIOKafkaConsumer) -> None:
    with suppress(KafkaError, OSError, TimeoutError):  # it is gone either way
        await stopped(consumer.stop, STOP_SECONDS)
