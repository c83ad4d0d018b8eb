"""A worker whose disk is full goes on with what it holds, and says so."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING

import pytest

from streams.engines.kafka.checkpoints import journal
from streams.engines.kafka.client import disk
from streams.engines.kafka.records.codec import partition_of
from tests.integration.serving import until
from tests.integration.test_kafka_health import becomes
from tests.integration.test_kafka_pipeline import EVENTS, KEY
from tests.integration.working import decoded, ends, lay_out, pipeline

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.mark.long
async def test_a_worker_works_on_without_room_and_commits_nothing_it_did_not_save(
    tmp_path: Path, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Revocations are listed, uses found; with room again it is as it was."""
    monkeypatch.setattr(disk, "AGAIN_SECONDS", 0.2)
    kafka = kafka_settings
    await lay_out(kafka)
    number = partition_of("default", kafka.partitions)
    async with pipeline(tmp_path, kafka) as run:
        process = run.working.process
        registry, sentinel = process.registry, process.sentinel
        assert registry is not None
        assert sentinel is not None
        await becomes(run.working.url, "ready", 200)
        before = registry.partitions[number].file.position
        with monkeypatch.context() as full:
            refused: list[int] = []

            def no_room(file: BinaryIO, data: bytes) -> None:
                file.write(data[: len(data) // 2])
                refused.append(len(data))
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            full.setattr(journal, "_write", no_room)
            for each in sentinel.watched.values():
                each.file._db.execute("PRAGMA max_page_count = 1")
            body = json.dumps({"Records": EVENTS}).encode()
            assert (await run.post("/v1/events/cloudtrail", "aws", body))[0] == 202

            async def listed() -> bool:
                told = await decoded(kafka, "invalidations")
                used = await decoded(kafka, "findings")
                named = {each["presented"] for each in used if each["cause"]}
                dead = {each["identifier"] for each in told}
                return f"aws.access_key:{KEY}" in dead & named

            await until(listed)
            await until(lambda: len(refused) > 4)
            await becomes(run.working.url, "ready", 200)
            await becomes(run.working.url, "live", 200)
            partition = registry.partitions[number]
            assert before == partition.file.position < partition.position
            await until(lambda: registry.progress.full)
            await registry._commit(at_once=True)
            assert registry.member.kept[number] <= before
        for each in sentinel.watched.values():
            each.file._db.execute("PRAGMA max_page_count = 1000000")
        end = (await ends(kafka, "facts", kafka.partitions))[number]
        await until(lambda: registry.partitions[number].file.position > before)
        await until(lambda: registry.partitions[number].position >= end)
        await run.settled()
        await until(lambda: not registry.progress.full)
        rows = await run.table(1)
    async with pipeline(tmp_path, kafka) as run:
        await run.settled()
        assert rows == await run.table(1)
