"""Bytes that nobody can read: once each to ``dlq``, and the partition moves on."""

from __future__ import annotations

import hmac
import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic
from pydantic import SecretStr

from agents_registry.inventory import table
from agents_registry.registry import Registry
from schemas.codec import HEADER, MAGIC, bundled
from streams.engines.kafka.client.group_consumer import GroupConsumer
from streams.engines.kafka.records.codec import access_partition_of, partition_of
from streams.http.table_answers import table_row
from streams.sources.reading.envelope import LIMIT
from tests.integration.kafka_crash_run import NOW, Run
from tests.integration.serving import (
    created_key,
    deleted_key,
    receiving,
    until,
    used_key,
)
from tests.integration.test_kafka_health import becomes
from tests.integration.test_kafka_notify import Clock, notifying
from tests.integration.test_kafka_topics import administer
from tests.integration.working import ends, facts_of, lay_out, pipeline, records

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings
    from tests.integration.working import Pipeline

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

KEY = "AKIAEXAMPLE000000001"
EVENTS = [
    created_key(KEY, "bob", "2026-01-01T10:00:00Z", "e1"),
    deleted_key(KEY, "bob", "2026-01-01T12:00:00Z", "e3"),
    used_key(KEY, "bob", "2026-01-01T13:00:00Z", "e4"),
]
TEN = 10 << 20
HEARTBEAT, ACCESS, UNKNOWN_ID = 14, 15, 0x00FF_FFFF
# A newer ingress tells of what this sentinel has no word for.
NEWER = bundled().encode(
    "signal",
    {
        "realm": "default", "kind": "newer_than_this", "presented": "aws.access_key:x",
        "point": "", "at": 1, "event_ids": [], "detail": "",
    },
)  # fmt: skip
# What stands in a record, and how its dead letter begins.
BAD = {
    b"": "not_framed",
    b"{}": "not_framed",
    b"\x01\x00\x00\x00\x01x": "not_framed",
    HEADER.pack(MAGIC, UNKNOWN_ID) + b"of another writer": "unknown_id",
    HEADER.pack(MAGIC, HEARTBEAT) + b"\xff" * 40: "undecodable",
    HEADER.pack(MAGIC, ACCESS) + b"\xff" * 40: "undecodable",
    b"secret-in-the-clear " * (TEN // 20): "not_framed",
}
OF = {"facts": {**BAD, NEWER: "not_a_fact"}, "access": {**BAD, NEWER: "undecodable"}}


def letters_of(dlq: list[Any], topic: str) -> dict[bytes, list[dict[str, Any]]]:
    """Give the dead letters of a topic by their keys."""
    found: dict[bytes, list[dict[str, Any]]] = {}
    for each in dlq:
        if each.key.startswith(f"{topic}/".encode()):
            found.setdefault(each.key, []).append(bundled().decode(each.value).record)
    return found


async def publish(
    kafka: KafkaSettings,
    topic: str,
    partition: int,
    values: list[bytes],
    codec: str | None = "zstd",
    key: bytes = b"stranger/node/x",
) -> list[Any]:
    """Write values as a stranger would, well compressed; give their metadata."""
    producer = AIOKafkaProducer(
        **kafka.client(), acks="all", compression_type=codec, max_request_size=TEN * 2
    )
    await producer.start()
    try:
        return [
            await producer.send_and_wait(topic, value, key, partition=partition)
            for value in values
        ]
    finally:
        await producer.stop()


def with_key(kafka: KafkaSettings) -> tuple[KafkaSettings, bytes]:
    """Give settings that hash dead letters, and the key."""
    key = secrets.token_bytes(32)
    return kafka.model_copy(update={"digest_key": SecretStr(key.hex())}), key


def check(
    found: dict[bytes, list[dict[str, Any]]],
    topic: str,
    partition: int,
    sent: list[tuple[int, bytes, str]],
    key: bytes,
) -> None:
    """Each record has one dead letter that tells of it, and no other is there."""
    place = [f"{topic}/{partition}/{offset}".encode() for offset, _, _ in sent]
    assert sorted(place) == sorted(found)
    for name, (offset, value, reason) in zip(place, sent, strict=True):
        first, *others = found[name]
        assert all(other == first for other in others)
        assert first["reason"].startswith(f"{reason}:")
        digest = hmac.digest(key, value, "sha256").hex()
        assert (topic, partition, offset, len(value), digest) == (
            first["source"], first["partition"], first["offset"], first["length"],
            first["digest"],
        )  # fmt: skip
        assert first["at"] > 0


async def never(*_: Any) -> bool:
    """Commit nothing, as a process that dies before it."""
    return False


async def model(kafka: KafkaSettings) -> list[Any]:
    """Give the table that the topic makes."""
    registry = Registry.build([*await facts_of(kafka)])
    return [table_row(row) for row in table(registry, NOW)]


async def test_each_bad_record_of_facts_and_access_is_one_dead_letter(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Framing, ids, garbage and 10 MB pass by; what comes after them is worked off."""
    kafka, key = with_key(kafka_settings)
    await lay_out(kafka)
    facts, access = kafka.topic("facts"), kafka.topic("access")
    at = {
        facts: partition_of("default", kafka.partitions),
        access: access_partition_of("default", "aws", kafka.access_partitions),
    }
    sent = {}
    for topic, partition in at.items():
        bad = OF["facts" if topic == facts else "access"]
        put = await publish(kafka, topic, partition, list(bad))
        sent[topic] = [
            (each.offset, *of) for each, of in zip(put, bad.items(), strict=True)
        ]
    async with pipeline(tmp_path, kafka) as run:
        body = json.dumps({"Records": EVENTS}).encode()
        assert (await run.post("/v1/events/cloudtrail", "aws", body))[0] == 202
        await run.settled()
        rows = await run.table(NOW)
    dlq = await records(kafka, "dlq")
    for topic, partition in at.items():
        check(letters_of(dlq, topic), topic, partition, sent[topic], key)
    assert all(b"secret-in" not in each.value for each in dlq)
    assert KEY in json.dumps(rows)


@pytest.mark.long
@pytest.mark.parametrize(("stage", "data"), [("registry", "cold"), ("sentinel", "")])
async def test_a_crash_between_ack_and_commit_writes_no_second_dead_letter(
    tmp_path: Path, kafka_settings: KafkaSettings, stage: str, data: str
) -> None:
    """What a worker wrote before it died is written again as the very same record."""
    kafka, key = with_key(kafka_settings)
    await lay_out(kafka)
    topic = kafka.topic({"registry": "facts", "sentinel": "access"}[stage])
    values = [value for value in BAD if len(value) < TEN]
    run = Run(8100, tmp_path, kafka)
    async with run.ingress() as ingress:
        partition = partition_of("default", kafka.partitions)
        put = await publish(kafka, topic, partition, values)
        async with run.worker(failpoint=f"{stage}.acked") as worker:
            await until(lambda: not worker.alive)
        before = letters_of(await records(kafka, "dlq"), topic)
        await run.send(ingress.url)
        put += await publish(kafka, topic, partition, values)
        async with run.worker(data=data) as worker:
            await run.check([worker])
    assert before, "the worker died before it wrote any"
    sent = [
        (each.offset, value, BAD[value])
        for each, value in zip(put, [*values, *values], strict=True)
    ]
    found = letters_of(await records(kafka, "dlq"), topic)
    check(found, topic, partition, sent, key)


async def worked_off(kafka: KafkaSettings, raw: str, wanted: int) -> None:
    """Wait until the group of a raw topic has committed an offset."""
    group = kafka.group(f"ingress.{raw}")

    async def committed() -> bool:
        found = await administer(kafka, "list_consumer_group_offsets", group)
        return any(at.offset >= wanted for tp, at in found.items() if tp.topic == raw)

    await until(committed)


async def test_each_bad_record_of_a_raw_topic_is_one_dead_letter(
    tmp_path: Path, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every codec is read, 10 MB and garbage pass by; taken in twice, they are one."""
    kafka, key = with_key(kafka_settings)
    raw = f"{kafka.prefix}.idp-events"
    more = {"raw_topics": [{"topic": raw, "source": "cloudtrail", "authority": "aws"}]}
    await lay_out(kafka)
    large = {"max.message.bytes": str(TEN * 2)}
    topic = NewTopic(raw, 1, 1, topic_configs=large)
    await administer(kafka, "create_topics", [topic])
    bad = {
        b"": "empty", b"{nonsense": "truncated", b"\xff\xfe\xfd": "wrong_encoding",
        secrets.token_bytes(TEN): "too_large",
    }  # fmt: skip
    sent: list[tuple[int, bytes, str]] = []
    for codec in (None, "gzip", "snappy", "lz4", "zstd"):
        for each in await publish(kafka, raw, 0, list(bad), codec):
            value = list(bad)[len(sent) % len(bad)]
            sent.append((each.offset, value, bad[value]))
    good = json.dumps({"Records": EVENTS}).encode()
    (last,) = await publish(kafka, raw, 0, [good])
    with monkeypatch.context() as patched:
        patched.setattr(GroupConsumer, "commit", never)
        async with pipeline(tmp_path, kafka, **more) as run:

            async def taken() -> bool:
                return "e3" in {fact.event_id for fact in await facts_of(kafka)}

            await until(taken)
            await run.settled()
    first = letters_of(await records(kafka, "dlq"), raw)
    async with pipeline(tmp_path, kafka, **more) as run:
        await worked_off(kafka, raw, last.offset + 1)
        await run.settled()
        rows = await run.table(NOW)
    assert rows == await model(kafka)
    found = letters_of(await records(kafka, "dlq"), raw)
    assert len(first) == len(found)
    check({name[:-2]: each for name, each in found.items()}, raw, 0, sent, key)


def hostile() -> list[bytes]:
    """Give events that are read well and make what no log takes."""
    far, cut = "9999-01-01T00:00:00Z", "\ud800"
    events = [
        used_key(KEY, "bob", far, "far-use"),
        created_key(f"{KEY[:-1]}7", "bob", far, "far-key"),
        used_key(KEY, cut, "2026-01-01T13:00:00Z", f"{cut}use"),
        created_key(f"{KEY[:-1]}8", "bob", "2026-01-01T10:00:00Z", f"{cut}key"),
        used_key(KEY, "bob", "2026-01-01T13:00:00Z", "u" * 1_000_000),
        deleted_key(f"{KEY[:-1]}9", "bob", "2026-01-01T12:00:00Z", "d"),
        used_key(KEY, "o" * 1_000_000, "2026-01-01T13:00:00Z", "owner"),
    ]
    # The largest event that is read, all of it id; and many together.
    room = LIMIT - len(json.dumps(events[5]))
    events[5]["eventID"] = "d" * room
    many = [
        used_key(KEY, "bob", "2026-01-01T13:00:00Z", f"{number}" * 90_000)
        for number in range(10)
    ]
    return [
        *(json.dumps(event).encode() for event in events),
        json.dumps({"Records": many}).encode(),
    ]


async def test_no_event_of_a_source_stops_its_raw_topic(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """What is too large or absurd is told of; what ends something still ends it."""
    raw = f"{kafka_settings.prefix}.idp-events"
    more = {"raw_topics": [{"topic": raw, "source": "cloudtrail", "authority": "aws"}]}
    await lay_out(kafka_settings)
    large = {"max.message.bytes": str(TEN * 2)}
    topic = NewTopic(raw, 1, 1, topic_configs=large)
    await administer(kafka_settings, "create_topics", [topic])
    good = json.dumps({"Records": EVENTS}).encode()
    put = await publish(kafka_settings, raw, 0, [*hostile(), good])
    async with pipeline(tmp_path, kafka_settings, **more) as run:
        await worked_off(kafka_settings, raw, put[-1].offset + 1)
        await run.settled()
        rows = await run.table(NOW)
    assert rows == await model(kafka_settings)
    dead = {row[0] for row in rows if not row[1]}
    assert {f"aws.access_key:{KEY}", f"aws.access_key:{KEY[:-1]}9"} <= dead
    found = letters_of(await records(kafka_settings, "dlq"), raw)
    wanted = {
        f"{raw}/0/{put[number].offset}/0": reason
        for number, reason in (
            (0, "clock_absurd"),
            (1, "clock_absurd"),
            (2, "malformed"),
            (3, "malformed"),
            (6, "too_large"),
        )
    }
    assert wanted == {
        name.decode(): each["reason"].partition(":")[0]
        for name, (each,) in found.items()
    }


async def chained(run: Pipeline, number: int) -> None:
    """Wait until a partition is chained up to where it ends now."""
    audit = run.working.process.audit
    assert audit is not None
    end = (await ends(run.kafka, "facts", run.kafka.partitions))[number]
    await until(lambda: audit.progress.positions.get(number, 0) >= end)


@pytest.mark.long
async def test_what_cannot_be_read_in_heads_ends_no_worker(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """The chains follow from their links alone, and the letter tells the place."""
    kafka, key = with_key(kafka_settings)
    await lay_out(kafka)
    heads, number = kafka.topic("heads"), partition_of("default", kafka.partitions)
    bad = [value for value in BAD if len(value) < TEN]
    put = [await publish(kafka, heads, number, [value]) for value in bad]
    last = put[-1][0].offset
    body = json.dumps({"Records": EVENTS}).encode()
    for _ in range(2):
        async with pipeline(tmp_path, kafka) as run:
            assert (await run.post("/v1/events/cloudtrail", "aws", body))[0] == 202
            await chained(run, number)
    found = letters_of(await records(kafka, "dlq"), heads)
    check(found, heads, number, [(last, bad[-1], BAD[bad[-1]])], key)


async def test_what_strangers_write_keeps_nobody_from_starting(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """In each topic that is read: all become ready, and a letter tells the place."""
    kafka, key = with_key(kafka_settings)
    await lay_out(kafka)
    number = partition_of("default", kafka.partitions)
    bad = [value for value in BAD if value and len(value) < TEN]
    names = ("facts", "receipts", "findings", "sources", "audit", "heads")
    sent: dict[str, list[tuple[int, bytes, str]]] = {}
    for name in names:
        topic = kafka.topic(name)
        # Of a compacted topic that is folded by its keys the last one counts.
        values = bad[-1:] if name == "heads" else bad
        put = await publish(kafka, topic, number, values, key=b"default/cursor/x")
        sent[topic] = [
            (each.offset, value, BAD[value])
            for each, value in zip(put, values, strict=True)
        ]
    async with (
        pipeline(tmp_path, kafka) as run,
        receiving() as receiver,
        notifying(tmp_path / "notify", kafka, receiver, Clock()) as notify,
    ):
        for url in (run.ingress.url, run.working.url, notify.url):
            await becomes(url, "ready", 200)

        async def told() -> bool:
            dlq = await records(kafka, "dlq")
            return all(
                len(letters_of(dlq, topic)) == len(of) for topic, of in sent.items()
            )

        await until(told)
    dlq = await records(kafka, "dlq")
    for topic, of in sent.items():
        check(letters_of(dlq, topic), topic, number, of, key)
