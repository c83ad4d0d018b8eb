"""Where a partition ends now, asked for over a connection of its own.

On the connection that fetches, the answer would wait behind the long poll.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from enforcement.kafka.connecting import stopped, whole
from streams.ports.findings_log import BehindError

if TYPE_CHECKING:
    from streams.settings.kafka import KafkaSettings


class PartitionEnd:
    """Asks for the end of one partition; use it as a context manager."""

    def __init__(self, settings: KafkaSettings, topic: str, number: int) -> None:
        """Set up; ``topic`` is its full name."""
        self._at = TopicPartition(topic, number)
        self._consumer: Any = AIOKafkaConsumer(**settings.client())

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            KafkaError: the cluster cannot be reached or refuses.
        """
        try:
            await whole(self._consumer.start())
        except BaseException:
            # Nobody will leave what was not entered.
            await stopped(self._consumer.stop)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await stopped(self._consumer.stop)

    async def ask(self) -> int:
        """Offset behind the last record.

        Raises:
            BehindError: the broker does not answer.
        """
        try:
            ends = await whole(self._consumer.end_offsets([self._at]))
        except (KafkaError, OSError) as error:
            raise BehindError(type(error).__name__) from error
        return int(ends[self._at])
