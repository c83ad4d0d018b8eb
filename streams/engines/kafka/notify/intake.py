"""Reads ``findings`` for the delivery worker, and commits what it has settled.

The commit waits for receivers, for days if need be, so it says nothing of health. After
each rebalance everything begins anew from what the group committed: what the delivery
worker knew of it lies in its file.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog
from aiokafka.errors import InconsistentGroupProtocolError

from streams.engines.kafka.client.group_consumer import (
    GroupConsumer,
    waiting_for_the_broker,
)
from streams.engines.kafka.notify.records import OpenRecords
from streams.engines.kafka.records.schema_registry import learn
from streams.observability.progress import Progress

if TYPE_CHECKING:
    from streams.engines.kafka.notify.inbox import FindingInbox
    from streams.settings.kafka import KafkaSettings
    from streams.settings.notify import NotifySettings

STAGE: Final = "notify"
FINDINGS: Final = "findings"
IDLE_SECONDS: Final = 0.2
COMMIT_SECONDS: Final = 0.5
AGAIN_SECONDS: Final = 1.0
REBALANCE_SECONDS: Final = 3.0  # what it has to do before is one commit

log = structlog.get_logger()


class FindingsIntake:
    """Works the partitions of ``findings`` that the group gives this process.

    Attributes:
        progress: for health.
    """

    def __init__(
        self, settings: KafkaSettings, notify: NotifySettings, inbox: FindingInbox
    ) -> None:
        """Set up; `run` works.

        Args:
            settings: of the cluster and the layout.
            notify: of this process.
            inbox: takes the records, and tells which are settled.
        """
        self.progress = Progress()
        self.member = GroupConsumer(
            settings,
            settings.topic(FINDINGS),
            group=settings.group(STAGE),
            instance=notify.name,
            session_seconds=notify.session_seconds,
            rebalance_seconds=REBALANCE_SECONDS,
        )
        self.member.let_go = self._let_go
        self._inbox = inbox
        self._open: dict[int, OpenRecords] = {}
        self._assignments = 0

    async def run(self) -> None:
        """Work until cancelled."""
        async with self.member:
            try:
                while True:
                    await self._turn()
            finally:
                await self._commit()

    async def _turn(self) -> None:
        if self.member.assignments != self._assignments:
            self._restart()
        if self.member.fresh:
            await self._load()
        try:
            fetched = await self.member.poll(IDLE_SECONDS)
        except InconsistentGroupProtocolError:
            # It stands by for them, as a spare, so that a rolling upgrade goes on. The
            # client itself tries again.
            log.warning("group_of_an_older_version", group=STAGE)
            await asyncio.sleep(AGAIN_SECONDS)
            fetched = {}
        await learn(fetched)
        for number, records in fetched.items():
            for record in records:
                # Waits while the inbox is full; the group goes on without it.
                await self._inbox.take(self._open[number].take(record))
        if self.member.commit_due(COMMIT_SECONDS):
            async with self.member.lock:
                await self._commit()
        self._tell()

    def _restart(self) -> None:
        """Forget what was read: the partitions are given out anew."""
        self._assignments = self.member.assignments
        self._open.clear()
        self._inbox.restart(self.member.assigned)

    async def _load(self) -> None:
        """Have the fresh partitions begin at what the group committed."""
        async with waiting_for_the_broker():
            for number in sorted(self.member.fresh):
                begin, end = await self.member.bounds(number)
                place = await self.member.committed(number)
                if self.member.assignments != self._assignments:
                    return  # another member may have committed meanwhile
                position = begin if place is None else int(place.offset)
                if not begin <= position <= end:
                    log.warning("findings_from_the_beginning", partition=number)
                    position = begin
                self._open[number] = OpenRecords(position, end)
                self.member.begin(number, position)

    async def _let_go(self) -> None:
        self._inbox.stop()
        await self._commit()

    async def _commit(self) -> None:
        """Commit what is settled; so whoever gets the partitions tells it no more."""
        kept, ours = self.member.kept, self.member.begun & self._open.keys()
        settled = {number: self._open[number].settled for number in ours}
        moved = {n: (offset, "") for n, offset in settled.items() if offset != kept[n]}
        if moved and await self.member.commit(moved):
            self._inbox.forget({n: offset for n, (offset, _) in moved.items()})

    def _tell(self) -> None:
        ours = self.member.begun & self._open.keys()
        positions = {number: self._open[number].position for number in ours}
        read = bool(ours) and not self.member.fresh
        before = self.progress.ready and bool(self.progress.assigned)
        reached = all(self._open[n].position >= self._open[n].target for n in ours)
        now = asyncio.get_running_loop().time()
        self.progress.turn(
            # Where the delivery worker hangs, the process is not well.
            now=min(now, self._inbox.turned_at),
            assigned=self.member.assigned,
            ready=read and (before or (reached and not self._inbox.waiting)),
            waiting=self._inbox.owed,
            positions=positions,
            # What is taken in is saved in the file of the delivery worker.
            committed=positions,
        )
