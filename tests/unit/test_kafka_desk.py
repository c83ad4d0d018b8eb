"""The desk of `rescind notify`: what it keeps in its file beside the schedule."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from streams.engines.kafka.notify.delivery_file import DeliveryFile
from streams.engines.kafka.notify.records import Record
from streams.engines.kafka.records.codec import partition_of
from streams.engines.kafka.records.outputs import finding_record
from streams.model.findings import FindingKind, Severity
from streams.model.times import SECOND
from streams.stages.notify.deliveries import (
    Announced,
    AttemptOutcome,
    Delivery,
    Group,
    ReceiverRoute,
)
from streams.stages.notify.state import DeliveryState, NotifiedState
from streams.stages.sentinel.episode import Episode
from tests.kafka_desk import Desk
from tests.notify_steps import rows_of
from tests.unit.test_notify import NOW, a_finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.unit

PARTITIONS = 4
MINE = partition_of("acme", PARTITIONS)
WEBHOOK, CHAT = ReceiverRoute(name="soc"), ReceiverRoute(name="chat")
FORGETFUL = ReceiverRoute(name="am", repeat=300 * SECOND)


@define
class World:
    """A file, and a receiver that answers as it is told.

    Attributes:
        written: letters wait for it.
    """

    file: DeliveryFile
    status: int = 204
    now: int = NOW
    got: list[Delivery] = field(factory=list)
    answered: list[int] = field(factory=list)
    letters: list[Any] = field(factory=list)
    acked: list[int] = field(factory=list)
    written: asyncio.Event | None = None

    def desk(self, *routes: ReceiverRoute) -> Desk:
        """Give a desk as a fresh process has it."""

        async def post(delivery: Delivery) -> AttemptOutcome:
            self.got.append(delivery)
            self.answered.append(self.status)
            return AttemptOutcome(status=self.status)

        async def letters(records: Any) -> None:
            if self.written is not None:
                await self.written.wait()
            self.letters.extend(records)

        return Desk.over(
            self.file,
            routes or [WEBHOOK],
            post,
            letters,
            lambda: self.now,
            partitions=PARTITIONS,
        )

    def record(
        self, revision: int = 1, *, is_open: bool = True, **values: Any
    ) -> Record:
        """Give a record of a finding."""
        episode = Episode(
            a_finding(count=revision, **values), 0, NOW, revision=revision, open=is_open
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
        await world.desk().work(world.record())
        assert (len(world.letters), world.acked) == (1, [1])

        desk = world.desk()
        (buried,) = await desk.worker.buried()
        assert (buried.delivery.id, buried.at) == (f"{1:032x}.1", NOW)
        assert await desk.replay("other") == 0
        world.status = 503
        assert await desk.replay("soc") == 1
        await desk.work()
        assert len(await desk.worker.buried()) == 1

        world.status = 204
        desk = world.desk()
        assert await desk.replay(None) == 1
        await desk.work()
        assert await desk.worker.buried() == []
        assert world.got[-1].id == buried.delivery.id
        assert desk.state.deliveries == {}

    asyncio.run(play())


def test_an_order_to_deliver_again_waits_for_the_saved_state(world: World) -> None:
    """Which takes the place of what is in memory."""

    async def play() -> None:
        world.status = 410
        await world.desk().work(world.record())
        world.status, desk = 204, world.desk()
        replaying = asyncio.create_task(desk.worker.replay("soc"))
        await asyncio.sleep(0)
        await desk.work()
        assert await replaying == 1
        await desk.work()
        assert [410, 204] == world.answered
        assert await desk.worker.buried() == []

    asyncio.run(play())


def test_a_receiver_that_is_taken_out_stops_no_commit(world: World) -> None:
    """What waits for it is given up, and delivered if it was taken out by mistake."""

    async def play() -> None:
        world.status = 503
        await world.desk(WEBHOOK, CHAT).work(world.record())
        assert (len(world.got), world.acked) == (2, [])

        world.status, world.now = 204, NOW + 3600 * SECOND
        desk = world.desk(WEBHOOK)
        await desk.work(world.record())
        assert (world.acked, desk.inbox.owed, len(world.letters)) == ([1], 0, 1)
        (buried,) = await desk.worker.buried()
        assert (buried.delivery.route, buried.at) == ("chat", world.now)
        assert buried.reason.startswith("route_removed")

        desk = world.desk(WEBHOOK, CHAT)
        assert await desk.replay("chat") == 1
        await desk.work()
        assert [d.route for d in world.got[2:]] == ["soc", "chat"]
        assert await desk.worker.buried() == []

    asyncio.run(play())


def test_nothing_is_acked_before_its_letter(world: World) -> None:
    """Also where another step is done while the letter is on its way."""

    async def play() -> None:
        world.status, world.written = 410, asyncio.Event()
        desk = world.desk()
        (delivery,) = await desk.step(world.record())
        async with asyncio.TaskGroup() as tasks:
            attempt = tasks.create_task(desk.worker._attempt(delivery))
            quiet = world.record(2, number=2, severity=Severity.INFORMATIONAL)
            step = tasks.create_task(desk.step(quiet))
            for _ in range(20):
                await asyncio.sleep(0)
            assert not attempt.done()
            assert not step.done()
            assert (desk.state.deliveries, world.acked) == ({}, [])
            world.written.set()
        assert (len(world.letters), world.acked) == (1, [1, 2])

    asyncio.run(play())


@pytest.mark.parametrize("groups", [1, 30])
def test_the_file_is_looked_at_as_often_for_many_groups(
    world: World, groups: int
) -> None:
    """What waits to be told with others comes back at each rebalance."""
    found = {
        f"{number:032x}": Announced(
            messages=0, at=NOW, waiting=a_finding(number), group=f"g{number % groups}"
        )
        for number in range(60)
    }
    waiting = {
        f"g{number}": Group(
            id=f"g{number}", realm="acme", kind=FindingKind.OWNERLESS,
            first_at=NOW, last_at=NOW, begun=60, held=60,
        )
        for number in range(groups)
    }  # fmt: skip
    before = DeliveryState(told=NotifiedState(found), groups=waiting)
    world.file.save(rows_of(before), ())
    queries: list[str] = []
    world.file._db.set_trace_callback(queries.append)

    after = world.file.gathered()

    assert 3 == len(queries)
    assert (before.announced, before.groups) == (after.announced, after.groups)


def test_a_restart_goes_on_repeating_what_is_open_and_committed(world: World) -> None:
    """Its records never come again; what is open lies in the file."""

    async def play() -> None:
        await world.desk(FORGETFUL).work(world.record())
        assert world.acked == [1]

        desk = world.desk(FORGETFUL)
        desk.inbox.restart(frozenset({MINE}))
        world.now += 301 * SECOND
        await desk.work()
        assert len(world.got) == 2

        await desk.work(world.record(2, is_open=False))
        world.now += 3600 * SECOND
        await desk.work()
        assert len(world.got) == 3
        assert world.file.open_ones() == {}

    asyncio.run(play())


def test_nobody_repeats_what_is_in_the_partitions_of_others(world: World) -> None:
    """Who has the partition sees it end; this process would not."""

    async def play() -> None:
        await world.desk(FORGETFUL).work(world.record())
        desk = world.desk(FORGETFUL)
        desk.inbox.restart(frozenset(range(PARTITIONS)) - {MINE})
        world.now += 301 * SECOND
        await desk.work()
        assert len(world.got) == 1

        desk.inbox.restart(frozenset(range(PARTITIONS)))
        await desk.work()
        assert len(world.got) == 2
        desk.inbox.restart(frozenset())
        world.now += 301 * SECOND
        await desk.work()
        assert len(world.got) == 2

    asyncio.run(play())
