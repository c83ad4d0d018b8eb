"""The worker of alerts on Kafka takes findings in and tells summaries in turns."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import attrs
import pytest

from enforcement import turns
from streams.engines.kafka.notify.delivery_file import DeliveryFile
from streams.model.findings import Finding, FindingKind, Severity
from streams.stages.notify import notify
from streams.stages.notify.deliveries import Delivery, ReceiverRoute
from streams.stages.notify.state import DeliveryState
from tests.unit.test_kafka_desk import World
from tests.unit.test_notify import NOW
from tests.unit.test_steps_held import names, turns_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from streams.engines.kafka.notify.notifier import DeliveryWorker

pytestmark = pytest.mark.unit

MANY: Final = 1000
WEBHOOK: Final = ReceiverRoute(name="soc")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Give a world with an empty file, whose turns are one step each."""
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.0)
    file = DeliveryFile(tmp_path / "deliveries.db")
    yield World(file)
    file.close()


def gathered(world: World) -> DeliveryWorker:
    """Give a worker to which many posture findings are to be told as one."""
    found = [
        Finding(
            id=f"{number:032x}", kind=FindingKind.OWNERLESS, severity=Severity.LOW,
            realm="r", presented=name, first_seen=NOW, last_seen=NOW, message="",
        )
        for number, name in enumerate(names(MANY))
    ]  # fmt: skip
    desk = world.desk(WEBHOOK)
    changes = map(notify.FindingChange, found)
    desk.state = notify.step(DeliveryState(), changes, NOW, routes=[WEBHOOK]).state
    world.now = notify.next_due(desk.state, NOW) or 0
    return desk


async def test_a_summary_of_many_lets_others_have_their_turn(world: World) -> None:
    """However many posture findings a first import has."""
    desk, due = gathered(world), list[Delivery]()

    async def step() -> None:
        due.extend(await desk._step([]))

    assert await turns_beside(step()) > 20
    assert [MANY] == [each.finding.count for each in due]
    again = world.desk(WEBHOOK).state.queue("soc").deliveries
    assert [each.key for each in due] == [*again]


async def disturbed(
    world: World, meanwhile: Callable[[DeliveryWorker], None]
) -> tuple[DeliveryWorker, tuple[Delivery, ...]]:
    """Have something happen while a summary is told."""
    desk = gathered(world)
    stepping = asyncio.create_task(desk._step([]))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not stepping.done()
    meanwhile(desk)
    return desk, await stepping


async def test_what_an_attempt_changes_meanwhile_is_kept(world: World) -> None:
    """The step is done again on what is so then."""

    def pause(desk: DeliveryWorker) -> None:
        desk.state = attrs.evolve(desk.state, paused={"chat": 7})

    desk, due = await disturbed(world, pause)
    assert {"chat": 7} == desk.state.paused
    assert [MANY] == [each.finding.count for each in due]


async def test_nothing_is_told_of_what_was_given_up_meanwhile(world: World) -> None:
    """Whoever has the partition now is told of it."""
    desk, due = await disturbed(world, lambda desk: desk.restart())
    assert () == due
    assert not desk.state.queue("soc").deliveries


async def test_a_record_is_acked_once_what_it_says_is_delivered(world: World) -> None:
    """Also where the message before it arrives while it is taken in."""
    desk = world.desk(WEBHOOK)
    (first,) = await desk._step([world.record(1)])
    taking = asyncio.create_task(desk._step([world.record(2, is_open=False)]))
    await asyncio.sleep(0)
    assert not taking.done()

    await desk._attempt(first)
    owing = desk.state.owes(first.finding.id)
    acked_early = [*world.acked]
    due = await taking
    assert [1] == acked_early
    assert not owing
    assert due
    for delivery in due:
        await desk._attempt(delivery)
    assert [1, 2] == world.acked
