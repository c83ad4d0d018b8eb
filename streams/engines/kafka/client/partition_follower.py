"""Follow one partition outside of any group, and know how far that is.

What is made of it may be shown once it holds all that lay there when it was asked for.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, Self

from streams.engines.kafka.client.group_consumer import GroupConsumer
from streams.engines.kafka.client.log_reader import PartitionReader, reading
from streams.engines.kafka.records.schema_registry import learn
from streams.ports.findings_log import BehindError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from streams.settings.kafka import KafkaSettings

IDLE_SECONDS: Final = 0.5
ANSWER_SECONDS: Final = 10.0


class PartitionFollower:
    """Reads a partition from its beginning; use it as a context manager.

    Attributes:
        position: everything before it was taken, or is compacted.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        name: str,
        number: int,
        take: Callable[[Sequence[Any]], Awaitable[None]],
        begins: Callable[[], None] = lambda: None,
    ) -> None:
        """Set up.

        Args:
            settings: of the cluster.
            name: of the topic, as the layout has it.
            number: of the partition.
            take: gets the records, in their order.
            begins: called before the first record of the partition, and again where
                it is read anew, since the topic was.
        """
        self.position = 0
        self._number = number
        self._take = take
        self._begins = begins
        self._settings = settings
        self._name = name
        self._member = GroupConsumer(
            settings, settings.topic(name), partitions=[number]
        )
        self._asking: PartitionReader
        self._entered = AsyncExitStack()
        self._moved = asyncio.Condition()

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            KafkaError: the cluster cannot be reached or refuses.
        """
        async with AsyncExitStack() as entering:
            await entering.enter_async_context(self._member)
            self._asking = await entering.enter_async_context(reading(self._settings))
            self._entered = entering.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._entered.aclose()

    async def read_all(self) -> None:
        """Read what is there now.

        Raises:
            KafkaError: the cluster cannot be reached or refuses.
        """
        end = await self._begin()
        while self.position < end:
            await self.step()

    async def run(self) -> None:
        """Follow until cancelled.

        Raises:
            KafkaError: the cluster refuses.
        """
        while True:
            await self.step()
            if self._number in self._member.fresh:  # its position is out of range
                await self._begin()

    async def step(self) -> None:
        """Take the next records."""
        number = self._number
        fetched = await self._member.poll(IDLE_SECONDS)
        await learn(fetched)
        await self._take(fetched.get(number, ()))
        # Of compacted records and of the broker's own there is nothing to take.
        fresh = number in self._member.fresh
        position = 0 if fresh else await self._member.position(number)
        if position != self.position:
            async with self._moved:
                self.position = position
                self._moved.notify_all()

    async def catch_up(self, seconds: float = ANSWER_SECONDS) -> None:
        """Wait until all is taken that is there now.

        Raises:
            BehindError: that takes longer, or the broker does not answer.
        """
        try:
            async with asyncio.timeout(seconds):
                end = await self._asking.end(self._name, self._number)
                async with self._moved:
                    await self._moved.wait_for(lambda: self.position >= end)
        except TimeoutError as error:
            raise BehindError(type(error).__name__) from error

    async def _begin(self) -> int:
        """Read from the beginning; give where the partition ends now."""
        begin, end = await self._member.bounds(self._number)
        self._begins()
        self._member.begin(self._number, begin)
        return end
