"""Report to the topic ``receipts``, and tell whether the guard may serve meanwhile.

Nothing orders this topic and ``facts``. So a registration is acknowledged before the
guard asks for the end of facts that it serves from, and anew after its lease lapsed.
Closure lets a guard go that was silent for ten leases; so a guard whose receipts are
not acknowledged for half of that is registered no more, and asks for no end.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from enforcement.feed import GOODBYE, PER_LEASE, SECOND
from enforcement.kafka.connecting import stopped, whole
from enforcement.reconnect import pause
from enforcement.tasks import heed_cancellation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from enforcement.kafka.receipts import LogReceipts
    from enforcement.kafka.standing import LogStanding

REGISTERED_LEASES: Final = 5  # half of what closure waits for a silent guard
LEAST_TIMEOUT: Final = 2.0  # seconds; a record that is older is given up
STOP_SECONDS: Final = 5.0
# Whoever may write no topic at all gets no id as a producer.
_REFUSED: Final = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError)


class Reporter:
    """The one writer of a guard's receipts.

    Attributes:
        partition: of facts, once it is known; receipts go to the same number.
        acked: how many receipts were acknowledged.
        last_error: why the last connection ended, for people.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        topic: str,
        receipts: LogReceipts,
        standing: LogStanding,
        *,
        clock: Callable[[], int],
        jitter: Callable[[], float],
    ) -> None:
        """Set up; `run` reports.

        Args:
            client: arguments of the aiokafka clients: where and as whom they connect.
            topic: ``receipts``, its full name.
            receipts: makes the records.
            standing: what is reported.
            clock: nanoseconds of CLOCK_BOOTTIME.
            jitter: gives a random number in [0, 1).
        """
        self._lease = standing.lease.length
        self._timeout = max(LEAST_TIMEOUT, 2 * self._lease / SECOND)
        self._client = {
            **client,
            "request_timeout_ms": round(1000 * self._timeout),
            "acks": "all",
            "enable_idempotence": True,
            "linger_ms": 0,
        }
        self._topic = topic
        self._receipts = receipts
        self._standing = standing
        self._clock = clock
        self._jitter = jitter
        self._producer: Any = None
        self._doubts: int | None = None
        self._until = 0
        self.partition: int | None = None
        self.acked = 0
        self.last_error: str | None = None

    def covers(self, at: int) -> bool:
        """Whether the guard is registered at a time of now or of late (ns)."""
        return self._doubts == self._standing.doubts and at < self._until

    async def run(
        self,
        progress: Callable[[], Awaitable[None]],
        complain: Callable[[str], None],
    ) -> None:
        """Report until cancelled.

        Args:
            progress: waits until something was applied, or doubted.
            complain: gets why it does not work.
        """
        failures = 0
        while True:
            try:
                await self._connect()
                while True:
                    await self._say(progress)
                    failures = 0
            except Exception as error:  # noqa: BLE001
                # The boundary of a connection: another one follows, and a guard that
                # is registered no more denies.
                self.last_error = self._explained(error)
                complain(self.last_error)
                await self._disconnect()
            heed_cancellation()
            await asyncio.sleep(pause(failures, self._jitter))
            failures = min(failures + 1, 16)

    async def goodbye(self) -> None:
        """Take leave, once the standing allows nothing more; then disconnect."""
        if self._producer is not None and self._doubts is not None:
            with suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(GOODBYE):
                    await self._send("goodbye")
        await self._disconnect()

    async def _say(self, progress: Callable[[], Awaitable[None]]) -> None:
        """Say what is to be said next, and wait until there is more."""
        if self.partition is None:
            await progress()
            return
        sent, doubts = self._clock(), self._standing.doubts
        registered, applied = self.covers(sent), self._standing.applied()
        await self._send("applied" if registered and applied else "registered")
        self._doubts, self._until = doubts, sent + REGISTERED_LEASES * self._lease
        lease = self._lease / SECOND
        with suppress(TimeoutError):
            async with asyncio.timeout(lease / 2):
                if registered:
                    await asyncio.sleep(lease / PER_LEASE)
                while self._standing.applied() == applied and self.covers(
                    self._clock()
                ):
                    await progress()

    async def _send(self, status: str) -> None:
        partition = self.partition or 0
        value = self._receipts.record(status, partition, self._standing.applied())
        await self._producer.send_and_wait(
            self._topic, value, key=self._receipts.key, partition=partition
        )
        self.acked += 1

    async def _connect(self) -> None:
        self._producer = AIOKafkaProducer(**self._client)
        async with asyncio.timeout(self._timeout):
            await whole(self._producer.start())

    async def _disconnect(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        with suppress(KafkaError, OSError, TimeoutError):
            await stopped(producer.stop, STOP_SECONDS)

    def _explained(self, error: Exception) -> str:
        text = f"{type(error).__name__}: {error}"
        if isinstance(error, _REFUSED):
            text = (
                f"cannot write to {self._topic}: give the guard the rights that "
                "`rescind topics acls` lists, or make it with receipts=False"
            )
        elif isinstance(error, UnknownTopicOrPartitionError):
            text = f"there is no topic {self._topic}: `rescind topics apply` makes it"
        return f"receipts: {text}"
