"""A lane to each partition: what comes while a batch is on its way goes together.

The client has one batch of a partition on its way and takes one more; whoever comes
then waits for a round trip of each of those before him. With a batch for each caller a
busy broker answers fewer callers than come, they give up and repeat, and what they gave
up is written all the same: it never recovers. So callers wait here, in their order, and
all that fit into one batch share its round trip; who gave up is left out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from attrs import define, field, frozen

from streams.engines.kafka.client.batches import BATCH_BYTES, size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streams.engines.kafka.records.codec import Outgoing

MILLISECOND: Final = 1_000_000
LOG_APPEND_TIME: Final = 1  # of Kafka's two types of timestamps
WAITING_BYTES: Final = 4 * BATCH_BYTES  # then whoever sends waits


class NotAckedError(Exception):
    """Not all records were acked in time; some may be there, or come yet."""


class Acked(NamedTuple):
    """Records that are durable: offsets from ``start`` to ``end - 1``.

    Attributes:
        appended: when the leader took them by its clock (ms since 1970), None where
            the topic keeps the writer's time.
    """

    partition: int
    start: int
    end: int
    appended: int | None = None


@frozen(eq=False)
class _Load:
    """What one caller hands over: its records stay together, in their order."""

    records: Sequence[Outgoing]
    size: int
    acked: asyncio.Future[Acked]


@define(eq=False)
class PartitionBatcher:
    """The way to one partition.

    Attributes:
        producer: the client's.
        topic: its full name.
        tasks: run while there is something to send.
        clock: gives the time of records (ns); without one it is the machine's.
    """

    producer: Any
    topic: str
    partition: int
    tasks: asyncio.TaskGroup
    clock: Callable[[], int] | None = None
    _waiting: deque[_Load] = field(factory=deque)
    _bytes: int = 0
    _room: asyncio.Event = field(factory=asyncio.Event)
    _going: asyncio.Task[None] | None = None
    _since: dict[asyncio.Future[Acked], float] = field(factory=dict)

    @property
    def since(self) -> float | None:
        """Hand-over time of the oldest record without an ack; None: nothing waits."""
        return next(iter(self._since.values()), None)

    async def put(self, records: Sequence[Outgoing]) -> asyncio.Future[Acked]:
        """Hand records over, once there is room; give what waits for their ack.

        Whoever cancels that before they are on their way takes them back. It raises
        `KafkaError` or `NotAckedError`.

        Args:
            records: less than a batch may have.
        """
        while self._bytes > WAITING_BYTES:
            self._room.clear()
            await self._room.wait()
        loop = asyncio.get_running_loop()
        acked = loop.create_future()
        self._since[acked] = loop.time()
        acked.add_done_callback(self._heard)
        load = _Load(records, sum(map(size_of, records)), acked)
        self._waiting.append(load)
        self._bytes += load.size
        if self._going is None or self._going.done():
            self._going = self.tasks.create_task(self._go())
        return acked

    def close(self) -> None:
        """Let nothing more go; what waits is not acked."""
        if self._going is not None:
            self._going.cancel()
        _fail(self._waiting, NotAckedError("the producer was closed"))
        self._waiting.clear()

    async def _go(self) -> None:
        while loads := self._next():
            try:
                # Returns once the batch before is on its way.
                sent = await self.producer.send_batch(
                    self._batch(loads), self.topic, partition=self.partition
                )
            except UnknownTopicOrPartitionError:
                # So the client says that no broker told of it in time.
                self._again(loads)
            except (KafkaError, OSError, NotAckedError) as error:
                _fail(loads, error)
            except BaseException:
                _fail(loads, NotAckedError("the producer was closed"))
                raise
            else:
                sent.add_done_callback(lambda done, of=loads: self._tell(of, done))

    def _next(self) -> list[_Load]:
        """Take what goes into the next batch."""
        loads: list[_Load] = []
        filled = 0
        while self._waiting:
            load = self._waiting[0]
            if loads and filled + load.size > BATCH_BYTES:
                break
            self._waiting.popleft()
            self._bytes -= load.size
            if not load.acked.done():  # else nobody waits for it any more
                loads.append(load)
                filled += load.size
        self._room.set()
        return loads

    def _again(self, loads: list[_Load]) -> None:
        """Take loads first once more: their callers say for how long they wait."""
        self._waiting.extendleft(reversed(loads))
        self._bytes += sum(load.size for load in loads)

    def _batch(self, loads: list[_Load]) -> Any:
        batch = self.producer.create_batch()
        # A broker refuses what claims to be of an hour ahead.
        at = None if self.clock is None else self.clock() // MILLISECOND
        for record in (each for load in loads for each in load.records):
            taken = batch.append(
                timestamp=at,
                key=record.key,
                value=record.value,
                headers=list(record.headers),
            )
            if taken is None:
                raise NotAckedError(f"{self.topic}: a batch is too large")
        batch.close()
        return batch

    def _tell(self, loads: list[_Load], done: asyncio.Future[Any]) -> None:
        if done.cancelled():
            _fail(loads, NotAckedError("the producer was closed"))
        elif (error := done.exception()) is not None:
            _fail(loads, error)
        else:
            result = done.result()
            start: int = result.offset
            by_leader = result.timestamp_type == LOG_APPEND_TIME
            appended = result.timestamp if by_leader else None
            for load in loads:
                end = start + len(load.records)
                if not load.acked.done():
                    load.acked.set_result(Acked(self.partition, start, end, appended))
                start = end

    def _heard(self, acked: asyncio.Future[Acked]) -> None:
        """Have an error that nobody asks for pass without a word."""
        del self._since[acked]
        if not acked.cancelled():
            acked.exception()


def _fail(loads: deque[_Load] | list[_Load], error: BaseException) -> None:
    for load in loads:
        if not load.acked.done():
            load.acked.set_exception(error)
