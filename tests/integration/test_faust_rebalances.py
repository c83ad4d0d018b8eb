"""What Faust alone does to records while partitions move; the hardened app does not.

As in `test_faust_losses`: on Faust as it comes, on the hardened app without the
override in question, and on the hardened app.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError
from faust.exceptions import AlreadyConfiguredWarning
from faust.transport.drivers import aiokafka as driver

from streams.faust_shell.hard_consumer import HardConsumer
from tests.integration.serving import until
from tests.integration.test_faust_losses import (
    COUNT,
    KINDS,
    app_of,
    committed,
    fill,
    filled,
    make,
    read_by,
    started,
    until_committed,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from streams.faust_shell.hardened import HardApp
    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


def client_of(app: HardApp) -> Any:
    """Give the client that lies under the consumer."""
    consumer: Any = app.consumer
    return consumer._thread._consumer


def in_its_thread(app: HardApp, call: Any) -> None:
    """Call something where the client runs."""
    consumer: Any = app.consumer
    consumer._thread.thread_loop.call_soon_threadsafe(call)


def rejoin(app: HardApp) -> None:
    """Have the partitions given out anew."""
    in_its_thread(app, client_of(app)._coordinator.request_rejoin)


def state_of(app: HardApp, part: TopicPartition) -> Any:
    """Give what the client knows of a partition; nothing before it is assigned."""
    subscription = client_of(app)._subscription.subscription
    assignment = subscription and subscription.assignment
    return assignment and assignment.state_value(part)


def hold_first_answer(app: HardApp) -> list[asyncio.Event]:
    """Hold the next answer to where the group is; what lets it go comes with it."""
    client = client_of(app)
    held: list[asyncio.Event] = []
    ask = client.committed

    async def slow(tp: Any) -> Any:
        found = await ask(tp)
        if not held:
            held.append(asyncio.Event())
            await held[0].wait()
        return found

    client.committed = slow
    return held


def offsets_of(events: Iterable[Any]) -> list[int]:
    """Give where the records of events lie."""
    return [each.message.offset for each in events]


class StaysAhead(HardConsumer):
    seek_to_committed = driver.Consumer.seek_to_committed


@KINDS
async def test_what_comes_while_the_flow_stands_comes_again(
    tmp_path: Path, kafka_settings: KafkaSettings, kind: str
) -> None:
    """Override (f): a rebalance stops the flow while records are being fetched."""
    source = await make(kafka_settings, "source")
    app = app_of(kafka_settings, tmp_path, kind, Consumer=StaysAhead)
    events = read_by(app, source)
    async with started(app):
        consumer: Any = app.consumer
        asked, sought = noting_fetches(consumer), noting_seeks(consumer)
        await until(lambda: asked)
        consumer.stop_flow()
        await fill(kafka_settings, source)
        await until(lambda: sought)
        consumer.resume_flow()
        await fill(kafka_settings, source)
        await until(lambda: 2 * COUNT - 1 in offsets_of(events))
        lost = {*range(2 * COUNT)}.difference(offsets_of(events))
        assert (kind == "hardened") == (lost == set())


def noting_fetches(consumer: Any) -> list[bool]:
    """Note that records are asked for; that once, wait until there are some."""
    asked: list[bool] = []
    thread = consumer._thread
    fetch = thread._fetch_records

    async def patient(*args: Any, **kwargs: Any) -> Any:
        if not asked:
            asked.append(True)
            kwargs["timeout"] = 3600
        return await fetch(*args, **kwargs)

    thread._fetch_records = patient
    return asked


def noting_seeks(consumer: Any) -> list[bool]:
    """Note each time that it went back to what is committed."""
    sought: list[bool] = []
    seek = consumer.perform_seek

    async def noting() -> None:
        await seek()
        sought.append(True)

    consumer.perform_seek = noting
    return sought


class NotesAnyway(HardConsumer):
    async def _commit(self, offsets: Mapping[Any, int]) -> bool:
        return await super()._commit(dict(offsets))


@KINDS
async def test_what_a_rebalance_kept_from_being_committed_is_committed_later(
    tmp_path: Path, kafka_settings: KafkaSettings, kind: str
) -> None:
    """Override (g): the group refuses a commit, and its partitions are gone by then."""
    source = await filled(kafka_settings)
    app = app_of(kafka_settings, tmp_path, kind, Consumer=NotesAnyway)
    events: list[Any] = []

    @app.agent(app.topic(source, value_type=bytes))
    async def read(stream: Any) -> None:
        async for event in stream.noack().events():
            events.append(event)
            if len(events) % COUNT == 0:
                # All at once: the commit that is refused is of all of them.
                for each in events[-COUNT:]:
                    each.ack()

    app.finalize()
    refused = refusing_commits(app)
    async with started(app):
        await until(lambda: len(events) == 2 * COUNT)
        assert refused
        await app.consumer.commit()
        await app.consumer.commit()
        done = COUNT if kind == "hardened" else 0
        assert done == await committed(kafka_settings, source)


def refusing_commits(app: HardApp) -> list[bool]:
    """Have the first commit refused by a rebalance, as late as that may be said."""
    refused: list[bool] = []
    consumer: Any = app.consumer
    commit = consumer._thread.commit

    async def refusing(offsets: Any) -> bool:
        if refused:
            return bool(await commit(offsets))
        refused.append(True)
        rejoin(app)
        await until(lambda: not consumer.flow_active)
        return False

    consumer._thread.commit = refusing
    return refused


class Watches(HardConsumer):
    verify_all_partitions_active = driver.Consumer.verify_all_partitions_active


@KINDS
async def test_a_place_that_is_being_looked_for_breaks_nothing(
    tmp_path: Path, kafka_settings: KafkaSettings, kind: str
) -> None:
    """Override (h): Faust's watch over the commits takes a place for granted."""
    source = await filled(kafka_settings)
    app = app_of(kafka_settings, tmp_path, kind, Consumer=Watches)
    events = read_by(app, source, ack=True)
    async with started(app):
        await until(lambda: len(events) == COUNT)
        consumer: Any = app.consumer
        state_of(app, TopicPartition(source, 0)).await_reset("earliest")
        if kind == "hardened":
            await consumer.verify_all_partitions_active()
        else:
            with pytest.raises(AssertionError):
                await consumer.verify_all_partitions_active()


class HeedsLate(HardConsumer):
    def _forget(self, tps: Any) -> None:
        for tp in list(tps):
            self._in_flight.pop(tp, None)


@pytest.mark.parametrize("signal", ["on_partitions_revoked", "on_partitions_assigned"])
@KINDS
async def test_an_ack_from_before_a_rebalance_commits_nothing(
    tmp_path: Path, kafka_settings: KafkaSettings, kind: str, signal: str
) -> None:
    """What is below it and not done is not known any more when it comes."""
    source = await filled(kafka_settings)
    app = app_of(kafka_settings, tmp_path, kind, Consumer=HeedsLate)
    events = read_by(app, source)

    @getattr(app, signal).connect  # type: ignore[untyped-decorator]
    async def late(*_: Any, **__: Any) -> None:
        if len(events) == COUNT:
            events[-1].ack()
            await app.consumer.commit()  # as its timer may, just here

    async with started(app):
        await until(lambda: len(events) == COUNT)
        rejoin(app)
        if kind != "hardened":
            # Though nothing below the last one was done.
            await until_committed(kafka_settings, source)
            return
        await until(lambda: len(events) == 2 * COUNT)
        await app.consumer.commit()
        assert 0 == await committed(kafka_settings, source)
        for event in events[COUNT:]:
            event.ack()
        await until_committed(kafka_settings, source)


class HoldsWhatIsCommitted(HardConsumer):
    def _below(self, _: Any) -> int:
        return 0


@pytest.mark.parametrize("kind", ["without", "hardened"])
async def test_what_comes_again_below_the_commit_does_not_hold_it(
    tmp_path: Path, kafka_settings: KafkaSettings, kind: str
) -> None:
    """A second rebalance leaves the seek of the first, which goes on by itself."""
    source = await filled(kafka_settings)
    app = app_of(kafka_settings, tmp_path, kind, Consumer=HoldsWhatIsCommitted)
    events = read_by(app, source, ack=True)

    def times(offset: int) -> int:
        return offsets_of(events).count(offset)

    async def committed_is(offset: int) -> bool:
        return await committed(kafka_settings, source) == offset

    async with started(app):
        await until(lambda: committed_is(COUNT))
        held = hold_first_answer(app)
        rejoin(app)
        await until(lambda: held)
        rejoin(app)
        await until(lambda: not app.rebalancing)
        await fill(kafka_settings, source)
        await until(lambda: committed_is(2 * COUNT))
        in_its_thread(app, held[0].set)
        await until(lambda: times(2 * COUNT - 1) == 2)
        await fill(kafka_settings, source)
        await until(lambda: times(3 * COUNT - 1))
        await app.consumer.commit()
        await app.consumer.commit()
        done = 2 * COUNT if kind == "without" else 3 * COUNT
        assert done == await committed(kafka_settings, source)


class WaitsOn(HardConsumer):
    perform_seek = driver.Consumer.perform_seek


@KINDS
async def test_a_place_that_is_not_found_in_time_ends_the_app(
    tmp_path: Path, kafka_settings: KafkaSettings, kind: str
) -> None:
    """Faust takes the time that ran out for its own end, and resumes never again."""
    source = await filled(kafka_settings)
    app = app_of(kafka_settings, tmp_path, kind, Consumer=WaitsOn)
    events = read_by(app, source, ack=True)
    async with started(app):
        await until(lambda: len(events) == COUNT)
        with pytest.warns(AlreadyConfiguredWarning):
            app.conf.broker_request_timeout = 1.0
        held = hold_first_answer(app)
        rejoin(app)
        await until(lambda: held)
        if kind == "hardened":
            await until(lambda: app.crashed)
        else:
            await until(lambda: not resumes())
            assert app.rebalancing
            assert not app.crashed
        in_its_thread(app, held[0].set)


def resumes() -> bool:
    """Tell whether the part of Faust still runs that resumes after a rebalance."""
    return any("_restart_recovery" in repr(task) for task in asyncio.all_tasks())


class AsksNothing(HardConsumer):
    def _broken(self) -> BaseException | None:
        return None


@KINDS
async def test_a_client_that_gave_up_ends_the_app(
    tmp_path: Path, kafka_settings: KafkaSettings, kind: str
) -> None:
    """The client stands still until it is asked what went wrong; Faust never asks."""
    source = await filled(kafka_settings)
    app = app_of(kafka_settings, tmp_path, kind, Consumer=AsksNothing)
    events = read_by(app, source, ack=True)
    async with started(app):
        await until(lambda: len(events) == COUNT)
        client = client_of(app)
        coordinator = client._coordinator

        async def refusing(_: Any) -> bool:
            # Who waits for records is told; nobody does for long in a rebalance.
            await until(lambda: not client._fetcher._fetch_waiters)
            raise KafkaError("FencedInstanceId")

        coordinator._do_rejoin_group = refusing
        rejoin(app)
        if kind == "hardened":
            await until(lambda: app.crashed)
        else:
            await until(lambda: coordinator._error_consumed_fut)
            assert app.rebalancing
            assert not app.crashed


class Looks(HardConsumer):
    looked = 0

    def _broken(self) -> BaseException | None:
        Looks.looked += 1
        return super()._broken()


async def test_a_client_that_takes_long_to_start_has_not_given_up(
    tmp_path: Path, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look at it comes first."""
    source = await filled(kafka_settings)
    app = app_of(kafka_settings, tmp_path, "without", Consumer=Looks)
    events = read_by(app, source, ack=True)
    connect = AIOKafkaConsumer._wait_topics

    async def slow(client: Any) -> None:
        await until(lambda: Looks.looked)
        await connect(client)

    monkeypatch.setattr(AIOKafkaConsumer, "_wait_topics", slow)
    async with started(app):
        await until(lambda: len(events) == COUNT)
        assert not app.crashed


class SkipsWhatIsBelow(HardConsumer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = defaultdict(lambda: None)


@KINDS
async def test_a_log_that_lost_its_end_is_read_again(
    tmp_path: Path, kafka_settings: KafkaSettings, kind: str
) -> None:
    """The commit is above the log: the client begins anew, and Faust drops it all."""
    source = await filled(kafka_settings)
    part = TopicPartition(source, 0)
    before = AIOKafkaConsumer(
        **kafka_settings.client(),
        group_id=kafka_settings.group("losses"),
        enable_auto_commit=False,
    )
    await before.start()
    before.assign([part])
    await before.commit({part: 100 * COUNT})
    await before.stop()
    app = app_of(kafka_settings, tmp_path, kind, Consumer=SkipsWhatIsBelow)
    events = read_by(app, source, ack=True)
    async with started(app):
        if kind == "hardened":
            await until(lambda: len(events) == COUNT)
            return
        await until(lambda: place(app, part) == COUNT)
        await fill(kafka_settings, source)
        # It is asked for more only when what was there before is done with.
        await until(lambda: place(app, part) == 2 * COUNT)
        assert [] == events


def place(app: HardApp, part: TopicPartition) -> Any:
    """Give up to where records were taken from the client."""
    state = state_of(app, part)
    return state and state._position


class Greedy(RoundRobinPartitionAssignor):  # type: ignore[misc]
    """Gives all to the member whose name begins so."""

    @classmethod
    def assign(cls, _: Any, members: Mapping[str, Any]) -> dict[str, Any]:
        """Give the assignments."""
        topics = {name for each in members.values() for name in each.subscription}
        return {
            member: ConsumerProtocolMemberAssignment(
                cls.version,
                [(name, [0]) for name in topics if member.startswith("greedy")],
                b"",
            )
            for member in members
        }


class FlowsOn(SkipsWhatIsBelow):
    def _stop(self) -> None:
        pass


@KINDS
async def test_who_had_nothing_loses_nothing_of_its_first_partition(
    tmp_path: Path, kafka_settings: KafkaSettings, kind: str
) -> None:
    """Faust does not stop the flow of one that has nothing to be revoked."""
    source = await filled(kafka_settings)
    app = app_of(kafka_settings, tmp_path, kind, Consumer=FlowsOn)
    app.conf.stream_buffer_maxsize = 2
    offsets: list[int] = []
    go = asyncio.Event()

    @app.agent(app.topic(source, value_type=bytes))
    async def read(stream: Any) -> None:
        async for event in stream.noack().events():
            offsets.append(event.message.offset)
            await go.wait()

    other = AIOKafkaConsumer(
        source,
        **{**kafka_settings.client(), "client_id": "greedy"},
        group_id=kafka_settings.group("losses"),
        partition_assignment_strategy=[Greedy],
        enable_auto_commit=False,
    )
    await other.start()
    try:
        await until(other.assignment)
        async with started(app):
            await until(lambda: app._fetcher.started and not app.rebalancing)
            consumer: Any = app.consumer
            assert not consumer.assignment()
            held = hold_first_answer(app)
            await other.stop()
            await until(lambda: held)
            if kind != "hardened":
                # One read, two in the queue, and one that waits to be put there.
                await until(lambda: 2 in consumer._read_offset.values())
            in_its_thread(app, held[0].set)
            await until(lambda: not app.rebalancing)
            go.set()
            await until(lambda: COUNT - 1 in offsets)
            lost = {*range(COUNT)}.difference(offsets)
            assert (kind == "hardened") == (lost == set())
    finally:
        await other.stop()
