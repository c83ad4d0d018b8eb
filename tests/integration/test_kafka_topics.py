"""The topics on a real broker: plan, apply, check, and the genesis of the log."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.engines.kafka.records import genesis
from streams.engines.kafka.records.codec import Genesis, genesis_record, read_entry
from streams.engines.kafka.records.genesis import read_geneses
from streams.engines.kafka.topics import topics
from streams.engines.kafka.topics.administration import (
    configs_of,
    connected,
    shapes_of,
)
from streams.engines.kafka.topics.topics import (
    Kind,
    LayoutError,
    apply,
    assert_layout,
    plan,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.engines.kafka.topics.topics import TopicDifference
    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


async def applied(settings: KafkaSettings, name: str = "g") -> list[TopicDifference]:
    """Apply the layout with countable genesis ids."""
    ids = count()
    return await apply(
        settings, operator="ops", now=7, new_id=lambda: f"{name}{next(ids)}"
    )


async def administer(settings: KafkaSettings, call: str, *args: Any) -> Any:
    """Call one function of the admin client."""
    admin = AIOKafkaAdminClient(**settings.client())
    await admin.start()
    try:
        return await getattr(admin, call)(*args)
    finally:
        await admin.close()


async def configure(settings: KafkaSettings, name: str, **configs: str) -> None:
    """Set configurations of a topic, and no others, and wait until a broker has them.

    The answer is the controller's: a broker learns of changes a little late.
    """
    topic = settings.topic(name)
    wanted = {key.replace("_", "."): value for key, value in configs.items()}
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, wanted)
    await administer(settings, "alter_configs", [resource])
    async with asyncio.timeout(30), connected(settings) as admin:
        while True:
            found = await configs_of(admin, [topic])
            if wanted.items() <= found[topic].own.items():
                return
            await asyncio.sleep(0.02)


async def until_planned(settings: KafkaSettings, wanted: set[tuple[str, Kind]]) -> None:
    """Wait until a plan finds just this: a broker learns of changes a little late."""
    async with asyncio.timeout(30):
        while True:
            if {(d.topic, d.kind) for d in await plan(settings)} == wanted:
                return
            await asyncio.sleep(0.02)


async def put(settings: KafkaSettings, partition: int, **record: Any) -> None:
    """Write one record to facts, with its ack."""
    producer = AIOKafkaProducer(**settings.client(), acks="all")
    await producer.start()
    try:
        topic = settings.topic("facts")
        await producer.send_and_wait(topic, partition=partition, **record)
    finally:
        await producer.stop()


async def records(settings: KafkaSettings, partition: int) -> list[Any]:
    """Read a partition of facts to its end."""
    consumer = AIOKafkaConsumer(**settings.client(), auto_offset_reset="earliest")
    await consumer.start()
    try:
        part = TopicPartition(settings.topic("facts"), partition)
        consumer.assign([part])
        end = (await consumer.end_offsets([part]))[part]
        read: list[Any] = []
        while await consumer.position(part) < end:
            for got in (await consumer.getmany(timeout_ms=500)).values():
                read += got
        return read
    finally:
        await consumer.stop()


async def test_plan_names_everything_on_an_empty_cluster(
    kafka_settings: KafkaSettings,
) -> None:
    """A plan is what apply will do, and does nothing itself."""
    for _ in range(2):
        differences = await plan(kafka_settings)
        assert [d.kind for d in differences] == [Kind.MISSING] * 9


async def test_apply_makes_the_layout_and_then_finds_nothing_to_do(
    kafka_settings: KafkaSettings,
) -> None:
    """After apply the plan is empty; a second apply changes nothing."""
    changed = await applied(kafka_settings)
    assert [d.kind for d in changed] == [Kind.MISSING] * 9 + [Kind.GENESIS] * 4
    assert await plan(kafka_settings) == []
    assert await applied(kafka_settings, "other") == []


async def test_each_partition_starts_with_its_own_genesis(
    kafka_settings: KafkaSettings,
) -> None:
    """Offset 0 of each partition of facts is its genesis, and apply writes one only."""
    await applied(kafka_settings)
    await applied(kafka_settings, "other")
    for partition in range(4):
        (only,) = await records(kafka_settings, partition)
        assert only.offset == 0
        assert read_entry(only.key, only.value) == Genesis(
            genesis=f"g{partition}",
            partition=partition,
            partitions=4,
            created_at=7,
            created_by="ops",
        )


async def test_lowest_offset_wins_where_two_geneses_exist(
    kafka_settings: KafkaSettings,
) -> None:
    """A second genesis, as two operators at once could write it, changes nothing."""
    await applied(kafka_settings)
    late = genesis_record(
        Genesis(genesis="late", partition=1, partitions=4, created_at=8, created_by="x")
    )
    await put(kafka_settings, 1, key=late.key, value=late.value)
    geneses = await assert_layout(kafka_settings, ["facts"])
    assert {p: g.genesis for p, g in geneses.items()} == {p: f"g{p}" for p in range(4)}


async def test_genesis_is_found_behind_other_records(
    kafka_settings: KafkaSettings,
) -> None:
    """Where somebody wrote too early, apply still gives the partition a genesis."""
    facts = kafka_settings.topic("facts")
    await administer(kafka_settings, "create_topics", [NewTopic(facts, 4, 1)])
    for key in (b"a", b"b", b"c"):
        await put(kafka_settings, 2, key=key, value=b"no record of ours")
    await applied(kafka_settings)
    found = await read_geneses(kafka_settings)
    assert found[2].genesis == "g2"
    assert len(await records(kafka_settings, 2)) == 4


async def test_the_head_of_a_long_log_is_all_that_is_read_for_its_genesis(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes look at it while they run: what comes after it would hold them up."""
    await applied(kafka_settings)
    producer = AIOKafkaProducer(**kafka_settings.client(), acks="all")
    await producer.start()
    try:
        facts, value = kafka_settings.topic("facts"), b"x" * 200
        for number in range(3000):
            key = f"{number}".encode()
            await producer.send(facts, partition=1, key=key, value=value)
        await producer.flush()
    finally:
        await producer.stop()
    read: list[int] = []
    first = genesis._first_genesis

    def counted(found: Any, partition: int, records: list[Any]) -> None:
        read.append(len(records))
        first(found, partition, records)

    monkeypatch.setattr(genesis, "_first_genesis", counted)
    found = await read_geneses(kafka_settings)

    assert found.keys() == set(range(4))
    assert sum(read) < 1000


async def test_recreated_topic_gets_another_genesis(
    kafka_settings: KafkaSettings,
) -> None:
    """A log that was deleted and made anew is another log."""
    await applied(kafka_settings)
    facts = kafka_settings.topic("facts")
    await administer(kafka_settings, "delete_topics", [facts])
    async with asyncio.timeout(30):
        while True:  # a broker hears of it a little after the answer
            if facts not in await administer(kafka_settings, "list_topics"):
                break
            await asyncio.sleep(0.02)
    with pytest.raises(LayoutError, match="missing"):
        await assert_layout(kafka_settings, ["facts"])
    await applied(kafka_settings, "new")
    geneses = await assert_layout(kafka_settings, ["facts"])
    assert {g.genesis for g in geneses.values()} == {f"new{p}" for p in range(4)}


async def test_other_number_of_partitions_stops_everything(
    kafka_settings: KafkaSettings,
) -> None:
    """The number is fixed for life: apply refuses, and a stage does not start."""
    await applied(kafka_settings)
    access = kafka_settings.topic("access")
    more = {access: NewPartitions(total_count=6)}
    await administer(kafka_settings, "create_partitions", more)
    await until_planned(kafka_settings, {(access, Kind.PARTITIONS)})
    with pytest.raises(LayoutError, match="fixed for life"):
        await applied(kafka_settings)
    with pytest.raises(LayoutError, match="fixed for life"):
        await assert_layout(kafka_settings, ["access"])
    await assert_layout(kafka_settings, ["receipts"])


async def test_refused_apply_does_nothing(kafka_settings: KafkaSettings) -> None:
    """Where one thing must not be changed, nothing is."""
    facts = kafka_settings.topic("facts")
    await administer(kafka_settings, "create_topics", [NewTopic(facts, 3, 1)])
    with pytest.raises(LayoutError, match="want 4 partitions, found 3"):
        await applied(kafka_settings)
    names = await administer(kafka_settings, "list_topics")
    assert [n for n in names if n.startswith(kafka_settings.prefix)] == [facts]
    assert await records(kafka_settings, 0) == []


async def test_a_topic_that_the_broker_has_not_heard_of_yet_is_not_made(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The controller has it, the broker that is asked learns of it a little later."""
    facts = kafka_settings.topic("facts")
    await administer(kafka_settings, "create_topics", [NewTopic(facts, 3, 1)])
    asked = count()

    async def late(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, Any]:
        shapes = await shapes_of(admin, names)
        return {} if next(asked) == 0 else shapes

    monkeypatch.setattr(topics, "shapes_of", late)
    with pytest.raises(LayoutError, match="want 4 partitions, found 3"):
        await applied(kafka_settings)
    names = await administer(kafka_settings, "list_topics")
    assert [n for n in names if n.startswith(kafka_settings.prefix)] == [facts]
    assert await records(kafka_settings, 0) == []


async def test_genesis_of_another_count_is_not_ours(
    kafka_settings: KafkaSettings,
) -> None:
    """A genesis says of how many partitions it is; another count stops a stage."""
    facts = kafka_settings.topic("facts")
    await administer(kafka_settings, "create_topics", [NewTopic(facts, 4, 1)])
    alien = genesis_record(
        Genesis(genesis="a", partition=0, partitions=8, created_at=1, created_by="x")
    )
    await put(kafka_settings, 0, key=alien.key, value=alien.value)
    with pytest.raises(LayoutError, match="of 8"):
        await applied(kafka_settings)
    with pytest.raises(LayoutError, match="of 8"):
        await assert_layout(kafka_settings, [])


async def test_apply_sets_configurations_back_and_keeps_the_operators_own(
    kafka_settings: KafkaSettings,
) -> None:
    """What the layout names is set; what else stands on the topic stays."""
    await applied(kafka_settings)
    dlq = kafka_settings.topic("dlq")
    own = {"retention_ms": "1000", "file_delete_delay_ms": "12345"}
    await configure(kafka_settings, "dlq", **own)
    await until_planned(kafka_settings, {(dlq, Kind.CONFIG)})
    await applied(kafka_settings)
    assert await plan(kafka_settings) == []
    (answer,) = await administer(
        kafka_settings,
        "describe_configs",
        [ConfigResource(ConfigResourceType.TOPIC, dlq)],
    )
    entries = answer.to_object()["resources"][0]["config_entries"]
    values = {entry["config_names"]: entry["config_value"] for entry in entries}
    assert values["file.delete.delay.ms"] == "12345"
    assert values["retention.ms"] == str(30 * 24 * 3600 * 1000)


async def test_too_few_copies_are_for_a_person(kafka_settings: KafkaSettings) -> None:
    """Apply cannot move replicas: it says so and does nothing."""
    await applied(kafka_settings)
    wants = kafka_settings.model_copy(update={"replication_factor": 3})
    differences = await plan(wants)
    assert {d.kind for d in differences} == {Kind.REPLICATION}
    with pytest.raises(LayoutError, match="replication"):
        await applied(wants)
