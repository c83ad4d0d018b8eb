"""Ingress, registry and sentinel on a real broker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic

from agents_registry.inventory import table
from agents_registry.registry import Registry
from streams.http.table_answers import table_row
from streams.model.times import SECOND
from streams.observability.metrics import INGRESS, WORKER
from tests.integration.serving import created_key, deleted_key, until, used_key
from tests.integration.test_kafka_topics import administer, put
from tests.integration.working import decoded, facts_of, lay_out, pipeline, records
from tests.scraped import check_scrape

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

NOW = 1_800_000_000 * SECOND
KEY = "AKIAEXAMPLE000000001"
EVENTS = [
    created_key(KEY, "bob", "2026-01-01T10:00:00Z", "e1"),
    used_key(KEY, "bob", "2026-01-01T11:00:00Z", "e2"),
    deleted_key(KEY, "bob", "2026-01-01T12:00:00Z", "e3"),
    used_key(KEY, "bob", "2026-01-01T13:00:00Z", "e4"),
]


async def test_events_become_a_table_invalidations_and_findings(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """The table is that of the facts; a use of a dead key is found and told."""
    await lay_out(kafka_settings)
    async with pipeline(tmp_path, kafka_settings) as run:
        body = json.dumps({"Records": EVENTS}).encode()
        status, answer = await run.post("/v1/events/cloudtrail", "aws", body)
        assert (202, 0) == (status, answer["dead_letters"])
        await run.settled()
        model = Registry.build(await facts_of(kafka_settings))
        rows = [table_row(row) for row in table(model, NOW)]

        assert rows == await run.table(NOW)
        check_scrape(await run.scrape(run.ingress.url), INGRESS)
        text = await run.scrape(run.working.url)
        check_scrape(text, WORKER)
        assert 'rescind_findings_total{kind="use_after_revocation"} 1.0' in text
    told = await decoded(kafka_settings, "invalidations")
    found = await decoded(kafka_settings, "findings")
    assert f"aws.access_key:{KEY}" in {each["identifier"] for each in told}
    assert [("use_after_revocation", ["e4"])] == [
        (each["kind"], each["event_ids"]) for each in found
    ]


@pytest.mark.long
async def test_a_worker_goes_on_with_and_without_its_files(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Warm, it reads only what is new; cold, everything; the table is the same."""
    await lay_out(kafka_settings)
    tables = []
    for number, folder in enumerate(("a", "a", "b")):
        async with pipeline(tmp_path / folder, kafka_settings) as run:
            body = json.dumps({"Records": [EVENTS[number]]}).encode()
            status, _ = await run.post("/v1/events/cloudtrail", "aws", body)
            assert status == 202
            await run.settled()
            tables.append(await run.table(NOW))
            model = Registry.build(await facts_of(kafka_settings))
            assert tables[-1] == [table_row(row) for row in table(model, NOW)]


async def test_refused_bytes_and_strangers_leave_traces(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """What cannot be read goes to the dead letters; who may not speak is found."""
    await lay_out(kafka_settings)
    async with pipeline(tmp_path, kafka_settings) as run:
        status, answer = await run.post("/v1/events/cloudtrail", "aws", b"{nonsense")
        assert (202, 1) == (status, answer["dead_letters"])
        alien = json.dumps(EVENTS[2]).encode()
        status, _ = await run.post("/v1/events/cloudtrail", "stranger", alien)
        assert status == 202
        await run.settled()
    letters = await decoded(kafka_settings, "dlq")
    found = await decoded(kafka_settings, "findings")
    assert 2 == len(letters)
    assert "unauthorised" in {each["kind"] for each in found}


async def test_poison_moves_on_to_the_dead_letters(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Records that nobody can read stop no partition and are kept once each."""
    await lay_out(kafka_settings)
    for partition in range(kafka_settings.partitions):
        await put(kafka_settings, partition, key=b"default/node/x", value=b"\0poison")
    async with pipeline(tmp_path, kafka_settings) as run:
        body = json.dumps({"Records": EVENTS}).encode()
        assert 202 == (await run.post("/v1/events/cloudtrail", "aws", body))[0]
        await run.settled()
    letters = [record.key for record in await records(kafka_settings, "dlq")]
    assert kafka_settings.partitions == len(letters) == len(set(letters))
    assert [] != await decoded(kafka_settings, "invalidations")


async def test_a_raw_topic_is_an_input(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """What a source publishes to its own topic is taken in once, restarts or not."""
    raw = f"{kafka_settings.prefix}.idp-events"
    more = {"raw_topics": [{"topic": raw, "source": "cloudtrail", "authority": "aws"}]}
    await lay_out(kafka_settings)
    await administer(kafka_settings, "create_topics", [NewTopic(raw, 2, 1)])
    producer = AIOKafkaProducer(**kafka_settings.client(), acks="all")
    await producer.start()
    try:
        for number, events in enumerate((EVENTS[:2], EVENTS[2:])):
            body = json.dumps({"Records": events}).encode()
            await producer.send_and_wait(raw, body, partition=number)
            async with pipeline(tmp_path, kafka_settings, **more) as run:
                wanted = ("e1", "e3")[number]

                async def taken(wanted: str = wanted) -> bool:
                    facts = await facts_of(kafka_settings)
                    return wanted in {fact.event_id for fact in facts}

                await until(taken)
                await run.settled()
    finally:
        await producer.stop()
    keys = [
        r.key for r in await records(kafka_settings, "facts") if b"/cause/" in r.key
    ]
    assert 1 == len(keys)
