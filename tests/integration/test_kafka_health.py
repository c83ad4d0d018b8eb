"""What orchestrators are told of a worker and of ingress, on a real broker."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import aiohttp
import pytest

from streams.apps.builders import kafka_log
from streams.engines.kafka.client import cluster_monitor as outlook
from streams.engines.kafka.client.publisher import STALLED_SECONDS
from streams.engines.kafka.facts.registry import RegistryStage
from streams.http.auth import MOST
from tests.integration.kafka_cluster import settings_of
from tests.integration.serving import receiving, until, values
from tests.integration.test_kafka_notify import Clock, notifying
from tests.integration.test_kafka_pipeline import EVENTS
from tests.integration.working import lay_out, pipeline, worker

if TYPE_CHECKING:
    from pathlib import Path

    from streams.devkafka.broker import Cluster
    from streams.settings.kafka import KafkaSettings
    from tests.integration.kafka_cluster import StartKafka

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

STILL = 3.0


async def health(url: str, probe: str) -> tuple[int, str]:
    """Ask one probe."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/healthz/{probe}") as got,
    ):
        return got.status, await got.text()


async def becomes(url: str, probe: str, status: int) -> str:
    """Wait until a probe answers so; give its text."""

    async def so() -> str | None:
        found, text = await health(url, probe)
        return text if found == status else None

    return str(await until(so))


async def test_worker_and_ingress_become_ready_and_stay_live(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Live from the start; ready and started once recovered and assigned."""
    await lay_out(kafka_settings)
    async with pipeline(tmp_path, kafka_settings) as run:
        for url in (run.working.url, run.ingress.url):
            assert 200 == (await health(url, "live"))[0]
            await becomes(url, "ready", 200)
            assert "started\n" == await becomes(url, "startup", 200)
            assert 200 == (await health(url, "live"))[0]


async def test_a_loop_that_hangs_is_not_live(
    tmp_path: Path, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process answers, its consumer keeps its place, and nothing gets done."""
    await lay_out(kafka_settings)
    async with worker(tmp_path, kafka_settings, "w0") as working:
        working.process.still_seconds = STILL
        await becomes(working.url, "ready", 200)

        async def hang(_: RegistryStage) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(RegistryStage, "_turn", hang)
        text = await becomes(working.url, "live", 503)
        assert "not live: registry\n" == text
        assert 503 == (await health(working.url, "ready"))[0]
        assert 200 == (await health(working.url, "startup"))[0]


async def test_a_loop_that_turns_and_commits_nothing_is_not_live(
    tmp_path: Path, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heartbeats lie in the topic, and a consumer that fetches none knows of none."""
    await lay_out(kafka_settings)
    async with worker(tmp_path, kafka_settings, "w0") as working:
        working.process.still_seconds = STILL
        await becomes(working.url, "ready", 200)

        async def nothing(*_: object) -> dict[int, list[object]]:
            await asyncio.sleep(0.01)
            return {}

        assert working.process.registry is not None
        monkeypatch.setattr(working.process.registry.member, "poll", nothing)
        assert "not live: registry\n" == await becomes(working.url, "live", 503)


async def test_a_worker_without_partitions_is_ready_where_others_have_all(
    tmp_path: Path, kafka: Cluster
) -> None:
    """And is not while the group has left it, or others, partitions without owner."""
    settings = settings_of(kafka, partitions=1, access_partitions=1)
    await lay_out(settings)
    async with (
        worker(tmp_path, settings, "w0") as first,
        worker(tmp_path, settings, "w1") as second,
    ):
        await becomes(first.url, "ready", 200)
        await becomes(second.url, "ready", 200)
        stages = [each.process.registry for each in (first, second)]
        assert {0, 1} == {len(s.member.assigned) for s in stages if s is not None}
        for each in (first, second):
            idle = each.process.registry
            assert idle is not None
            if idle.member.assigned:
                continue
            each.process.outlook.holders.clear()
            assert "registry" in each.process.waiting(asyncio.get_running_loop().time())


@pytest.mark.long
async def test_without_a_broker_it_is_live_and_not_ready(
    tmp_path: Path, start_kafka: StartKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart would help nobody; once the broker is back so is readiness."""
    monkeypatch.setattr(outlook, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(outlook, "AWAY_SECONDS", 1.0)
    cluster = await start_kafka()
    settings = settings_of(cluster)
    await lay_out(settings)
    async with (
        pipeline(tmp_path, settings) as run,
        receiving() as receiver,
        notifying(tmp_path / "notify", settings, receiver, Clock()) as notify,
    ):
        urls = (run.working.url, run.ingress.url, notify.url)
        process = run.working.process
        process.still_seconds = STILL
        for url in urls:
            await becomes(url, "ready", 200)
        cluster.nodes[0].freeze()
        for url in urls:
            await becomes(url, "ready", 503)
        loop = asyncio.get_running_loop()
        end = loop.time() + STILL + 1
        while loop.time() < end:
            for url in urls:
                assert (200, "live\n") == await health(url, "live")
            await asyncio.sleep(0.05)
        cluster.nodes[0].thaw()
        for url in urls:
            await becomes(url, "ready", 200)
            await becomes(url, "live", 200)


@pytest.mark.long
async def test_while_the_broker_hangs_revocations_are_told_to_come_again(
    tmp_path: Path, start_kafka: StartKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many come: the log is behind, and not who sends them."""
    monkeypatch.setattr(kafka_log, "ACK_SECONDS", 4.0)
    cluster = await start_kafka()
    settings = settings_of(cluster)
    await lay_out(settings)
    given = values(tmp_path)["authorities"]
    given["aws"]["quota"] = {"causes_per_second": 0.001, "burst_seconds": 1000}
    async with (
        pipeline(tmp_path, settings, authorities=given) as run,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        await becomes(run.ingress.url, "ready", 200)
        cluster.nodes[0].freeze()
        body = {"identifier": "vault.accessor:a1"}

        async def revoke() -> tuple[int, str]:
            headers = {"Authorization": "Bearer revoker"}
            url = f"{run.ingress.url}/v1/revocations"
            async with session.post(url, json=body, headers=headers) as got:
                return got.status, got.headers.get("Retry-After", "")

        async with asyncio.TaskGroup() as tasks:
            first = [tasks.create_task(revoke()) for _ in range(MOST)]
            await asyncio.sleep(2 * STALLED_SECONDS)
            more = [tasks.create_task(revoke()) for _ in range(20)]
        assert {(503, "1")} == {each.result() for each in [*first, *more]}
        events = json.dumps({"Records": EVENTS}).encode()
        for _ in range(2):
            answer = await run.post("/v1/events/cloudtrail", "aws", events)
            assert 503 == answer[0]
        cluster.nodes[0].thaw()
        await becomes(run.ingress.url, "ready", 200)
        assert 202 == (await run.post("/v1/events/cloudtrail", "aws", events))[0]
