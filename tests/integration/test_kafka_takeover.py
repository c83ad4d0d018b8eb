"""A worker with warm tables takes over from one that was killed, and loses nothing."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.integration.kafka_cluster import settings_of
from tests.integration.kafka_crash_run import Run, Worker
from tests.integration.serving import until
from tests.integration.test_kafka_pipeline import EVENTS, KEY
from tests.integration.working import lay_out, worker

if TYPE_CHECKING:
    from pathlib import Path

    from streams.devkafka.broker import Cluster

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

# Of this seed the script ends with its revocations: nothing after makes them good.
SEED = 7118


@pytest.mark.long
async def test_a_standby_publishes_what_a_killed_owner_did_not(
    tmp_path: Path, kafka: Cluster
) -> None:
    """Kill -9 before anything is acked: the standby knows it, and tells it again."""
    settings = settings_of(kafka, partitions=1, access_partitions=1)
    await lay_out(settings)
    run = Run(SEED, tmp_path, settings)

    assert await run.take_over("registry.published:1")


@pytest.mark.long
async def test_a_standby_that_is_behind_serves_nothing_until_it_is_not(
    tmp_path: Path, kafka: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was accepted before it took over is in the first table that it gives."""
    settings = settings_of(kafka, partitions=1, access_partitions=1)
    await lay_out(settings)
    run = Run(7120, tmp_path, settings, posts=[])
    run.posts[:] = [json.dumps({"Records": EVENTS}).encode()]
    async with run.ingress() as ingress, run.worker("w0", session=2) as owner:
        await run.ready(owner)
        async with worker(
            tmp_path, settings, "w1", session_seconds=2, standby=True
        ) as second:
            registry = second.process.registry
            assert registry is not None
            standby = registry.standby
            assert standby is not None
            await until(lambda: standby.progress.ready)

            behind = asyncio.Event()

            async def nothing(_: float) -> dict[int, list[Any]]:
                behind.set()
                await asyncio.sleep(0.05)
                return {}

            monkeypatch.setattr(standby._tail, "poll", nothing)
            poll, held, asked = registry.member.poll, asyncio.Event(), asyncio.Event()

            async def once_asked(*given: Any) -> dict[int, list[Any]]:
                """Read nothing before a question met what was taken over."""
                if 0 in registry.partitions and not asked.is_set():
                    held.set()
                    await asked.wait()
                return await poll(*given)

            monkeypatch.setattr(registry.member, "poll", once_asked)
            await behind.wait()  # the poll before may have brought what comes now
            await run.send(ingress.url)
            await run.settled([owner])
            assert registry.serving(0) is None
            owner.kill()
            headers = {"Authorization": "Bearer viewer"}
            async with aiohttp.ClientSession(headers=headers) as session:

                async def first() -> str | None:
                    url, met = f"{second.url}/v1/table", held.is_set()
                    async with session.get(url) as got:
                        assert got.status in (200, 503)
                        told = await got.text() if got.status == 200 else None
                    if met:
                        asked.set()
                    return told

                assert KEY in str(await until(first))


async def test_a_partition_that_comes_back_is_tailed_on(
    tmp_path: Path, kafka: Cluster
) -> None:
    """Owner, standby and owner again, with the tables of the first time."""
    settings = settings_of(kafka, partitions=2, access_partitions=2)
    await lay_out(settings)
    run = Run(7130, tmp_path, settings)
    half = len(run.posts) // 2
    async with (
        run.ingress() as ingress,
        worker(tmp_path, settings, "w0", session_seconds=2, standby=True) as first,
    ):
        registry = first.process.registry
        assert registry is not None
        await until(lambda: len(registry.member.assigned) == 2)
        await run.send(ingress.url, range(half))
        async with run.worker("w1", session=2, standby=True):
            standby = registry.standby
            assert standby is not None
            await until(lambda: standby.progress.ready and standby.partitions)
            assert not standby.partitions.keys() & registry.member.assigned
            await run.send(ingress.url)
        await until(lambda: registry.progress.ready and not standby.partitions)
        assert {0, 1} == registry.partitions.keys()
        assert not [p for p in registry.partitions.values() if p.standby]
        await run.check([Worker(None, first.url)])
