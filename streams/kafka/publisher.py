"""Write to Kafka: batches built by hand, in order, and every ack awaited."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, Self

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator, Iterable, Sequence
    from types import TracebackType

    from streams.kafka.framing import Outgoing
    from streams.kafka.settings import KafkaSettings

BATCH_BYTES: Final = 256 << 10  # a batch is closed at this size
# More than a batch of ours ever has, less than the broker takes.
MOST_BYTES: Final = 960 << 10
OVERHEAD: Final = 48  # bytes of a record beyond its parts, at most
FAILED: Final = 70  # EX_SOFTWARE: nothing was committed, start again

log = structlog.get_logger()


class NotAckedError(Exception):
    """Not all records were acked in time; some may be there, or come yet."""


class Acked(NamedTuple):
    """A batch that is durable: offsets from ``start`` to ``end - 1``."""

    partition: int
    start: int
    end: int


class Publisher:
    """One idempotent producer; use it as a context manager.

    Attributes:
        written: records handed over since the start, by topic.
    """

    def __init__(self, settings: KafkaSettings, deadline: float) -> None:
        """Set up.

        Args:
            settings: of the cluster.
            deadline: for all acks of one call, in seconds.
        """
        self._deadline = deadline
        self.written: Counter[str] = Counter()
        self._producer = AIOKafkaProducer(
            **settings.client(),
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=MOST_BYTES,
        )

    async def __aenter__(self) -> Self:
        """Connect."""
        try:
            await self._producer.start()
        except BaseException:
            await self._producer.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect; what nobody awaited may be lost, and was promised to nobody."""
        try:
            async with asyncio.timeout(self._deadline):
                await self._producer.stop()
        except (TimeoutError, KafkaError) as broken:
            log.warning("producer_not_stopped", error=type(broken).__name__)

    async def send(
        self, topic: str, groups: Iterable[Sequence[Outgoing]]
    ) -> list[Awaitable[Acked]]:
        """Hand batches over; give what waits for their acks.

        Args:
            topic: its full name.
            groups: records of one partition each; a group is not torn apart, so that
                no reader meets half an event for longer than need be.

        Raises:
            NotAckedError: the producer does not take them.
        """
        waiting: list[Awaitable[Acked]] = []
        try:
            async with asyncio.timeout(self._deadline):
                for partition, records in _batches(groups):
                    waiting.append(await self._send(topic, partition, records))
                    self.written[topic] += len(records)
        except (KafkaError, TimeoutError, OSError) as error:
            raise NotAckedError(f"{topic}: {type(error).__name__}") from error
        return waiting

    async def acks(self, waiting: Iterable[Awaitable[Acked]]) -> list[Acked]:
        """Wait until all of it is durable.

        Raises:
            NotAckedError: not all of it became so in time.
        """
        try:
            async with asyncio.timeout(self._deadline):
                return list(await asyncio.gather(*waiting))
        except (KafkaError, TimeoutError, OSError) as error:
            raise NotAckedError(type(error).__name__) from error

    async def publish(
        self, topic: str, groups: Iterable[Sequence[Outgoing]]
    ) -> list[Acked]:
        """Send, and wait until all of it is durable.

        Raises:
            NotAckedError: not all of it became so in time.
        """
        return await self.acks(await self.send(topic, groups))

    async def end(self, topic: str, partition: int, key: bytes) -> None:
        """End a key of a compacted topic, and wait until that is durable.

        Raises:
            NotAckedError: it did not become so in time.
        """
        try:
            async with asyncio.timeout(self._deadline):
                await self._producer.send_and_wait(
                    topic, None, key=key, partition=partition
                )
        except (KafkaError, TimeoutError, OSError) as error:
            raise NotAckedError(f"{topic}: {type(error).__name__}") from error

    async def _send(
        self, topic: str, partition: int, records: Sequence[Outgoing]
    ) -> Awaitable[Acked]:
        batch = self._producer.create_batch()
        for record in records:
            if (
                batch.append(
                    timestamp=None,
                    key=record.key,
                    value=record.value,
                    headers=list(record.headers),
                )
                is None
            ):
                raise NotAckedError(f"{topic}: a batch is too large")
        batch.close()
        future = await self._producer.send_batch(batch, topic, partition=partition)
        return _Ack(future, partition, len(records))


@frozen
class _Ack:
    """Waits for a batch; one that nobody waits for is left without a word."""

    future: asyncio.Future[Any]
    partition: int
    count: int

    def __await__(self) -> Generator[Any, None, Acked]:
        start: int = (yield from self.future).offset
        return Acked(self.partition, start, start + self.count)


def _batches(
    groups: Iterable[Sequence[Outgoing]],
) -> Iterable[tuple[int, Sequence[Outgoing]]]:
    """Put groups together into batches, each of one partition, in their order."""
    open_batches: dict[int, tuple[list[Outgoing], int]] = {}
    for group in groups:
        if not group:
            continue
        partition = group[0].partition
        size = sum(map(_size, group))
        records, filled = open_batches.pop(partition, ([], 0))
        if records and filled + size > BATCH_BYTES:
            yield partition, records
            records, filled = [], 0
        if size > MOST_BYTES:
            yield from ((partition, piece) for piece in _pieces(group))
            continue
        records.extend(group)
        open_batches[partition] = (records, filled + size)
    for partition, (records, _) in open_batches.items():
        if records:
            yield partition, records


def _pieces(group: Sequence[Outgoing]) -> Iterable[Sequence[Outgoing]]:
    """Tear a group apart that no batch can hold."""
    piece: list[Outgoing] = []
    filled = 0
    for record in group:
        if piece and filled + _size(record) > BATCH_BYTES:
            yield piece
            piece, filled = [], 0
        piece.append(record)
        filled += _size(record)
    yield piece


def _size(record: Outgoing) -> int:
    headers = sum(len(name) + len(value) + 4 for name, value in record.headers)
    return len(record.key) + len(record.value) + headers + OVERHEAD


def die(reason: str, error: BaseException | None = None) -> NoReturn:
    """End this process at once, with nothing committed: a new one does it again.

    No cleanup may run: it could commit or flush what must not be.
    """
    log.error("ending", reason=reason, error=repr(error) if error else None)
    os._exit(FAILED)
