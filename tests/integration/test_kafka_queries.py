"""A worker answers what the embedded server does, of the realms that it has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from streams.engines.kafka.records.codec import partition_of
from tests.integration.kafka_cluster import settings_of
from tests.integration.serving import running, until
from tests.integration.test_kafka_pipeline import EVENTS, KEY
from tests.integration.test_ssf_poll import polled
from tests.integration.test_ssf_push import signed, stream
from tests.integration.working import lay_out, pipeline, worker
from tests.transmitter import BEARER, transmitting

if TYPE_CHECKING:
    from pathlib import Path

    from streams.devkafka.broker import Cluster
    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

PATHS = (
    f"why/aws.access_key:{KEY}",
    f"why/aws.access_key:{KEY}?at=2026-01-01T11:30:00Z",
    "why/aws.access_key:AKIAEXAMPLENOBODYKNOW",
    f"blast-radius/aws.access_key:{KEY}",
    f"lineage/aws.access_key:{KEY}?limit=3",
    f"nodes/aws.access_key:{KEY}",
    f"uses?identifier=aws.access_key:{KEY}",
    "inventory?limit=5",
    "table?now=1800000000000000000",
    "inventory?limit=none",
    "why/nonsense",
    "why/vault.accessor:8609694a-cdbc-db9b-d345-e782dbb562ed",
    "why/vault.token:hvs.secret-in-plain-text",
)


async def ask(url: str, path: str, token: str = "viewer") -> tuple[int, Any]:
    """Ask a question; give status and decoded answer, without how far the log was."""
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{url}/v1/{path}") as got,
    ):
        answer = await got.json(content_type=None)
        answer.pop("as_of", None)
        return got.status, answer


async def test_a_worker_answers_as_the_embedded_server_does(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """The same handlers over the same facts: refusals too."""
    await lay_out(kafka_settings)
    body = json.dumps({"Records": EVENTS}).encode()
    async with (
        pipeline(tmp_path, kafka_settings) as run,
        running(tmp_path) as server,
    ):
        assert 202 == (await run.post("/v1/events/cloudtrail", "aws", body))[0]
        assert 202 == (await server.post("/v1/events/cloudtrail", "aws", body))[0]
        await run.settled()
        await until(lambda: server.served.stages.idle)
        url = run.working.url
        for path in PATHS:
            assert await ask(server.url, path) == await ask(url, path)
        for token in ("guard", "nobody"):
            assert (await ask(server.url, PATHS[0], token))[0] in (401, 403)
            assert (await ask(url, PATHS[0], token))[0] in (401, 403)
        status, answer = await ask(url, "table?realm=other")
        assert (403, "another realm") == (status, answer["title"])
        assert 403 == (await ask(server.url, "table?realm=other"))[0]


async def test_what_another_worker_has_is_answered_with_where(
    tmp_path: Path, kafka: Cluster
) -> None:
    """503, the partition, and the name and host of who has it."""
    settings = settings_of(kafka, partitions=2, access_partitions=2)
    await lay_out(settings)
    async with (
        worker(tmp_path, settings, "w0") as first,
        worker(tmp_path, settings, "w1") as second,
    ):

        async def told() -> list[tuple[int, Any]] | None:
            found = [
                await ask(each.url, "table?realm=default") for each in (first, second)
            ]
            answered = sorted(status for status, _ in found) == [200, 503]
            elsewhere = any("worker" in answer for _, answer in found)
            return found if answered and elsewhere else None

        found = await until(told)
    place = [status for status, _ in found].index(503)
    _, answer = found[place]
    assert "not here" == answer["title"]
    assert f"w{1 - place}" == answer["worker"]
    assert partition_of("default", 2) == answer["partition"]
    assert answer["host"]


async def test_ingress_on_kafka_takes_pushed_security_events(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """A signed SET denies its token; one that is not signed as set up is refused."""
    await lay_out(kafka_settings)
    async with pipeline(tmp_path, kafka_settings, **stream(tmp_path)) as run:
        url = f"{run.ingress.url}/v1/ssf/push/idp"
        headers = {
            "Authorization": "Bearer stranger",
            "Content-Type": "application/secevent+jwt",
        }
        for token, expected in ((signed(), 202), (signed() + b"x", 400)):
            async with run.session.post(url, data=token, headers=headers) as got:
                assert expected == got.status
        await run.settled()
        status, why = await ask(run.working.url, "why/jwt.jti:tok-1")
        assert (200, False) == (status, why["allowed"])
        assert why["dead"]


async def test_ingress_polls_a_transmitter(
    tmp_path: Path, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it takes in is acknowledged, and denied by whoever has the realm."""
    monkeypatch.setenv("SSF_TEST_TOKEN", BEARER)
    await lay_out(kafka_settings)
    async with transmitting() as transmitter:
        transmitter.put("a1")
        settings = polled(transmitter)
        async with pipeline(tmp_path, kafka_settings, **settings) as run:
            await until(lambda: "a1" in transmitter.acked)
            await run.settled()
            status, why = await ask(run.working.url, "why/jwt.jti:tok-a1")
    assert (200, True) == (status, why["dead"])
