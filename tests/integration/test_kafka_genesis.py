"""Another log under the same name, stale checkpoints, and produces that fail."""

from __future__ import annotations

import asyncio
import json
import shutil
from traceback import format_exception
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.errors import PolicyViolationError

from agents_registry.identifiers import VOCABULARY, Identifier
from agents_registry.inventory import table
from agents_registry.registry import Registry
from enforcement import Lapse
from schemas.codec import FOLDER, HEADER, Codec, id_of, published, use
from streams.apps.builders.kafka_log import AnotherLogError
from streams.engines.kafka.checkpoints import checkpoint
from streams.engines.kafka.checkpoints.checkpoint import FactsFile
from streams.engines.kafka.client.group_consumer import GroupConsumer
from streams.engines.kafka.client.publisher import Publisher
from streams.engines.kafka.clock.heartbeats import Heart
from streams.engines.kafka.records.codec import (
    Genesis,
    fact_record,
    genesis_record,
    partition_of,
)
from streams.engines.kafka.records.genesis import read_log
from streams.engines.kafka.records.layout import FACTS
from streams.engines.kafka.topics.topics import LayoutError
from streams.http.table_answers import table_row
from tests.integration.kafka_cluster import settings_of
from tests.integration.kafka_crash_run import NOW, Run, Worker
from tests.integration.kafka_guards import (
    CHILD,
    FAMILY,
    PARENT,
    guard_of,
    revoke,
    writing,
)
from tests.integration.serving import created_key, deleted_key, until, used_key
from tests.integration.test_kafka_topics import administer, configure, put
from tests.integration.working import (
    Pipeline,
    decoded,
    ends,
    facts_of,
    lay_out,
    pipeline,
)

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings
    from tests.integration.kafka_cluster import StartKafka

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


def body(number: int) -> bytes:
    """Give the events of a key that was made and deleted."""
    key = f"AKIAEXAMPLE{number:09d}"
    return json.dumps({
        "Records": [
            created_key(key, "bob", "2026-01-01T10:00:00Z", f"c{number}"),
            deleted_key(key, "bob", "2026-01-01T12:00:00Z", f"d{number}"),
        ]
    }).encode()  # fmt: skip


async def post(run: Pipeline, number: int) -> None:
    """Post the events of a key."""
    status, _ = await run.post("/v1/events/cloudtrail", "aws", body(number))
    assert status == 202


async def model(kafka: KafkaSettings) -> list[Any]:
    """Give the table that the topic makes."""
    registry = Registry.build(await facts_of(kafka))
    return [table_row(row) for row in table(registry, NOW)]


async def renew(kafka: KafkaSettings, name: str = "facts") -> None:
    """Delete a topic and lay it out again."""
    await administer(kafka, "delete_topics", [kafka.topic(name)])
    await laid_out(kafka)


async def laid_out(kafka: KafkaSettings) -> None:
    """Lay the topics out until that is done."""

    async def again() -> bool:
        try:
            await lay_out(kafka)
        except Exception:  # noqa: BLE001 - deletion is not instant
            return False
        return True

    await until(again)


@pytest.mark.long
async def test_a_checkpoint_of_another_log_is_dropped(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """The first answer after the topic was made anew is all that the new one says."""
    await lay_out(kafka_settings)
    async with pipeline(tmp_path, kafka_settings) as run:
        await post(run, 1)
        await run.settled()
    await renew(kafka_settings)
    script = Run(8000, tmp_path, kafka_settings)
    async with script.ingress() as ingress:
        await script.send(ingress.url)
    async with pipeline(tmp_path, kafka_settings) as run:
        rows = await run.table(NOW)
        assert rows == await model(kafka_settings)
        assert "AKIAEXAMPLE000000001" not in json.dumps(rows)


@pytest.mark.long
async def test_accesses_of_a_topic_that_was_made_anew_are_all_judged(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """A position in the old topic, which the new one has too, skips none of its own."""
    await lay_out(kafka_settings)
    key, at = f"AKIAEXAMPLE{1:09d}", "2026-01-01T13:00:00Z"
    async with pipeline(tmp_path, kafka_settings) as run:
        await post(run, 1)
        used = {"Records": [used_key(key, "bob", at, "old")]}
        assert (await run.post("/v1/events/cloudtrail", "aws", used))[0] == 202
        await run.settled()
    await renew(kafka_settings, "access")
    script = Run(8003, tmp_path, kafka_settings)
    script.posts = [
        json.dumps({"Records": [used_key(key, "bob", at, f"n{number}")]}).encode()
        for number in range(4)
    ]
    async with script.ingress() as ingress:
        await script.send(ingress.url)
    async with pipeline(tmp_path, kafka_settings) as run:
        await run.settled()
    told = {
        event_id
        for finding in await decoded(kafka_settings, "findings")
        for event_id in finding["event_ids"]
    }
    assert told >= {f"n{number}" for number in range(4)}


@pytest.mark.parametrize(
    ("offset", "position"),
    [(10**6, 10**6 + 1), pytest.param(0, 1, marks=pytest.mark.long)],
)
async def test_a_checkpoint_that_cannot_be_right_is_dropped(
    tmp_path: Path, kafka_settings: KafkaSettings, offset: int, position: int
) -> None:
    """A log that lost its tail, or a damaged file: all is read again from the start."""
    await lay_out(kafka_settings)
    async with pipeline(tmp_path, kafka_settings) as run:
        await post(run, 1)
        await run.settled()
    for number in range(kafka_settings.partitions):
        path = tmp_path / "worker" / "registry" / f"facts-{number}"
        file = FactsFile(path, dict(VOCABULARY))
        ghost = (offset, b"default/node/ghost", b"\0damaged")
        file.save([ghost], [], position, position)
        file.close()
    async with pipeline(tmp_path, kafka_settings) as run:
        await run.settled()
        assert await run.table(NOW) == await model(kafka_settings)


@pytest.mark.long
async def test_an_upgraded_worker_reads_what_its_elder_passed_over(
    tmp_path: Path, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A revocation that a newer ingress wrote counts as soon as it can be read."""
    newer, key = 0x00FF_FFFF, Identifier("aws.access_key", f"AKIAEXAMPLE{1:09d}")
    await lay_out(kafka_settings)
    ours = max(i for i, each in published().items() if each.name == "cause")
    async with pipeline(tmp_path, kafka_settings) as run:
        made = {
            "Records": [created_key(key.value, "bob", "2026-01-01T10:00:00Z", "c1")]
        }
        assert (await run.post("/v1/events/cloudtrail", "aws", made))[0] == 202
        await run.settled()
        record = fact_record("default", revoke(key), kafka_settings.partitions)
        value = HEADER.pack(0, newer) + record.value[HEADER.size :]
        assert id_of(record.value) == ours
        await put(kafka_settings, record.partition, key=record.key, value=value)
        await post(run, 2)
        await run.settled()
        assert [True] == [row[1] for row in await run.table(NOW) if row[0] == str(key)]
    codec = Codec(published())
    file = f"{published()[ours].version}.avsc"
    schema = (FOLDER / "released" / "cause" / file).read_text("utf-8")
    codec.learn(newer, "cause", json.loads(schema))
    use(codec)
    monkeypatch.setattr(checkpoint, "edition", lambda: "newer")
    async with pipeline(tmp_path, kafka_settings) as run:
        assert [False] == [row[1] for row in await run.table(NOW) if row[0] == str(key)]
        await run.settled()
    told = await decoded(kafka_settings, "invalidations")
    assert str(key) in {each["identifier"] for each in told}


async def lose_head(kafka: KafkaSettings, number: int, before: int) -> None:
    """Delete the first records, which takes a topic that is not compacted."""
    name = kafka.topic("facts")
    await configure(kafka, "facts", cleanup_policy="delete")
    head = {TopicPartition(name, number): RecordsToDelete(before_offset=before)}

    async def deleted() -> bool:
        try:
            await administer(kafka, "delete_records", head)
        except PolicyViolationError:
            return False  # the broker hears of its policy a little later
        return True

    await until(deleted)
    await configure(kafka, "facts", cleanup_policy="compact")


async def answer(run: Pipeline) -> int:
    """Ask the worker for its table; give the status."""
    url, headers = f"{run.working.url}/v1/table", {"Authorization": "Bearer viewer"}
    async with run.session.get(url, headers=headers) as got:
        return got.status


async def test_a_stale_checkpoint_serves_nothing_before_the_rest_is_read(
    tmp_path: Path, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a checkpoint from before a revocation, no answer lacks the revocation."""
    await lay_out(kafka_settings)
    key = f"AKIAEXAMPLE{1:09d}"
    made = {"Records": [created_key(key, "bob", "2026-01-01T10:00:00Z", "c1")]}
    async with pipeline(tmp_path, kafka_settings) as run:
        status, _ = await run.post("/v1/events/cloudtrail", "aws", made)
        assert status == 202
        await run.settled()
    checkpoints = tmp_path / "worker" / "registry"
    shutil.copytree(checkpoints, tmp_path / "old")
    async with pipeline(tmp_path, kafka_settings) as run:
        await post(run, 1)
        await run.settled()
    shutil.rmtree(checkpoints)
    shutil.copytree(tmp_path / "old", checkpoints)
    number = partition_of("default", kafka_settings.partitions)
    read, poll = asyncio.Event(), GroupConsumer.poll

    async def held(self: GroupConsumer, *args: Any) -> Any:
        of_facts = self._topic == kafka_settings.topic(FACTS)
        if of_facts and number in self.assigned - self.fresh:
            await read.wait()
        return await poll(self, *args)

    monkeypatch.setattr(GroupConsumer, "poll", held)
    async with pipeline(tmp_path, kafka_settings) as run:
        stage = run.working.process.registry
        assert stage is not None
        await until(lambda: number in stage.partitions and not stage.member.fresh)
        assert stage.partitions[number].position > 0
        assert await answer(run) == 503
        read.set()
        assert await run.table(NOW) == await model(kafka_settings)


@pytest.mark.parametrize("again", [False, True])
async def test_a_log_without_its_head_is_refused(
    tmp_path: Path, kafka_settings: KafkaSettings, again: bool
) -> None:
    """Deleted records were revocations perhaps: nothing starts, nothing is laid out."""
    await lay_out(kafka_settings)
    async with pipeline(tmp_path, kafka_settings) as run:
        await post(run, 1)
        await run.settled()
    number = partition_of("default", kafka_settings.partitions)
    await lose_head(kafka_settings, number, 2)
    if again:
        late = Genesis(
            genesis="late", partition=number, partitions=4, created_at=1, created_by=""
        )
        record = genesis_record(late)
        await put(kafka_settings, number, key=record.key, value=record.value)
    with pytest.raises(LayoutError, match="its head is lost"):
        await lay_out(kafka_settings)
    found = await read_log(kafka_settings)
    assert (number in found.geneses, found.lost) == (False, {number: 2})
    for folder in ("warm", "cold"):
        with pytest.raises(BaseExceptionGroup) as caught:
            async with pipeline(tmp_path / folder, kafka_settings):
                pass
        assert LayoutError.__name__ in "".join(format_exception(caught.value))


async def test_a_worker_that_must_load_a_log_without_its_head_serves_nothing(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """What is lost while a worker runs is refused as soon as it has to read again."""
    await lay_out(kafka_settings)
    async with pipeline(tmp_path, kafka_settings) as run:
        await post(run, 1)
        await run.settled()
        number = partition_of("default", kafka_settings.partitions)
        stage = run.working.process.registry
        assert stage is not None
        assert stage.serving(number) is not None
        await lose_head(kafka_settings, number, 2)
        stage.member.hold(number)
        assert stage.serving(number) is None
        await until(lambda: not stage.progress.ready)
        for _ in range(20):
            assert await answer(run) == 503
            async with run.session.get(f"{run.working.url}/healthz/ready") as got:
                assert got.status == 503


async def test_a_guard_allows_nothing_on_a_log_without_its_head(
    kafka_settings: KafkaSettings,
) -> None:
    """Heartbeats, and what says that it is a genesis, do not make up for the rest."""
    await lay_out(kafka_settings)
    number = partition_of("default", kafka_settings.partitions)
    async with writing(kafka_settings, beats=False) as writer:
        token = await writer.say(revoke(PARENT))
        await writer.say(*FAMILY)
    await lose_head(kafka_settings, number, token.offset)
    late = Genesis(
        genesis="late", partition=number, partitions=4, created_at=1, created_by=""
    )
    record = genesis_record(late)
    await put(kafka_settings, number, key=record.key, value=record.value)
    async with (
        Publisher(kafka_settings, 30.0) as publisher,
        guard_of(kafka_settings) as guard,
        asyncio.TaskGroup() as tasks,
    ):
        heart = Heart(kafka_settings.topic("facts"), "w0", {number: late}, lambda: 1)
        beating = tasks.create_task(heart.run(publisher))
        await until(lambda: heart.beats > 4)
        await until(
            lambda: (
                guard.check(CHILD).allowed
                or "lost its head" in (guard.feed.last_error or "")
            )
        )
        assert guard.check(CHILD).reason is Lapse.NOT_CAUGHT_UP
        beating.cancel()


async def another_log(run: Run, worker: Worker) -> None:
    """Make the topic anew while all run; ingress ends by itself."""
    async with run.ingress() as ingress:
        await run.send(ingress.url, range(3))
        await run.settled([worker])
        await renew(run.kafka)
        await until(lambda: False, 30)


@pytest.mark.long
async def test_a_log_that_changes_under_a_worker(
    tmp_path: Path, start_kafka: StartKafka
) -> None:
    """The worker reads the new log from its start; ingress ends, to start again."""
    kafka = settings_of(await start_kafka())
    await lay_out(kafka)
    run = Run(8001, tmp_path, kafka)
    async with run.worker() as worker:
        with pytest.raises(BaseExceptionGroup) as caught:
            await another_log(run, worker)
        assert AnotherLogError.__name__ in "".join(format_exception(caught.value))
        # Ingress may have ended the test's own apply before the last genesis.
        await laid_out(kafka)
        run.acknowledged.clear()
        async with run.ingress() as ingress:
            await run.send(ingress.url)
            await run.settled([worker])
            rows = await run.table([worker])
            assert rows == await model(kafka)


@pytest.mark.long
async def test_a_produce_that_fails_ends_the_worker_without_commit(
    tmp_path: Path, start_kafka: StartKafka
) -> None:
    """Exit code 70, nothing saved or committed; the next worker does it all."""
    kafka = settings_of(await start_kafka())
    await lay_out(kafka)
    run = Run(8002, tmp_path, kafka)
    await configure(kafka, "invalidations", max_message_bytes="64")
    async with run.ingress() as ingress:
        async with run.worker(ends_with=(70,)) as worker:
            await run.send(ingress.url)
            await until(lambda: not worker.alive)
        assert 0 == sum((await ends(kafka, "invalidations", 4)).values())
        await lay_out(kafka)
        async with run.worker() as worker:
            await run.check([worker])
    assert [] != await decoded(kafka, "invalidations")
