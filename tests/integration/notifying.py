"""Findings on a real Kafka and notify processes for tests."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError
from attrs import define, field

from agents_registry.identifiers import Identifier
from schemas.codec import in_force
from streams.engines.kafka.records.outputs import finding_record
from streams.model.findings import Finding, FindingKind, Severity
from streams.model.times import SECOND
from streams.stages.sentinel.episode import Episode
from tests.integration import kafka_notify_child
from tests.integration.forked import preload, start
from tests.integration.serving import DEADLINE, SECRET, until
from tests.integration.test_kafka_topics import administer
from tests.integration.working import ends

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from streams.settings.kafka import KafkaSettings

NOW = 1_800_000_000 * SECOND
RESCIND = Path(sys.executable).with_name("rescind")


def finding(number: int, **values: Any) -> Finding:
    """Give a finding; the number makes it another one."""
    fields: dict[str, Any] = {
        "id": f"{number:032x}",
        "kind": FindingKind.USE_AFTER_REVOCATION,
        "severity": Severity.HIGH,
        "realm": f"realm-{number}",
        "presented": Identifier("aws.access_key", f"AKIA{number}"),
        "first_seen": NOW,
        "last_seen": NOW,
        "message": "it was used",
    }
    return Finding(**fields | values)


async def report(kafka: KafkaSettings, *episodes: Episode | Finding) -> None:
    """Write findings as the sentinel does; a bare one is at its first revision."""
    producer = AIOKafkaProducer(**kafka.client(), acks="all")
    await producer.start()
    try:
        for each in episodes:
            episode = each if isinstance(each, Episode) else Episode(each, 0, NOW)
            record = finding_record(episode, kafka.partitions)
            await producer.send_and_wait(
                kafka.topic("findings"),
                partition=record.partition,
                key=record.key,
                value=record.value,
                headers=list(record.headers),
            )
    finally:
        await producer.stop()


async def invalidate(kafka: KafkaSettings, *deaths: bytes | dict[str, Any]) -> None:
    """Write deaths as the registry does, by some of their fields; bytes as they are."""
    producer = AIOKafkaProducer(**kafka.client(), acks="all")
    await producer.start()
    try:
        for each in deaths:
            fields: dict[str, Any] = {
                "genesis": "g", "partition": 0, "realm": "default", "path": [],
                "cause": "c1", "target": "jwt.jti:t1", "effect": "revoke", "at": NOW,
                "as_of": 0,
            }  # fmt: skip
            value = (
                each
                if isinstance(each, bytes)
                else in_force().encode("invalidation", fields | each)
            )
            topic = kafka.topic("invalidations")
            await producer.send_and_wait(topic, value, key=b"k", partition=0)
    finally:
        await producer.stop()


async def open_records(kafka: KafkaSettings) -> int:
    """Count the findings that the group has not committed."""
    group = kafka.group("notify")
    try:
        found = await administer(kafka, "list_consumer_group_offsets", group)
    except GroupCoordinatorNotAvailableError:
        found = {}  # the broker has had no group yet
    left = 0
    for number, end in (await ends(kafka, "findings", kafka.partitions)).items():
        place = found.get(TopicPartition(kafka.topic("findings"), number))
        left += end - (0 if place is None else max(0, place.offset))
    return left


async def until_committed(
    kafka: KafkaSettings, by: Any = None, seconds: float = DEADLINE
) -> None:
    """Wait until the group committed every finding; fail if its process dies before."""

    async def all_of_it() -> bool:
        assert by is None or by.is_alive(), by.exitcode
        return await open_records(kafka) == 0

    await until(all_of_it, seconds)


def variables(kafka: KafkaSettings) -> dict[str, str]:
    """Give the environment by which a process reaches the broker."""
    names = (
        "bootstrap_servers", "prefix", "partitions", "access_partitions",
        "replication_factor", "min_insync_replicas",
    )  # fmt: skip
    return {f"RESCIND_KAFKA_{n.upper()}": str(getattr(kafka, n)) for n in names}


@define
class Program:
    """A running command of the program."""

    process: subprocess.Popen[bytes]
    log: Path
    url: str = field(default="")

    async def ended(self) -> int:
        """Wait for its end; give the exit code."""
        return await asyncio.to_thread(self.process.wait, DEADLINE)

    async def stopped(self) -> int:
        """Tell it to end, as an orchestrator does; give the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def killed(self) -> int:
        """End it without notice."""
        self.process.kill()
        return await self.ended()


preload(kafka_notify_child)


@asynccontextmanager
async def child(
    kafka: KafkaSettings,
    folder: Path,
    url: str,
    failpoint: str = "",
    *,
    name: str = "n0",
) -> AsyncIterator[Any]:
    """Run a notify process, forked warm, until the context ends.

    Args:
        kafka: of the cluster.
        folder: for its file.
        url: of the receiver.
        failpoint: where it dies by SIGKILL.
        name: in the group.
    """
    process = start(
        kafka_notify_child,
        {"listen": {"port": 0}, **webhook_at(url)},
        kafka.model_dump(),
        {"name": name, "data_dir": str(folder), "session_seconds": 6},
        failpoint,
    )
    try:
        yield process
    finally:
        process.kill()
        await asyncio.to_thread(process.join, DEADLINE)


@asynccontextmanager
async def program(
    kafka: KafkaSettings,
    folder: Path,
    *args: str,
    settings: dict[str, Any],
    failpoint: str = "",
) -> AsyncIterator[Program]:
    """Run a command with settings in a file until the context ends."""
    ready, config = folder / "ready", folder / "config.json"
    ready.unlink(missing_ok=True)
    listen = {"host": "127.0.0.1", "port": 0}
    values = {"listen": listen, "ready_file": str(ready), **settings}
    config.write_bytes(orjson.dumps(values))
    log = folder / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: ASYNC220 - it takes no time worth a thread
            [RESCIND, *args, "--config", config, "--data-dir", folder / "data"],
            env={**os.environ, **variables(kafka), "RESCIND_FAILPOINT": failpoint},
            stdout=output,
            stderr=output,
        )
    try:
        running = Program(process, log)
        await until(lambda: ready.exists() or process.poll() is not None)
        running.url = ready.read_text().strip() if ready.exists() else ""
        yield running
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(DEADLINE)


def webhook_at(url: str) -> dict[str, Any]:
    """Give settings with a webhook."""
    return {"webhook": {"url": url, "secrets": [SECRET], "allow_private": True}}
