"""Work that one process does at a time, of all that could: polls of vendors.

The partitions of the topic ``sources`` are shared out among the ingress processes of a
realm, as a group; who has a partition does the work that falls to it. When a process
goes, another one takes its work over once the group noticed. Two may overlap for a
moment: that costs a repeated request and nothing else, since a cursor never stands
behind anything but what was acked.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiokafka.errors import KafkaError

from streams.engines.kafka.client.group_consumer import GroupConsumer
from streams.engines.kafka.records.codec import partition_of
from streams.engines.kafka.records.layout import SOURCES

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from streams.settings.kafka import KafkaSettings

    Work = Callable[[], Coroutine[Any, Any, None]]

IDLE_SECONDS: Final = 0.5
AGAIN_SECONDS: Final = 1.0

log = structlog.get_logger()


def polls_group(settings: KafkaSettings, realm: str) -> str:
    """Group of those who share the polls of a realm."""
    return settings.group(f"ingress.polls.{realm}")


class LeaderLock:
    """The works of a realm, and those of them that fell to this process.

    Attributes:
        running: names of the works that this process does now.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        realm: str,
        works: Mapping[str, Work],
    ) -> None:
        """Set up; `run` works.

        Args:
            settings: of the cluster.
            realm: whose works.
            works: all works of the realm by name, the same in each process.
        """
        self._works = works
        self._count = settings.partitions
        self._member = GroupConsumer(
            settings,
            settings.topic(SOURCES),
            # Without a stable name: who goes gives its work away at once.
            group=polls_group(settings, realm),
        )
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def running(self) -> frozenset[str]:
        """Names of the works that this process does now."""
        return frozenset(self._tasks)

    async def run(self) -> None:
        """Do what falls to this process, until cancelled; a work that breaks ends it.

        Without works there is nothing to share, and no group is joined.
        """
        if not self._works:
            return
        async with self._member, asyncio.TaskGroup() as tasks:
            while True:
                await self._share(tasks)
                # Nothing is to be read here, but a member that asks for nothing is
                # taken for one that hangs.
                await self._member.poll(IDLE_SECONDS)

    async def _share(self, tasks: asyncio.TaskGroup) -> None:
        ours = self._member.assigned
        for name, work in self._works.items():
            falls_to_us = partition_of(name, self._count) in ours
            if falls_to_us and name not in self._tasks:
                log.info("poll_taken", poll=name)
                self._tasks[name] = tasks.create_task(work())
            elif not falls_to_us and name in self._tasks:
                log.info("poll_given", poll=name)
                self._tasks.pop(name).cancel()
        try:
            for number in sorted(self._member.fresh):
                _, end = await self._member.bounds(number)
                self._member.begin(number, end)
        except (KafkaError, OSError) as error:
            log.warning("polls_not_begun", error=type(error).__name__)
            await asyncio.sleep(AGAIN_SECONDS)
