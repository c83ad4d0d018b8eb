"""Looks at where the partitions of ``facts`` end, over a connection of their own."""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from attrs import define, field

from enforcement.kafka.connecting import stopped, whole

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from streams.settings.kafka import KafkaSettings


@define(eq=False)
class EndLooks:
    """One request to each broker, for all partitions that it leads."""

    settings: KafkaSettings
    topic: str
    _consumer: Any = None
    _stack: AsyncExitStack = field(factory=AsyncExitStack)

    async def ends(self, numbers: Collection[int]) -> Mapping[int, int]:
        """Offsets behind the last records.

        Raises:
            KafkaError: a broker refuses, or cannot be reached.
        """
        if self._consumer is None:
            consumer = AIOKafkaConsumer(**self.settings.client())
            self._stack.push_async_callback(stopped, consumer.stop)
            await whole(consumer.start())
            self._consumer = consumer
        places = [TopicPartition(self.topic, number) for number in numbers]
        found = await self._consumer.end_offsets(places)
        return {place.partition: end for place, end in found.items()}

    async def close(self) -> None:
        """Close the connection."""
        self._consumer = None
        with suppress(Exception):
            await self._stack.aclose()
