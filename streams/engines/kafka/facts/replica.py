"""All of ``facts`` as a stage holds it that needs every realm; it writes nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from enforcement.turns import in_turns
from streams.engines.kafka.client.group_consumer import (
    GroupConsumer,
    waiting_for_the_broker,
)
from streams.engines.kafka.facts.recovery import take
from streams.engines.kafka.records.codec import partition_of
from streams.engines.kafka.records.layout import FACTS
from streams.engines.kafka.records.schema_registry import learn
from streams.observability import tracing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from streams.engines.kafka.facts.partition import Partition
    from streams.engines.kafka.facts.recovery import Loader
    from streams.pipeline.facts_partition import Listed
    from streams.pipeline.realm import Realm
    from streams.settings.kafka import KafkaSettings

    Told = Callable[[list[Listed]], Awaitable[None]]

IDLE_SECONDS: Final = 0.2


class RealmTables:
    """The tables of all realms.

    Attributes:
        partitions: by their numbers.
        loaded: every partition was brought back once, and is as new as it was then.
        turned: notified after every turn.
        progress: for health; it commits nothing, so what is applied counts.
    """

    def __init__(self, settings: KafkaSettings, loader: Loader) -> None:
        """Set up; `run` works."""
        self.partitions: dict[int, Partition] = {}
        self.loaded = asyncio.Event()
        self.turned = asyncio.Condition()
        self.member = GroupConsumer(
            settings, settings.topic(FACTS), partitions=range(settings.partitions)
        )
        self.progress = loader.progress
        self._loader = loader
        self._count = settings.partitions

    def realm(self, name: str) -> Realm:
        """State of a realm as it is now."""
        return self.partitions[partition_of(name, self._count)].realm(name)

    def position(self, realm: str) -> int:
        """Offset below which every fact of a realm is applied."""
        return self.partitions[partition_of(realm, self._count)].position

    async def wait_for(self, realm: str, offset: int) -> None:
        """Wait until all facts of a realm below an offset are applied."""
        await self.reach(partition_of(realm, self._count), offset)

    async def reach(self, number: int, offset: int) -> None:
        """Wait until all facts of a partition below an offset are applied."""
        async with self.turned:
            await self.turned.wait_for(
                lambda: self.partitions[number].position >= offset
            )

    async def run(self, lock: asyncio.Lock, told: Told) -> None:
        """Follow the log until cancelled.

        Args:
            lock: held while tables change, and while ``told`` works.
            told: gets what facts condemned, slice by slice.
        """
        async with self.member:
            try:
                while True:
                    await self._turn(lock, told)
            finally:
                for partition in self.partitions.values():
                    partition.keep()

    async def _turn(self, lock: asyncio.Lock, told: Told) -> None:
        if self.member.fresh:
            await self._load()
        busy = any(p.waiting for p in self.partitions.values())
        alone = [p.number for p in self.partitions.values() if p.exclusive]
        fetched = await self.member.poll(0 if busy else IDLE_SECONDS, alone)
        await learn(fetched)
        async with lock:
            await self._work(fetched, told)
        self._check()
        self._tell()
        async with self.turned:
            self.turned.notify_all()

    async def _load(self) -> None:
        async with waiting_for_the_broker():
            self.partitions |= await self._loader.load(self.member, self.partitions)

    async def _work(self, fetched: dict[int, list[Any]], told: Told) -> None:
        for number, records in fetched.items():
            partition = self.partitions[number]
            await take(partition, records, self.progress)
            tracing.note_read(records)
            # Others put it into the dead letters; for us it is handled.
            partition.poison.clear()
            if partition.doubtful(asyncio.get_running_loop().time()):
                self.member.hold(number)
        for partition in self.partitions.values():
            listed = await in_turns(partition.slices())
            if listed:
                await told(listed)
                partition.finish(listed)
            if partition.due:
                partition.save()
            if partition.worth_keeping:
                await asyncio.to_thread(partition.keep)

    def _check(self) -> None:
        complete = len(self.partitions) == self._count and not self.member.fresh
        if complete and all(p.ready for p in self.partitions.values()):
            self.loaded.set()

    def _tell(self) -> None:
        """Say how far it is."""
        positions = {p.number: p.position for p in self.partitions.values()}
        self.progress.turn(
            now=asyncio.get_running_loop().time(),
            assigned=frozenset(range(self._count)),
            ready=self.loaded.is_set() and not self.member.fresh,
            waiting=sum(p.waiting for p in self.partitions.values()),
            positions=positions,
            committed=positions,
        )
