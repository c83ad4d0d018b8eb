"""Containment on Kafka: another ingress goes on where the first one was."""

from __future__ import annotations

import threading
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from agents_registry.facts import Cause
from streams.apps.ingress import receive
from streams.apps.worker import work
from streams.services.containment import ContainmentWorker
from streams.services.intake import NotWrittenError
from streams.settings.server import Settings
from streams.settings.worker import WorkerSettings
from streams.stages.containment.containment import Containment
from streams.stages.ingest.entitlement import CONTAINMENT
from tests.integration.serving import until, values
from tests.integration.test_containment import (
    AGENT,
    ended,
    issued,
    send,
    settings,
    used,
)
from tests.integration.working import Pipeline, facts_of, lay_out, task_of

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(240)]


async def looks(url: str, session: aiohttp.ClientSession) -> bool:
    """Tell whether an ingress has the work, and looks."""
    async with session.get(f"{url}/metrics") as got:
        return "rescind_containment_behind_seconds " in await got.text()


async def test_another_ingress_does_what_the_first_had_decided(
    tmp_path: Path,
    kafka_settings: KafkaSettings,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One fact, of the time of the decision; the decision is made in a thread aside."""
    await lay_out(kafka_settings)
    given = Settings(**values(tmp_path, **settings(repository)))
    own = WorkerSettings(name="w0", data_dir=tmp_path / "worker")
    threads: set[str] = set()
    decide, do = Containment.decide, ContainmentWorker._do

    def noted(stage: Containment, *more: Any) -> Any:
        threads.add(threading.current_thread().name)
        return decide(stage, *more)

    died: list[str] = []

    async def dies(_: object, decisions: Any) -> None:
        died.append(decisions[0].key)
        raise NotWrittenError("the process ends once it has decided")

    monkeypatch.setattr(Containment, "decide", noted)
    monkeypatch.setattr(ContainmentWorker, "_do", dies)

    def ingress(name: str) -> Any:
        return task_of(
            lambda stop, told: receive(
                given, kafka_settings, name, stop=stop, started=told
            )
        )

    async def contained() -> list[Cause]:
        return [
            each
            for each in await facts_of(kafka_settings)
            if isinstance(each, Cause) and each.authority == CONTAINMENT
        ]

    async with AsyncExitStack() as running:
        enter = running.enter_async_context
        await enter(
            task_of(
                lambda stop, told: work(
                    given, kafka_settings, own, stop=stop, started=told
                )
            )
        )
        session = await enter(aiohttp.ClientSession())
        async with ingress("i0") as first:
            await until(lambda: looks(first.url, session))
            run: Any = Pipeline(kafka_settings, first, first, session)
            await send(run, issued("t1"), issued("t2"), ended("t1"), used("t1", 1))
            await until(lambda: bool(died))
        assert [] == await contained()
        decided_by = time.time_ns()
        monkeypatch.setattr(ContainmentWorker, "_do", do)
        async with ingress("i1") as second:
            await until(contained)
            await until(lambda: looks(second.url, session))
            run = Pipeline(kafka_settings, second, second, session)
            await send(run, used("t1", 2))
            (cause,) = await contained()
            assert cause.at < decided_by
            assert (AGENT, "stop") == (str(cause.target), cause.aspect)
    assert {"analysis"} == threads
