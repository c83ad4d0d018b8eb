"""What a process learns of Kafka over a connection of its own, for health and queries.

A consumer that hangs does not know that it does: the end that it heard of last stands
still with it. So the ends are asked for apart, and so is who holds which partition.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from enforcement.kafka.connecting import stopped, whole
from streams.engines.kafka.client.group_holders import GroupHolders
from streams.engines.kafka.client.log_reader import reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from streams.engines.kafka.client.group_holders import PartitionHolder
    from streams.engines.kafka.client.log_reader import PartitionReader
    from streams.settings.kafka import KafkaSettings

    Wanted = Callable[[], Iterable[tuple[str, int]]]

PERIOD: Final = 0.5
ANSWER_SECONDS: Final = 3.0
AWAY_SECONDS: Final = 5.0

log = structlog.get_logger()


class ClusterMonitor:
    """Asks again and again; what it says is at most a few seconds old.

    Attributes:
        ends: topic to partition to where it ends.
    """

    def __init__(
        self, settings: KafkaSettings, wanted: Wanted, groups: Mapping[str, str]
    ) -> None:
        """Set up; `run` asks.

        Args:
            settings: of the cluster.
            wanted: gives the partitions whose ends are asked for next.
            groups: the groups that are looked at, and the topic that each reads.
        """
        self.ends: dict[str, dict[int, int]] = {}
        self._settings = settings
        self._wanted = wanted
        self._groups = GroupHolders(groups)
        self._answered_at: float | None = None

    @property
    def holders(self) -> dict[str, dict[int, PartitionHolder]]:
        """Group to partition to who has it; see `GroupHolders`."""
        return self._groups.of

    def reached(self, now: float) -> bool:
        """Whether a broker answered lately."""
        return self._answered_at is not None and now - self._answered_at < AWAY_SECONDS

    def taken_by_others(self, group: str, name: str, count: int) -> bool:
        """Whether a client rightly has nothing: others have every partition.

        By its name and not by its id in the group: whom the group knows under another
        id may be this process before a restart.
        """
        holders = self.holders.get(group, {})
        return len(holders) == count and all(
            each.name != name for each in holders.values()
        )

    async def run(self, judge: Callable[[float], None]) -> None:
        """Ask until cancelled, and have the stages judged after each answer or none."""
        loop, limit = asyncio.get_running_loop(), 2 * ANSWER_SECONDS
        while True:
            try:
                async with AsyncExitStack() as stack:
                    reader, admin = await self._clients(stack)
                    await whole(admin.start(), limit)
                    while True:
                        await whole(self._ask(reader, admin), limit)
                        self._answered_at = loop.time()
                        judge(loop.time())
                        await asyncio.sleep(PERIOD)
            except (KafkaError, TimeoutError, OSError) as error:
                log.info("no_outlook", error=type(error).__name__)
                judge(loop.time())
                await asyncio.sleep(PERIOD)

    async def _clients(self, stack: AsyncExitStack) -> tuple[PartitionReader, Any]:
        # Their own time limit: one around them would tear them out of a connection.
        limit = {"request_timeout_ms": int(1000 * ANSWER_SECONDS)}
        reader = await stack.enter_async_context(reading(self._settings, **limit))
        admin = AIOKafkaAdminClient(**{**self._settings.client(), **limit})
        stack.push_async_callback(stopped, admin.close)
        return reader, admin

    async def _ask(self, reader: PartitionReader, admin: Any) -> None:
        self.ends = await reader.ends_of(self._wanted())
        await self._groups.look(admin)
