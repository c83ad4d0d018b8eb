"""Warm tables of the partitions that other workers have, so that a take-over is quick.

A standby applies and saves, and does nothing else: it publishes nothing, commits
nothing, answers nothing, and claims of nothing that it was listed. Whoever takes a
partition over from it begins at the group's commit: what lies above may not have been
published by the owner that went, whatever the table knows of it already.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from streams.engines.kafka.client.group_consumer import (
    GroupConsumer,
    waiting_for_the_broker,
)
from streams.engines.kafka.facts.recovery import take
from streams.engines.kafka.records.layout import FACTS
from streams.engines.kafka.records.schema_registry import learn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.engines.kafka.facts.partition import Partition
    from streams.engines.kafka.facts.recovery import Loader
    from streams.settings.kafka import KafkaSettings

IDLE_SECONDS: Final = 0.2
LOOK_SECONDS: Final = 5.0
JOIN_SECONDS: Final = 1.0


class Standby:
    """Tails all partitions but those of the owner's group membership.

    Attributes:
        partitions: as they are held, by their numbers.
        lock: held while they change, and while some of them change hands.
        progress: for health; ready once all of them are as new as the log.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        loader: Loader,
        owner: GroupConsumer,
        held: dict[int, Partition],
    ) -> None:
        """Set up; `run` works.

        Args:
            settings: of the cluster.
            loader: of the owner: the files are the same.
            owner: says which partitions are not ours to tail.
            held: the owner's; those that it has lost are taken from there.
        """
        self.partitions: dict[int, Partition] = {}
        self.lock = asyncio.Lock()
        self.progress = loader.tailing
        self._tail = GroupConsumer(
            settings, settings.topic(FACTS), partitions=range(settings.partitions)
        )
        self._all = frozenset(range(settings.partitions))
        self._loader = loader
        self._owner = owner
        self._held = held
        self._looked_at = 0.0

    async def run(self) -> None:
        """Tail until cancelled."""
        while not self._owner.joined.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(JOIN_SECONDS):
                    await self._owner.joined.wait()
            self._tell()
        async with self._tail:
            try:
                while True:
                    await self._turn()
            finally:
                for partition in self.partitions.values():
                    partition.keep()

    def given(self, numbers: Iterable[int]) -> None:
        """Take note that the owner has some of our partitions now; lock it."""
        for number in numbers:
            if self.partitions.pop(number, None) is not None:
                self._tail.hold(number)

    async def _turn(self) -> None:
        async with self.lock:
            self._take_back()
            async with waiting_for_the_broker("standby_not_loaded"):
                await self._load()
                await self._forget_handled()
        fetched = await self._tail.poll(IDLE_SECONDS)
        await learn(fetched)
        async with self.lock:
            await self._work(fetched)
        self._tell()

    def _take_back(self) -> None:
        """Have what the owner has lost; it was at most acked, never half done."""
        for number in self._held.keys() - self._owner.assigned:
            self.partitions[number] = self._held.pop(number)
        for number, partition in self.partitions.items():
            if not partition.standby and number not in self._owner.assigned:
                partition.stand_by()

    async def _load(self) -> None:
        """Load one partition: the owner may want the next one meanwhile."""
        for number in sorted(self._tail.fresh - self._owner.assigned):
            self.partitions |= await self._loader.load(
                self._tail, self.partitions, numbers=[number], standby=True
            )
            return

    async def _forget_handled(self) -> None:
        """Drop what the owners have put into the dead letters."""
        now = asyncio.get_running_loop().time()
        if now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        for number, partition in self.partitions.items():
            if partition.poison:
                committed = await self._owner.committed(number)
                end = 0 if committed is None else committed.offset
                partition.poison = [p for p in partition.poison if p.offset >= end]

    async def _work(self, fetched: dict[int, list[Any]]) -> None:
        now = asyncio.get_running_loop().time()
        for number, records in fetched.items():
            partition = self.partitions.get(number)
            # It may have gone, and even come back, while its records were fetched.
            if partition is None or records[0].offset < partition.position:
                continue
            await take(partition, records, self.progress)
            if partition.doubtful(now):
                self._tail.hold(number)
        for partition in self.partitions.values():
            # A file that is past a bad record says that somebody has told of it.
            if partition.due and not partition.poison:
                partition.save()
            if partition.worth_keeping:
                await asyncio.to_thread(partition.keep)

    def _tell(self) -> None:
        held = self.partitions.values()
        positions = {p.number: p.position for p in held}
        wanted = self._all - self._owner.assigned
        self.progress.turn(
            now=asyncio.get_running_loop().time(),
            assigned=frozenset(positions),
            ready=wanted <= positions.keys() and all(p.ready for p in held),
            waiting=0,
            positions=positions,
            committed=positions,
        )
