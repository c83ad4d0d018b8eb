"""The worker of alerts on Kafka takes findings in and tells summaries in turns."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import pytest

from enforcement import turns
from streams.engines.kafka.notify.delivery_file import DeliveryFile
from streams.model.findings import Finding, FindingKind, Severity
from streams.stages.notify import notify
from streams.stages.notify.deliveries import Delivery, ReceiverRoute
from tests.notify_steps import step
from tests.unit.test_kafka_desk import World
from tests.unit.test_notify import NOW
from tests.unit.test_steps_held import names, turns_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.kafka_desk import Desk

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


async def gather(world: World, desk: Desk) -> None:
    """Have many posture findings wait that are to be told as one."""
    found = [
        Finding(
            id=f"f{number:031x}", kind=FindingKind.OWNERLESS, severity=Severity.LOW,
            realm="r", presented=name, first_seen=NOW, last_seen=NOW, message="",
        )
        for number, name in enumerate(names(MANY))
    ]  # fmt: skip
    changes = map(notify.FindingChange, found)
    state, _ = step(desk.state, changes, NOW, routes=[WEBHOOK])
    desk.worker.state = state
    world.now = notify.next_due(state, NOW) or 0


async def test_a_summary_of_many_lets_others_have_their_turn(world: World) -> None:
    """However many posture findings a first import has."""
    desk, due = world.desk(WEBHOOK), list[Delivery]()
    await desk.step()
    await gather(world, desk)

    async def taking() -> None:
        due.extend(await desk.step())

    assert await turns_beside(taking()) > 20
    assert [MANY] == [each.finding.count for each in due]
    again = world.desk(WEBHOOK)
    await again.step()
    assert [each.key for each in due] == [*again.state.deliveries]


async def disturbed(
    world: World, desk: Desk, meanwhile: Callable[[], object]
) -> Sequence[Delivery]:
    """Have something happen while a summary is told."""
    await gather(world, desk)
    stepping = asyncio.create_task(desk.step())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not stepping.done()
    meanwhile()
    return await stepping


async def test_what_an_attempt_changes_meanwhile_is_kept(world: World) -> None:
    """It waits for the step, and goes on from there."""
    desk = world.desk(WEBHOOK)
    (first,) = await desk.step(world.record())
    async with asyncio.TaskGroup() as attempts:

        def attempt() -> None:
            attempts.create_task(desk.worker._attempt(first))

        due = await disturbed(world, desk, attempt)
    assert [1] == world.acked
    assert [MANY] == [each.finding.count for each in due]
    assert [each.key for each in due] == [*desk.state.deliveries]


async def test_nothing_is_told_of_what_was_given_up_meanwhile(world: World) -> None:
    """Whoever has the partition now is told of it."""
    desk = world.desk(WEBHOOK)
    await desk.step()
    due = await disturbed(world, desk, lambda: desk.inbox.restart(frozenset()))
    assert () == due
    assert () == await desk.step()
    assert not desk.state.queue("soc").deliveries


async def test_a_record_is_acked_once_what_it_says_is_delivered(world: World) -> None:
    """Also where the message before it arrives while it is taken in."""
    desk = world.desk(WEBHOOK)
    (first,) = await desk.step(world.record(1))
    async with asyncio.TaskGroup() as attempts:
        taking = attempts.create_task(desk.step(world.record(2, is_open=False)))
        await asyncio.sleep(0)
        assert not taking.done()
        attempts.create_task(desk.worker._attempt(first))
    assert [] == world.acked
    due = await desk.step()
    assert due
    for delivery in due:
        await desk.worker._attempt(delivery)
    assert [1, 2] == world.acked
