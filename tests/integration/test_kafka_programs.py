"""The programs of the roles on Kafka: how they start, work and end."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiokafka import TopicPartition

from streams.apps.ingress import receive
from streams.engines.kafka.records.codec import partition_of
from streams.settings.server import Settings
from tests.integration.notifying import program, webhook_at
from tests.integration.serving import created_key, deleted_key, until, values
from tests.integration.test_kafka_topics import administer, configure
from tests.integration.working import lay_out, records, task_of

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings


pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

KEY = "AKIAEXAMPLE000000001"
EVENTS = [
    created_key(KEY, "bob", "2026-01-01T10:00:00Z", "e1"),
    deleted_key(KEY, "bob", "2026-01-01T12:00:00Z", "e2"),
]
OFFSET = re.compile(r"^rescind_clock_offset_seconds (\S+)$", re.MULTILINE)


async def test_a_worker_measures_its_clock_and_ends_by_a_signal(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """By the brokers' clock, as deployed: an offset of exactly 0 is none measured."""
    await lay_out(kafka_settings)
    async with (
        program(kafka_settings, tmp_path, "worker", settings=values(tmp_path)) as it,
        aiohttp.ClientSession() as session,
    ):
        assert it.url, it.log.read_text()

        async def measured() -> bool:
            async with session.get(f"{it.url}/metrics") as got:
                (offset,) = OFFSET.findall(await got.text())
            return float(offset) != 0

        await until(measured)
        assert 0 == await it.stopped(), it.log.read_text()


async def test_without_topics_a_worker_does_not_start(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """It says which command shows what is missing."""
    async with program(
        kafka_settings, tmp_path, "worker", settings=values(tmp_path)
    ) as running:
        assert 2 == await running.ended()
        assert "rescind topics plan" in running.log.read_text()


@pytest.mark.long
async def test_a_refused_produce_ends_the_worker_with_70(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """What was not acked is not committed."""
    kafka = kafka_settings
    await lay_out(kafka)
    await configure(kafka, "invalidations", max_message_bytes="40")
    settings = values(tmp_path)
    async with (
        task_of(
            lambda stop, told: receive(
                Settings(**settings), kafka, "i0", stop=stop, started=told
            )
        ) as ingress,
        aiohttp.ClientSession() as session,
        program(kafka, tmp_path, "worker", settings=settings) as running,
    ):
        headers = {"Authorization": "Bearer aws"}
        url = f"{ingress.url}/v1/events/cloudtrail"
        body = json.dumps({"Records": EVENTS})
        async with session.post(url, data=body, headers=headers) as got:
            assert 202 == got.status
        assert 70 == await running.ended(), running.log.read_text()
    group = kafka.group("registry")
    found = await administer(kafka, "list_consumer_group_offsets", group)
    number = partition_of("default", kafka.partitions)
    place = found.get(TopicPartition(kafka.topic("facts"), number))
    causes = [r.offset for r in await records(kafka, "facts") if b"/cause/" in r.key]
    assert place is None or place.offset <= min(causes)
    assert [] == await records(kafka, "invalidations")


@pytest.mark.long
async def test_a_notify_process_ends_cleanly_when_told(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """SIGTERM is exit code 0."""
    await lay_out(kafka_settings)
    settings = {**values(tmp_path), **webhook_at("http://127.0.0.1:9/")}
    async with program(
        kafka_settings, tmp_path, "notify", settings=settings
    ) as running:
        assert running.url
        assert 0 == await running.stopped(), running.log.read_text()
        assert "Traceback" not in running.log.read_text()
