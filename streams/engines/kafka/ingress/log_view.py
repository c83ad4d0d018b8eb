"""What a process makes of a realm's partition of a topic, in the background.

It begins with what the topic holds and follows what comes. A question waits until the
view is as far as the partition was when it was asked, and fails where that takes long:
what was not read yet is never told as nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiokafka.errors import KafkaError

from streams.engines.kafka.client.partition_follower import PartitionFollower
from streams.engines.kafka.records.codec import partition_of
from streams.ports.findings_log import BehindError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.settings.kafka import KafkaSettings

AGAIN_SECONDS: Final = 5.0
WAIT_SECONDS: Final = 5.0
BEHIND: Final = (
    "the topic {} is not read to its end yet: try again; if it stays so, see whether "
    "the brokers answer and this process may read it (`rescind topics acls`)"
)

log = structlog.get_logger()


class LogView:
    """Follows a partition; a subclass takes its records."""

    def __init__(self, settings: KafkaSettings, name: str, realm: str) -> None:
        """Set up; `run` reads.

        Args:
            settings: of the cluster and the layout.
            name: of the topic, as the layout has it.
            realm: whose partition.
        """
        self.realm = realm
        self._settings = settings
        self._name, self._topic = name, settings.topic(name)
        self._number = partition_of(realm, settings.partitions)
        self._connected = asyncio.Event()
        self._follower: PartitionFollower

    def begin(self) -> None:
        """Forget all: the partition is read from its beginning."""
        raise NotImplementedError

    async def take(self, records: Sequence[Any]) -> None:
        """Take the next records, in their order."""
        raise NotImplementedError

    async def run(self) -> None:
        """Follow until cancelled; what the cluster refuses is tried again."""
        while True:
            try:
                async with PartitionFollower(
                    self._settings, self._name, self._number, self.take, self.begin
                ) as follower:
                    self._follower = follower
                    self._connected.set()
                    await follower.run()
            except (KafkaError, OSError) as error:
                log.warning(
                    "list_not_read", topic=self._topic, error=type(error).__name__
                )
            finally:
                self._connected.clear()
            await asyncio.sleep(AGAIN_SECONDS)

    async def catch_up(self) -> None:
        """Wait until all is taken that lies in the partition now.

        Raises:
            BehindError: that takes too long.
        """
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._connected.wait()
                await self._follower.catch_up(WAIT_SECONDS)
        except (BehindError, TimeoutError) as error:
            raise BehindError(BEHIND.format(self._topic)) from error
