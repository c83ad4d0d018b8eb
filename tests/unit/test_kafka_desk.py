"""The desk of `rescind notify`: what it keeps in its file beside the schedule."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from streams.engines.kafka.notify.delivery_file import DeliveryFile
from streams.engines.kafka.notify.notifier import DeliveryWorker
from streams.engines.kafka.notify.records import Record
from streams.engines.kafka.records.codec import partition_of
from streams.engines.kafka.records.outputs import finding_record
from streams.model.times import SECOND
from streams.settings.kafka import KafkaSettings
from streams.stages.notify.deliveries import AttemptOutcome, Delivery, ReceiverRoute
from streams.stages.sentinel.episode import Episode
from tests.unit.test_notify import NOW, a_finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.unit

PARTITIONS = 4
KAFKA = KafkaSettings(partitions=PARTITIONS)
MINE = partition_of("acme", PARTITIONS)
WEBHOOK, CHAT = ReceiverRoute(name="soc"), ReceiverRoute(name="chat")
FORGETFUL = ReceiverRoute(name="am", repeat=300 * SECOND)


@define
class World:
    """A file, and a receiver that answers as it is told."""

    file: DeliveryFile
    status: int = 204
    now: int = NOW
    got: list[Delivery] = field(factory=list)
    letters: list[Any] = field(factory=list)
    acked: list[int] = field(factory=list)

    def desk(self, *routes: ReceiverRoute) -> DeliveryWorker:
        """Give a desk as a fresh process has it."""

        async def post(delivery: Delivery) -> AttemptOutcome:
            self.got.append(delivery)
            return AttemptOutcome(status=self.status)

        async def letter(record: Any) -> None:
            self.letters.append(record)

        return DeliveryWorker(
            KAFKA, self.file, routes or [WEBHOOK], post, letter, lambda: self.now
        )

    async def work(self, desk: DeliveryWorker, *records: Record) -> None:
        """Take records in and make every attempt that is due."""
        for delivery in await desk._step(records):
            await desk._attempt(delivery)

    def record(self, revision: int = 1, *, is_open: bool = True) -> Record:
        """Give a record of the one finding."""
        episode = Episode(
            a_finding(count=revision), 0, NOW, revision=revision, open=is_open
        )
        made = finding_record(episode, PARTITIONS)

        def ack() -> None:
            self.acked.append(revision)

        return Record(MINE, revision, 0, made.value, made.headers, ack)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Give a world with an empty file."""
    file = DeliveryFile(tmp_path / "deliveries.db")
    yield World(file)
    file.close()


def test_what_was_given_up_outlives_the_process_and_is_replayed(world: World) -> None:
    """It is acked with its letter; the message itself lies in the file."""

    async def play() -> None:
        world.status = 410
        await world.work(world.desk(), world.record())
        assert (len(world.letters), world.acked) == (1, [1])

        desk = world.desk()
        (buried,) = await desk.buried()
        assert (buried.delivery.id, buried.at) == (f"{1:032x}.1", NOW)
        assert await desk.replay("other") == 0
        world.status = 503
        assert await desk.replay("soc") == 1
        await world.work(desk)
        assert len(await desk.buried()) == 1

        world.status = 204
        desk = world.desk()
        assert await desk.replay(None) == 1
        await world.work(desk)
        assert await desk.buried() == []
        assert world.got[-1].id == buried.delivery.id
        assert desk.state.deliveries == {}

    asyncio.run(play())


def test_a_receiver_that_is_taken_out_stops_no_commit(world: World) -> None:
    """What waits for it is given up, and delivered if it was taken out by mistake."""

    async def play() -> None:
        world.status = 503
        await world.work(world.desk(WEBHOOK, CHAT), world.record())
        assert (len(world.got), world.acked) == (2, [])

        world.status, world.now = 204, NOW + 3600 * SECOND
        desk = world.desk(WEBHOOK)
        await world.work(desk, world.record())
        assert (world.acked, desk.owed, len(world.letters)) == ([1], 0, 1)
        (buried,) = await desk.buried()
        assert (buried.delivery.route, buried.at) == ("chat", world.now)
        assert buried.reason.startswith("route_removed")

        desk = world.desk(WEBHOOK, CHAT)
        assert await desk.replay("chat") == 1
        await world.work(desk)
        assert [d.route for d in world.got[2:]] == ["soc", "chat"]
        assert await desk.buried() == []

    asyncio.run(play())


def test_a_restart_goes_on_repeating_what_is_open_and_committed(world: World) -> None:
    """Its records never come again; what is open lies in the file."""

    async def play() -> None:
        await world.work(world.desk(FORGETFUL), world.record())
        assert world.acked == [1]

        desk = world.desk(FORGETFUL)
        desk.own(frozenset({MINE}))
        world.now += 301 * SECOND
        await world.work(desk)
        assert len(world.got) == 2

        await world.work(desk, world.record(2, is_open=False))
        world.now += 3600 * SECOND
        await world.work(desk)
        assert len(world.got) == 3
        assert world.file.open_ones() == {}

    asyncio.run(play())


def test_nobody_repeats_what_is_in_the_partitions_of_others(world: World) -> None:
    """Who has the partition sees it end; this process would not."""

    async def play() -> None:
        await world.work(world.desk(FORGETFUL), world.record())
        desk = world.desk(FORGETFUL)
        desk.own(frozenset(range(PARTITIONS)) - {MINE})
        world.now += 301 * SECOND
        await world.work(desk)
        assert len(world.got) == 1

        desk.own(frozenset(range(PARTITIONS)))
        await world.work(desk)
        assert len(world.got) == 2
        desk.restart()
        desk.own(frozenset())
        world.now += 301 * SECOND
        await world.work(desk)
        assert len(world.got) == 2

    asyncio.run(play())
