"""Write to Kafka: in order, no group torn apart, and every ack awaited."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import TYPE_CHECKING, Final, NoReturn, Self

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from enforcement.kafka.connecting import stopped, whole
from schemas.entries import HEARTBEAT
from streams.engines.kafka.client.batcher import Acked, NotAckedError, PartitionBatcher
from streams.engines.kafka.client.batches import MOST_BYTES, batches
from streams.engines.kafka.client.internals import limit_requests

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from types import TracebackType

    from streams.engines.kafka.records.codec import Outgoing
    from streams.settings.kafka import KafkaSettings

__all__ = ["Acked", "NotAckedError", "Publisher", "die"]

STALLED_SECONDS: Final = 1.0
REQUEST_MS: Final = 2000
HEARTBEATS: Final = f"{HEARTBEAT}/".encode()  # keys of these begin so
FAILED: Final = 70  # EX_SOFTWARE: nothing was committed, start again

log = structlog.get_logger()


class Publisher:
    """One idempotent producer; use it as a context manager.

    Attributes:
        written: records handed over since the start, by topic.
        handed: those that are no heartbeats, by topic and partition.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        deadline: float,
        clock: Callable[[], int] | None = None,
    ) -> None:
        """Set up.

        Args:
            settings: of the cluster.
            deadline: for all acks of one call, in seconds.
            clock: gives the time of records (ns); without one it is the machine's.
        """
        self._deadline = deadline
        self._clock = clock
        self.written: Counter[str] = Counter()
        self.handed: Counter[tuple[str, int]] = Counter()
        self._tasks = asyncio.TaskGroup()
        self._lanes: dict[tuple[str, int], PartitionBatcher] = {}
        # What is handed over is sent again until its caller gives up, or may have.
        client = settings.client() | {"request_timeout_ms": round(1000 * deadline)}
        self._producer = AIOKafkaProducer(
            **client,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=MOST_BYTES,
        )
        # A request is given up long before: a frozen leader would hold it, while
        # another one takes it already.
        limit_requests(self._producer, min(REQUEST_MS, settings.request_timeout_ms))

    async def __aenter__(self) -> Self:
        try:
            await whole(self._producer.start())
        except BaseException:
            await stopped(self._producer.stop)
            raise
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect; what nobody awaited may be lost, and was promised to nobody."""
        for lane in self._lanes.values():
            lane.close()
        try:
            await stopped(self._producer.stop, self._deadline)
        except (TimeoutError, KafkaError) as broken:
            log.warning("producer_not_stopped", error=type(broken).__name__)
        # What else is raised is no error of these tasks, to be grouped with theirs.
        cancelled = isinstance(error, asyncio.CancelledError)
        given = (kind, error, trace) if cancelled else (None, None, None)
        await self._tasks.__aexit__(*given)

    async def send(
        self, topic: str, groups: Iterable[Sequence[Outgoing]]
    ) -> list[Awaitable[Acked]]:
        """Hand records over; give what waits for their acks.

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
                for partition, records in batches(groups):
                    lane = self._lane(topic, partition)
                    waiting.append(await lane.put(records))
                    self.written[topic] += len(records)
                    if not records[0].key.startswith(HEARTBEATS):
                        self.handed[topic, partition] += len(records)
        except TimeoutError as error:
            text = f"{topic}: no broker takes anything within {self._deadline:g} s"
            raise NotAckedError(text) from error
        except (KafkaError, OSError) as error:
            raise NotAckedError(f"{topic}: {type(error).__name__}") from error
        return waiting

    @property
    def stalled(self) -> bool:
        """Whether something waits for its ack much longer than acks take."""
        limit = asyncio.get_running_loop().time() - STALLED_SECONDS
        waiting = (lane.since for lane in self._lanes.values())
        return any(since is not None and since < limit for since in waiting)

    def _lane(self, topic: str, partition: int) -> PartitionBatcher:
        key = topic, partition
        if key not in self._lanes:
            self._lanes[key] = PartitionBatcher(
                self._producer, topic, partition, self._tasks, self._clock
            )
        return self._lanes[key]

    async def acks(self, waiting: Iterable[Awaitable[Acked]]) -> list[Acked]:
        """Wait until all of it is durable.

        Raises:
            NotAckedError: not all of it became so in time.
        """
        try:
            async with asyncio.timeout(self._deadline):
                return list(await asyncio.gather(*waiting))
        except TimeoutError as error:
            raise NotAckedError(f"no ack within {self._deadline:g} s") from error
        except (KafkaError, OSError) as error:
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


def die(reason: str, error: BaseException | None = None) -> NoReturn:
    """End this process at once, with nothing committed: a new one does it again.

    No cleanup may run: it could commit or flush what must not be.
    """
    log.error("ending", reason=reason, error=repr(error) if error else None)
    os._exit(FAILED)
