"""The table of a realm for ingress on Kafka, where something must be counted in it.

It also judges status lists. Ingress needs no table otherwise. It follows ``facts`` as a
guard does, without receipts: closure does not wait for it.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, Self

import structlog
from aiokafka.errors import KafkaError

from enforcement.kafka import KafkaGuard
from streams.engines.kafka.client.log_reader import PartitionReader, reading
from streams.engines.kafka.records.codec import partition_of
from streams.engines.kafka.records.layout import FACTS
from streams.ports.fact_log import token_of
from streams.ports.findings_log import BehindError

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.identifiers import Vocabulary
    from agents_registry.registry import Registry
    from streams.ports.fact_log import FactLog
    from streams.settings.kafka import KafkaSettings

WAIT_SECONDS: Final = 1.0

log = structlog.get_logger()


async def followed(make: Callable[[], FollowedTable]) -> FollowedTable:
    """Follow a table, however long the cluster does not answer.

    Args:
        make: gives one that is not followed yet.
    """
    while True:
        try:
            return await make().__aenter__()
        except (KafkaError, OSError) as error:
            log.warning("table_not_followed", error=type(error).__name__)
            await asyncio.sleep(WAIT_SECONDS)


class FollowedTable:
    """The table of one realm; use it as a context manager.

    What another ingress wrote less than a lease ago may be missing in it.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        realm: str,
        vocabulary: Vocabulary,
        name: str,
        writer: FactLog,
    ) -> None:
        """Set up.

        Args:
            kafka: the cluster and the layout.
            realm: whose table.
            vocabulary: kind to class.
            name: of this process.
            writer: what this process wrote is in the table that is given.
        """
        self._guard = KafkaGuard(
            kafka.client(),
            name=f"{name}-reach",
            realm=realm,
            prefix=kafka.prefix,
            receipts=False,
            vocabulary=vocabulary,
        )
        self._realm = realm
        self._writer = writer
        self._number = partition_of(realm, kafka.partitions)
        self._kafka = kafka
        self._asking: PartitionReader
        self._entered = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Begin to follow.

        Raises:
            KafkaError: the cluster cannot be reached.
        """
        async with AsyncExitStack() as entering:
            await entering.enter_async_context(self._guard)
            self._asking = await entering.enter_async_context(reading(self._kafka))
            self._entered = entering.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._entered.aclose()

    async def current(self) -> Registry | None:
        """Table while it is known to be new; None: it is not."""
        if not await self._guard.ready(WAIT_SECONDS, required=False):
            return None
        token = self._writer.written(self._realm)
        if not await self._guard.wait_for(token, WAIT_SECONDS):
            return None
        return self.registry

    @property
    def registry(self) -> Registry:
        """Table as it is now, however old."""
        return self._guard.standing.replica.registry

    @property
    def genesis(self) -> str:
        """Id of the log that this process writes to."""
        return self._writer.written(self._realm).partition(":")[0]

    async def catch_up(self) -> str:
        """Wait until the table holds all that lies in the log now, whoever wrote it.

        Returns:
            The consistency token of that.

        Raises:
            BehindError: it does not in time, or the log's end is not proven.
        """
        end = await self._asking.end(FACTS, self._number)
        token = token_of(self.genesis, end, self._number)
        # The lease proves that it was no leader that is none any more who answered.
        if not (
            await self._guard.wait_for(token, WAIT_SECONDS)
            and await self._guard.ready(WAIT_SECONDS, required=False)
        ):
            raise BehindError(f"the table is not at {token}")
        return token
