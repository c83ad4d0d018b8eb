"""The worker of alerts on Kafka takes findings in and tells summaries in turns."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import pytest

from enforcement import turns
from streams.engines.kafka.notify.delivery_file import DeliveryFile
from streams.model.findings import Finding, FindingKind, Severity
from streams.pipeline import delivery as delivery_worker
from streams.stages.notify import notify
from streams.stages.notify.deliveries import AttemptOutcome, Delivery, ReceiverRoute
from tests.held_loop import most_calls_beside
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
MOST: Final = 20_000  # calls in a step; see `tests.unit.test_steps_held`
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


async def waiting_for(world: World, count: int) -> tuple[Desk, Delivery]:
    """Give a desk with many messages for a receiver, and one that is under way."""
    desk = world.desk(WEBHOOK)
    due: list[Delivery] = []
    for number in range(count):
        await desk.inbox.take(world.record(number, number=number))
        if desk.inbox.waiting > 200:
            due += await desk.step()
    while desk.inbox.waiting:
        due += await desk.step()
    return desk, due[0]


@pytest.mark.parametrize("removed", [False, True])
async def test_many_messages_are_given_up_in_turns(world: World, removed: bool) -> None:
    """For a receiver that is gone, or was taken out of the settings."""
    desk, delivery = await waiting_for(world, MANY)
    if removed:
        desk.worker.routes = ()
    else:
        world.status = 410
        assert await most_calls_beside(desk.worker._attempt(delivery)) < MOST
    while desk.state.deliveries:
        assert await most_calls_beside(desk.step()) < MOST

    assert MANY == len(world.letters) == len(world.acked)
    buried = await desk.worker.buried()
    assert MANY == len({each.delivery.key for each in buried})


async def test_the_worker_goes_on_by_itself_until_all_is_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change gives up so many at most, and nothing else may happen meanwhile."""
    monkeypatch.setattr(delivery_worker, "LONGEST_WAIT", 600.0)
    desk, _ = await waiting_for(world, notify.TOGETHER + 1)
    desk.worker.routes = ()
    running = asyncio.create_task(desk.worker.run())
    async with asyncio.timeout(20):
        while desk.state.deliveries or desk.inbox.owed:  # noqa: ASYNC110 - not told
            await asyncio.sleep(0)
    running.cancel()

    assert notify.TOGETHER + 1 == len(world.letters)


async def test_many_messages_are_delivered_again_in_turns(world: World) -> None:
    """On the order of an operator."""
    desk, _ = await waiting_for(world, MANY)
    desk.worker.routes = ()
    while desk.state.deliveries:
        await desk.step()
    desk.worker.routes = (WEBHOOK,)

    assert await most_calls_beside(desk.worker.replay("soc")) < MOST
    assert MANY == len(desk.state.deliveries)


async def test_the_file_is_read_behind_what_is_being_saved(world: World) -> None:
    """What was given up and waits for its letter is not posted once more."""
    desk = world.desk(WEBHOOK)
    (delivery,) = await desk.step(world.record())
    world.status, world.written = 410, asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        attempt = tasks.create_task(desk.worker._attempt(delivery))
        while not desk.inbox._saving.locked():  # noqa: ASYNC110 - not told
            await asyncio.sleep(0)
        desk.inbox.restart(frozenset())
        again = tasks.create_task(desk.step(world.record()))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not attempt.done()
        world.written.set()

    assert () == again.result()
    assert (1, [1]) == (len(world.letters), world.acked)


async def test_nothing_is_begun_once_the_partitions_go(world: World) -> None:
    """Whoever has them then begins it: else it is told twice."""
    desk = world.desk(WEBHOOK)
    (delivery,) = await desk.step(world.record(1, number=1))
    desk.worker.state = notify.settle(
        desk.state, delivery, AttemptOutcome(status=503), world.now
    ).state
    world.now = notify.next_due(desk.state, world.now) or 0
    desk.inbox.stop()
    assert () == await desk.step(world.record(2, number=2))
    desk.inbox.restart(frozenset())
    due = await desk.step(world.record(1, number=1), world.record(2, number=2))

    assert ["1", "2"] == sorted(each.finding.id[-1] for each in due)
