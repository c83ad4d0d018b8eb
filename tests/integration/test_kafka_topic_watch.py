"""Topics that change under those who work on them, on a real broker."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError

from streams.engines.kafka.records.genesis import read_geneses
from streams.engines.kafka.topics import topic_watch
from streams.engines.kafka.topics.topics import LayoutError
from tests.integration.kafka_cluster import settings_of
from tests.integration.serving import receiving, until
from tests.integration.test_kafka_health import becomes
from tests.integration.test_kafka_notify import Clock, notifying
from tests.integration.test_kafka_pipeline import EVENTS
from tests.integration.test_kafka_topics import administer, configure
from tests.integration.working import lay_out, pipeline

if TYPE_CHECKING:
    from pathlib import Path

    from streams.devkafka.broker import Cluster
    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

BODY = json.dumps({"Records": EVENTS}).encode()


@pytest.mark.parametrize(
    ("name", "configs"),
    [
        ("facts", {"cleanup_policy": "delete"}),
        ("facts", {"cleanup_policy": "compact,delete"}),
        ("sources", {"cleanup_policy": "delete"}),
    ],
)
async def test_nothing_starts_on_a_topic_that_loses_state(
    tmp_path: Path, kafka_settings: KafkaSettings, name: str, configs: dict[str, str]
) -> None:
    """The error names the topic and what to do."""
    await lay_out(kafka_settings)
    await configure(kafka_settings, name, **configs)
    wanted = rf"{kafka_settings.topic(name)}: config: want cleanup.policy=compact"
    with pytest.raises(BaseExceptionGroup) as caught:
        async with pipeline(tmp_path, kafka_settings):
            pass
    found = str(leaf_of(caught.value))
    assert wanted in found


def leaf_of(error: BaseException) -> BaseException:
    """Give the layout error in a group."""
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions[:1]
    assert isinstance(error, LayoutError)
    return error


async def test_a_topic_that_begins_to_delete_is_not_written_to(
    tmp_path: Path, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is ready and nothing accepted, until it is set right again."""
    monkeypatch.setattr(topic_watch, "LOOK_SECONDS", 1.0)
    await lay_out(kafka_settings)
    async with (
        pipeline(tmp_path, kafka_settings) as run,
        receiving() as receiver,
        notifying(tmp_path / "n", kafka_settings, receiver, Clock()) as notify,
    ):
        urls = (run.working.url, run.ingress.url, notify.url)
        for url in urls:
            await becomes(url, "ready", 200)
        await configure(kafka_settings, "facts", cleanup_policy="delete")
        for url in urls:
            await becomes(url, "ready", 503)
            await becomes(url, "live", 200)
        status, answer = await run.post("/v1/events/cloudtrail", "aws", BODY)
        assert (503, "not written") == (status, answer["title"])
        await lay_out(kafka_settings)
        for url in urls:
            await becomes(url, "ready", 200)
        assert 202 == (await run.post("/v1/events/cloudtrail", "aws", BODY))[0]


async def anew(kafka: KafkaSettings) -> None:
    """Make ``facts`` anew, without a genesis, and wait until the broker serves it.

    The controller answers before the broker drops the old log, which takes records
    until then; the new one is told by its missing genesis.
    """
    topic = kafka.topic("facts")
    await administer(kafka, "delete_topics", [topic])
    configs = {"cleanup.policy": "compact"}
    new = NewTopic(topic, kafka.partitions, 1, topic_configs=configs)

    async def made() -> bool:
        answer = await administer(kafka, "create_topics", [new])
        return bool(answer.topic_errors[0][1] == 0)

    async def served() -> bool:
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(5):
                return not await read_geneses(kafka)
        return False

    await until(made)
    await until(served)


async def test_a_log_made_anew_without_genesis_accepts_nothing(
    tmp_path: Path, kafka: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anybody looks: its ends tell that it is another one."""
    settings = settings_of(kafka, partitions=1, access_partitions=1)
    monkeypatch.setattr(topic_watch, "LOOK_SECONDS", 3600.0)
    await lay_out(settings)
    async with pipeline(tmp_path, settings) as run:
        await becomes(run.ingress.url, "ready", 200)
        statuses: list[int] = []

        async def posted() -> int:
            return (await run.post("/v1/events/cloudtrail", "aws", BODY))[0]

        for _ in range(3):
            assert 202 == await posted()
        await anew(settings)
        statuses = [await posted() for _ in range(5)]
        assert {503} == set(statuses)
        await becomes(run.ingress.url, "ready", 503)
