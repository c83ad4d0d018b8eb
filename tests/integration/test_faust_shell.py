"""The engine on Kafka inside its Faust app: it starts, stops and breaks with it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiokafka import TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.apps.ingress import receive
from streams.engines.kafka.records.codec import partition_of
from streams.engines.kafka.topics.topics import LayoutError
from streams.faust_shell import worker
from streams.faust_shell.apps import host_app
from streams.faust_shell.running import Engine, run_app
from streams.settings.kafka import KafkaSettings
from streams.settings.server import Settings
from streams.settings.worker import WorkerSettings
from tests.integration.notifying import program, webhook_at
from tests.integration.serving import created_key, deleted_key, until, values
from tests.integration.test_kafka_topics import administer
from tests.integration.working import lay_out, records, task_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

KEY = "AKIAEXAMPLE000000001"
EVENTS = [
    created_key(KEY, "bob", "2026-01-01T10:00:00Z", "e1"),
    deleted_key(KEY, "bob", "2026-01-01T12:00:00Z", "e2"),
]


async def test_the_worker_runs_in_an_app_that_reads_nothing(
    tmp_path: Path, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pages answer and its timer turns; Faust's own clients never start."""
    await lay_out(kafka_settings)
    apps = []

    def kept(*args: Any) -> Any:
        apps.append(host_app(*args))
        return apps[-1]

    told: list[dict[str, Any]] = []

    def keep(_: str, **more: Any) -> None:
        told.append(more)

    monkeypatch.setattr(worker, "host_app", kept)
    monkeypatch.setattr(worker, "TELL_SECONDS", 0.05)
    monkeypatch.setattr(worker.log, "info", keep)
    settings = Settings(**values(tmp_path))
    mine = WorkerSettings(name="w0", data_dir=tmp_path / "worker")
    async with (
        task_of(
            lambda stop, told: worker.host(
                settings, kafka_settings, mine, stop=stop, started=told
            )
        ) as working,
        aiohttp.ClientSession() as session,
    ):

        async def ready() -> bool:
            async with session.get(f"{working.url}/healthz/ready") as got:
                return got.status == 200

        await until(ready)
        await until(lambda: {"registry", "sentinel"} <= {m["stage"] for m in told})
        (app,) = apps
        assert app.started
        assert (None, None) == (app._consumer, app._producer)
    assert app.state == "stopping"
    assert not app.crashed


async def test_without_topics_the_worker_does_not_start(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """What the engine raises before it works comes out as it is."""
    mine = WorkerSettings(name="w0", data_dir=tmp_path / "worker")
    with pytest.raises(LayoutError):
        await worker.host(Settings(**values(tmp_path)), kafka_settings, mine)


async def test_a_refused_produce_ends_the_hosted_worker_with_70(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Faust's cleanup does not run, and what was not acked is not committed."""
    kafka = kafka_settings
    await lay_out(kafka)
    topic = ConfigResource(
        ConfigResourceType.TOPIC,
        kafka.topic("invalidations"),
        {"max.message.bytes": "40"},
    )
    await administer(kafka, "alter_configs", [topic])
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
async def test_the_programs_end_cleanly_when_told(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """SIGTERM is exit code 0, for the worker and for notify."""
    await lay_out(kafka_settings)
    settings = {**values(tmp_path), **webhook_at("http://127.0.0.1:9/")}
    folder = tmp_path / "n"
    folder.mkdir()
    async with (
        program(kafka_settings, tmp_path, "worker", settings=settings) as first,
        program(kafka_settings, folder, "notify", settings=settings) as second,
    ):
        for running in (first, second):
            assert running.url
            assert 0 == await running.stopped(), running.log.read_text()
            assert "Traceback" not in running.log.read_text()


def breaking(after: bool) -> Callable[[Callable[[Any], None]], Any]:
    """Give a loop that breaks before it works, or after."""

    async def loop(works: Callable[[Any], None]) -> None:
        if after:
            works(None)
            await asyncio.sleep(0)
        raise OSError("it broke")

    return loop


@pytest.mark.parametrize("after", [False, True])
async def test_a_loop_that_breaks_ends_its_app(tmp_path: Path, *, after: bool) -> None:
    """Its error is raised, whenever it came; no broker is asked for that."""
    stop = asyncio.Event()
    app = host_app("breaks", KafkaSettings(), tmp_path)
    app.service(Engine(breaking(after), stop))  # type: ignore[arg-type]  # as there
    with pytest.raises(OSError, match="it broke"):
        await run_app(app, stop)
    assert stop.is_set()
