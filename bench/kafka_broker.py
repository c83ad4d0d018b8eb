"""A broker for the length of a benchmark, and small things to ask it."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.devkafka.broker import Cluster, prepare
from streams.devkafka.launch import Processes
from streams.engines.kafka.records.codec import partition_of
from streams.engines.kafka.topics.topics import apply
from streams.settings.kafka import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEADLINE: Final = 600.0
REPOSITORY: Final = Path(__file__).parents[1]
TICK: Final = os.sysconf("SC_CLK_TCK")


class Process(subprocess.Popen[bytes]):
    """A process of a benchmark."""

    def cpu(self) -> float:
        """Give its CPU-seconds so far, of all its threads."""
        if self.poll() is not None:
            raise AssertionError(f"a process of the benchmark ended: {self.args!r}")
        return cpu_of(self.pid)


def cpu_of(pid: int) -> float:
    """Give the CPU-seconds of a process so far, of all its threads."""
    text = Path(f"/proc/{pid}/stat").read_text("ascii")
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


@contextmanager
def process(
    python: str, module: str, *given: str, environment: Mapping[str, str] | None = None
) -> Iterator[Process]:
    """Run a module; whatever happens, it ends with the context."""
    with Process(
        [python, "-m", module, *given],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **(environment or {})},
        stdin=subprocess.DEVNULL,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


@contextmanager
def broker() -> Iterator[str]:
    """Run one node; give its bootstrap servers."""
    with tempfile.TemporaryDirectory() as folder:
        learn = Path(folder) / "learn"
        learn.mkdir()
        launcher = Processes(prepare(learn))
        with Cluster(Path(folder) / "kafka", launcher) as cluster:
            asyncio.run(cluster.ready())
            yield cluster.bootstrap


def settings_of(bootstrap: str, partitions: int) -> KafkaSettings:
    """Give settings with a prefix that nobody has yet."""
    return KafkaSettings(
        bootstrap_servers=bootstrap,
        prefix=f"bench{secrets.token_hex(4)}",
        partitions=partitions,
        access_partitions=1,
        replication_factor=1,
        min_insync_replicas=1,
    )


async def lay_out(settings: KafkaSettings, now: int = 1) -> None:
    """Make the topics, as of a time (ns)."""
    await apply(
        settings, operator="bench", now=now, new_id=lambda: secrets.token_hex(16)
    )


def realms(partitions: int) -> list[str]:
    """Give a realm for each partition, in their order."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < partitions:
        name = f"realm{number}"
        found.setdefault(partition_of(name, partitions), name)
        number += 1
    return [found[number] for number in range(partitions)]


async def ends(settings: KafkaSettings, topic: str, partitions: int) -> dict[int, int]:
    """Give where the partitions of a topic end."""
    consumer = AIOKafkaConsumer(**settings.client())
    await consumer.start()
    try:
        tps = [TopicPartition(topic, number) for number in range(partitions)]
        found = await consumer.end_offsets(tps)
        return {tp.partition: end for tp, end in found.items()}
    finally:
        await consumer.stop()


class Group:
    """Looks at what a group has committed."""

    def __init__(self, settings: KafkaSettings, group: str, topic: str) -> None:
        """Set up; it joins nothing."""
        self._topic = topic
        self._consumer = AIOKafkaConsumer(
            **settings.client(), group_id=group, enable_auto_commit=False
        )

    async def start(self) -> None:
        """Connect."""
        await self._consumer.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._consumer.stop()

    async def reached(self, wanted: Mapping[int, int]) -> None:
        """Wait until each partition is committed up to an offset.

        Raises:
            TimeoutError: it takes too long.
        """
        async with asyncio.timeout(DEADLINE):
            for number, offset in wanted.items():
                tp = TopicPartition(self._topic, number)
                while (await self._consumer.committed(tp) or 0) < offset:  # noqa: ASYNC110 - another process commits
                    await asyncio.sleep(0.02)
