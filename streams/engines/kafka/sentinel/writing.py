"""Write what the sentinel found: publish, await all acks, save, commit.

A produce that fails ends the process.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from attrs import define

from enforcement.kafka.connecting import whole
from streams.engines.kafka.client.group_consumer import GroupConsumer
from streams.engines.kafka.client.publisher import NotAckedError, die
from streams.engines.kafka.records.accesses import agent_record
from streams.engines.kafka.records.layout import ACCESS
from streams.engines.kafka.records.outputs import finding_record
from streams.engines.kafka.records.poison import letters
from streams.engines.kafka.sentinel.owned_partition import OwnedPartition
from streams.observability.failpoints import failpoint
from streams.services.traced_stages import trace_finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from streams.engines.kafka.client.publisher import Publisher
    from streams.engines.kafka.records.codec import Outgoing
    from streams.settings.kafka import KafkaSettings
    from streams.settings.worker import WorkerSettings


log = structlog.get_logger()


@define(eq=False, slots=False)
class SentinelWriter:
    """Writes the outputs of the partitions of one worker.

    Attributes:
        member: of the group that reads ``access``.
    """

    _settings: KafkaSettings
    _worker: WorkerSettings
    _publisher: Publisher
    member: GroupConsumer
    _clock: Callable[[], int]

    async def write(self, begun: Iterable[OwnedPartition]) -> None:
        """Publish what changed, and save it once it is acked."""
        ours = [each for each in begun if not each.file.room.missing]
        changed = [each for each in ours if each.changed]
        if changed and self.member.doubtful and not await self._confirmed():
            return
        if changed:
            try:
                waiting = await self._publisher.send(
                    self._settings.topic("findings"), self._findings(changed)
                )
                waiting += await self._publisher.send(
                    self._settings.topic("dlq"), self._poison(changed)
                )
                if agents := list(self._agents(changed)):
                    topic = self._settings.topic(ACCESS)
                    waiting += await self._publisher.send(topic, agents)
                failpoint("sentinel.published")
                await self._publisher.acks(waiting)
            except NotAckedError as error:
                die("sentinel: not acked", error)
            failpoint("sentinel.acked")
        for each in ours:
            if each.changed or each.position != each.file.position:
                # The thread goes on when we are cancelled; the file is closed then.
                await whole(asyncio.to_thread(each.save))
                failpoint("sentinel.saved")

    async def _confirmed(self) -> bool:
        """Have the group confirm that our partitions are ours; else take them up anew.

        A process that was frozen goes on in the middle, while another one may have told
        more. What it judged since is thrown away, and nothing of it was told.
        """
        numbers = self.member.begun
        if await self.member.confirm():
            return True
        log.warning("not_ours_any_more", partitions=sorted(numbers))
        for number in numbers:
            self.member.hold(number)
        return False

    def _findings(self, changed: list[OwnedPartition]) -> Iterator[list[Outgoing]]:
        for each in changed:
            for episode in each.unsaved.findings():
                count, trace = self._settings.partitions, trace_finding(episode)
                judged = each.judged_of(episode.finding)
                yield [finding_record(episode, count, trace, judged)]

    def _agents(self, changed: list[OwnedPartition]) -> Iterator[list[Outgoing]]:
        """Return uses by agents here, for the owner of their realm's findings."""
        count, now = self._settings.access_partitions, self._clock()
        for each in changed:
            for number, (realm, use) in enumerate(each.unsaved.acted()):
                identity = f"{self._worker.name}/{each.number}/{each.position}/{number}"
                yield [agent_record(use, realm, count, identity, now)]

    def _poison(self, changed: list[OwnedPartition]) -> Iterator[list[Outgoing]]:
        topic, count = self._settings.topic(ACCESS), self._settings.partitions
        for each in changed:
            yield from letters(topic, each.number, count, each.poison)

    async def commit(
        self, begun: Iterable[OwnedPartition], *, at_once: bool = False
    ) -> None:
        """Commit how far each is settled, where it is time for that."""
        if not at_once and not self.member.commit_due(self._worker.commit_seconds):
            return
        positions = {
            each.number: (each.settled, self._worker.name)
            for each in begun
            # What has no room on the disk is read again by the next process.
            if not each.file.room.missing
        }
        if await self.member.commit(positions):
            failpoint("sentinel.committed")
