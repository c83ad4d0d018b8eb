"""What Faust alone loses on a real broker, and the hardened app does not.

Each test runs the same agent twice: on Faust as it comes, where it must show the loss,
and on `streams.faust_shell.hardened`, where there must be none.
`test_faust_rebalances` goes on with what happens while partitions move.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic
from faust.topics import Topic
from faust.transport.drivers import aiokafka as driver
from faust.transport.producer import ProducerBuffer

from streams.devkafka.broker import Cluster
from streams.faust_shell.apps import agent_app
from streams.faust_shell.hard_consumer import HardConsumer
from streams.faust_shell.hardened import HardApp, HardProducer, HardTopic
from tests.campaigns import some
from tests.integration.kafka_cluster import settings_of
from tests.integration.serving import until
from tests.integration.test_kafka_topics import administer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from streams.devkafka.launch import Launcher
    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

COUNT = 8
LOSES = ("faust", "without")
# That Faust itself loses is shown where there is time.
KINDS = pytest.mark.parametrize(
    "kind", some((*LOSES, "hardened"), ("hardened",), pytest.mark.long)
)


class PlainTopic(Topic):
    """Faust's own, whose failed sends are not logged once more when collected."""

    def _on_published(
        self, fut: asyncio.Future[Any], message: Any, producer: Any, state: Any
    ) -> None:
        super()._on_published(fut, message, producer, state)
        message.exception()


def app_of(kafka: KafkaSettings, folder: Path, kind: str, **without: Any) -> HardApp:
    """Give an app with the same settings of each kind.

    Args:
        kafka: of the cluster.
        folder: for what Faust keeps.
        kind: Faust as it comes, hardened, or hardened without the override in question.
        without: what takes that override away: ``Topic``, ``Consumer``, ``Producer``.
    """
    more: dict[str, Any] = {"Topic": HardTopic, "app_class": HardApp}
    if kind == "faust":
        more = {"Topic": PlainTopic, "app_class": faust.App}
    elif kind == "without":
        more["Topic"] = without.pop("Topic", HardTopic)
    app = agent_app(
        kafka.group("losses"), kafka, folder, broker_commit_interval=0.1, **more
    )
    if kind == "without":
        for name, it in without.items():
            setattr(app.transport, name, it)
        app._producer_transport = app.transport
    return app


@asynccontextmanager
async def started(app: HardApp) -> AsyncIterator[HardApp]:
    """Run an app in this loop until the context ends."""
    app.finalize()
    try:
        await app.start()
        yield app
    finally:
        await app.stop()


async def make(kafka: KafkaSettings, name: str, **configs: str) -> str:
    """Make a topic of one partition; give its name."""
    topic = kafka.topic(name)
    new = NewTopic(topic, 1, 1, topic_configs=configs or None)
    await administer(kafka, "create_topics", [new])
    return topic


async def fill(kafka: KafkaSettings, topic: str) -> None:
    """Put `COUNT` records into a topic."""
    producer = AIOKafkaProducer(**kafka.client(), acks="all")
    await producer.start()
    try:
        for number in range(COUNT):
            value = b"%d" % number
            await producer.send_and_wait(topic, value, partition=0)
    finally:
        await producer.stop()


async def filled(kafka: KafkaSettings) -> str:
    """Make a topic with `COUNT` records; give its name."""
    topic = await make(kafka, "source")
    await fill(kafka, topic)
    return topic


def read_by(app: HardApp, source: str, *, ack: bool = False) -> list[Any]:
    """Add an agent that reads a topic, and may ack; give the events that it gets."""
    events: list[Any] = []

    @app.agent(app.topic(source, value_type=bytes))
    async def read(stream: Any) -> None:
        async for event in stream.noack().events():
            events.append(event)
            if ack:
                event.ack()

    return events


async def held(kafka: KafkaSettings, topic: str) -> list[bytes]:
    """Give the values that lie in a topic."""
    consumer = AIOKafkaConsumer(**kafka.client(), auto_offset_reset="earliest")
    await consumer.start()
    try:
        part = TopicPartition(topic, 0)
        consumer.assign([part])
        end = (await consumer.end_offsets([part]))[part]
        values: list[bytes] = []
        while await consumer.position(part) < end:
            for got in (await consumer.getmany(timeout_ms=200)).values():
                values += [record.value for record in got]
        return values
    finally:
        await consumer.stop()


async def committed(kafka: KafkaSettings, topic: str) -> int:
    """Give what the group committed, 0 for nothing."""
    group = kafka.group("losses")
    found = await administer(kafka, "list_consumer_group_offsets", group)
    place = found.get(TopicPartition(topic, 0))
    return 0 if place is None else max(0, place.offset)


async def until_committed(kafka: KafkaSettings, topic: str) -> None:
    """Wait until the group committed all `COUNT` records."""

    async def all_of_it() -> bool:
        return await committed(kafka, topic) == COUNT

    await until(all_of_it)


class CommitsAnyway(HardConsumer):
    _commit = driver.Consumer._commit


@pytest.fixture(scope="module")
def breakable(
    kafka_launcher: Launcher, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """Give a broker that tests here may freeze."""
    with Cluster(tmp_path_factory.mktemp("breakable"), kafka_launcher) as cluster:
        asyncio.run(cluster.ready())
        yield cluster


@pytest.mark.parametrize("kind", [*LOSES, "without-b", "hardened"])
async def test_a_failed_produce_is_not_committed_past(
    tmp_path: Path, kafka_settings: KafkaSettings, kind: str
) -> None:
    """Overrides (a) and (b): the app crashes, and nothing is committed."""
    source = await filled(kafka_settings)
    refusing = await make(kafka_settings, "sink", **{"max.message.bytes": "200"})
    if kind == "without-b":
        app = app_of(kafka_settings, tmp_path, "without", Consumer=CommitsAnyway)
    else:
        app = app_of(kafka_settings, tmp_path, kind, Topic=PlainTopic)
    sink = app.topic(refusing, value_type=bytes)

    @app.agent(app.topic(source, value_type=bytes))
    async def copy(stream: Any) -> None:
        async for value in stream:
            await sink.send(value=value * 1000)

    async with started(app):
        if kind == "hardened":
            await until(lambda: app.crashed)
        else:
            await until_committed(kafka_settings, source)

    assert [] == await held(kafka_settings, refusing)
    if kind == "hardened":
        assert 0 == await committed(kafka_settings, source)
        assert "MessageSizeTooLarge" in type(app.failure).__name__


@pytest.mark.parametrize(("kind", "copies"), [("faust", 2), ("hardened", 1)])
async def test_a_retry_after_a_lost_answer_writes_once(
    tmp_path: Path, breakable: Cluster, kind: str, copies: int
) -> None:
    """Override (c): the broker knows the batch again that it took already."""
    kafka = settings_of(breakable)
    source = await make(kafka, "source")
    target = await make(kafka, "sink")
    app = app_of(kafka, tmp_path, kind)
    sink = app.topic(target, value_type=bytes)

    @app.agent(app.topic(source, value_type=bytes))
    async def read(stream: Any) -> None:
        async for _ in stream:
            pass

    async with started(app):
        await (await sink.send(value=b"first"))
        producer: Any = app.producer
        client = producer._producer.client
        (node,) = breakable.nodes
        node.freeze()
        try:
            answer = await sink.send(value=b"again")
            await until(lambda: sent(client))
            for connection in list(client._conns.values()):
                connection.close()
        finally:
            node.thaw()
        await answer

    async def all_of_it() -> bool:
        return len(await held(kafka, target)) == 1 + copies

    await until(all_of_it)
    assert [b"first"] + [b"again"] * copies == await held(kafka, target)


def sent(client: Any) -> bool:
    """Tell whether a produce request is on its way."""
    return any(
        type(request).__name__.startswith("Produce")
        for connection in client._conns.values()
        for _, request, _ in connection._requests
    )


class Gated:
    """Stands for a broker that takes nothing for a while: sends wait at it."""

    opened: asyncio.Event

    async def send(self, *args: Any, **kwargs: Any) -> Any:
        """Wait, then send."""
        await self.opened.wait()
        return await super().send(*args, **kwargs)  # type: ignore[misc]


class GatedPlain(Gated, driver.Producer):
    pass


class GatedHard(Gated, HardProducer):
    pass


class GatedImpatient(Gated, HardProducer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.buffer = ProducerBuffer(loop=self.loop, beacon=self.beacon)
        self.buffer.app = self.app


@KINDS
async def test_a_commit_waits_for_a_slow_broker(
    tmp_path: Path, kafka_settings: KafkaSettings, kind: str
) -> None:
    """Override (d): what lies in the buffer is sent before it counts as done."""
    source = await filled(kafka_settings)
    target = await make(kafka_settings, "sink")
    app = app_of(kafka_settings, tmp_path, kind)
    gated: Any = {
        "faust": GatedPlain, "without": GatedImpatient, "hardened": GatedHard,
    }[kind]  # fmt: skip
    opened = gated.opened = asyncio.Event()
    app.transport.Producer = gated  # type: ignore[misc]
    app._producer_transport = app.transport
    sink = app.topic(target, value_type=bytes)
    seen = []

    @app.agent(app.topic(source, value_type=bytes))
    async def copy(stream: Any) -> None:
        async for value in stream:
            sink.send_soon(value=value)
            seen.append(value)

    async with started(app):
        await until(lambda: len(seen) == COUNT)
        if kind == "hardened":
            commit = asyncio.ensure_future(app.consumer.commit())
            await asyncio.wait([commit], timeout=1)
            assert not commit.done()
            assert 0 == await committed(kafka_settings, source)
        else:
            await until_committed(kafka_settings, source)
        assert [] == await held(kafka_settings, target)
        opened.set()
        await until_committed(kafka_settings, source)
        if kind == "hardened":
            assert COUNT == len(await held(kafka_settings, target))


class PastAnything(HardConsumer):
    _new_offset = driver.Consumer._new_offset


@KINDS
async def test_a_message_in_flight_is_not_committed_past(
    tmp_path: Path, kafka_settings: KafkaSettings, kind: str
) -> None:
    """Override (e): a message that is not acked holds the commit below it."""
    source = await filled(kafka_settings)
    app = app_of(kafka_settings, tmp_path, kind, Consumer=PastAnything)
    events = read_by(app, source)
    async with started(app):
        await until(lambda: len(events) == COUNT)
        for event in events[1:]:
            event.ack()
        if kind == "hardened":
            await app.consumer.commit()
            await app.consumer.commit()
            assert 0 == await committed(kafka_settings, source)
            events[0].ack()
        await until_committed(kafka_settings, source)
