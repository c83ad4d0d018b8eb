"""What Faust alone loses on a real broker, and the hardened app does not.


Each test runs the same agent twice: on Faust as it comes, where it must show the loss,
and on `streams.faust_shell.hardened`, where there must be none.
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

from streams.faust_shell.apps import agent_app
from streams.faust_shell.hardened import HardApp, HardConsumer, HardProducer, HardTopic
from tests.integration.serving import until
from tests.integration.test_kafka_topics import administer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from streams.kafka.settings import KafkaSettings
    from tests.integration.kafka_cluster import StartKafka

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

COUNT = 8
BOTH = pytest.mark.parametrize("hardened", [False, True], ids=["faust", "hardened"])


def app_of(
    kafka: KafkaSettings, folder: Path, *, hardened: bool, **more: Any
) -> HardApp:
    """Give an app of one kind or the other with the same settings."""
    if not hardened:
        more |= {"Topic": Topic, "app_class": faust.App}
    return agent_app(
        kafka.group("losses"), kafka, folder, broker_commit_interval=0.1, **more
    )


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


@BOTH
async def test_a_failed_produce_is_not_committed_past(
    tmp_path: Path, kafka_settings: KafkaSettings, *, hardened: bool
) -> None:
    """Overrides (a) and (b): the app crashes, and nothing is committed."""
    source = await make(kafka_settings, "source")
    refusing = await make(kafka_settings, "sink", **{"max.message.bytes": "200"})
    await fill(kafka_settings, source)
    app = app_of(kafka_settings, tmp_path, hardened=hardened)
    sink = app.topic(refusing, value_type=bytes)
    seen = []

    @app.agent(app.topic(source, value_type=bytes))
    async def copy(stream: Any) -> None:
        async for value in stream:
            await sink.send(value=value * 1000)
            seen.append(value)

    async with started(app):
        if hardened:
            await until(lambda: app.crashed)
        else:

            async def past() -> bool:
                return await committed(kafka_settings, source) == COUNT

            await until(past)

    assert [] == await held(kafka_settings, refusing)
    assert (0 if hardened else COUNT) == await committed(kafka_settings, source)
    if hardened:
        assert "MessageSizeTooLarge" in type(app.failure).__name__


class Gate:
    """Stands for a broker that takes nothing for a while: sends wait at it."""

    opened: asyncio.Event


class GatedPlain(Gate, driver.Producer):
    async def send(self, *args: Any, **kwargs: Any) -> Any:
        await self.opened.wait()
        return await super().send(*args, **kwargs)


class GatedHard(Gate, HardProducer):
    async def send(self, *args: Any, **kwargs: Any) -> Any:
        await self.opened.wait()
        return await super().send(*args, **kwargs)


@BOTH
async def test_a_commit_waits_for_a_slow_broker(
    tmp_path: Path,
    kafka_settings: KafkaSettings,
    monkeypatch: pytest.MonkeyPatch,
    *,
    hardened: bool,
) -> None:
    """Override (d): what lies in the buffer is sent before it counts as done."""
    source = await make(kafka_settings, "source")
    target = await make(kafka_settings, "sink")
    await fill(kafka_settings, source)
    app = app_of(kafka_settings, tmp_path, hardened=hardened)
    sink = app.topic(target, value_type=bytes)
    seen = []

    @app.agent(app.topic(source, value_type=bytes))
    async def copy(stream: Any) -> None:
        async for value in stream:
            sink.send_soon(value=value)
            seen.append(value)

    gated: Any = GatedHard if hardened else GatedPlain
    opened = gated.opened = asyncio.Event()
    monkeypatch.setattr(app.transport, "Producer", gated)
    monkeypatch.setattr(app, "_producer_transport", app.transport)
    async with started(app):
        await until(lambda: len(seen) == COUNT)
        # One that began before the last record was seen may still be under way.
        for _ in range(2):
            commit = asyncio.ensure_future(app.consumer.commit())
            await asyncio.wait([commit], timeout=3)
        told = await committed(kafka_settings, source)
        assert [] == await held(kafka_settings, target)
        assert (0 if hardened else COUNT) == told
        assert hardened is not commit.done()
        opened.set()

        async def all_of_it() -> bool:
            return await committed(kafka_settings, source) == COUNT

        await until(all_of_it)
        if hardened:
            assert COUNT == len(await held(kafka_settings, target))
