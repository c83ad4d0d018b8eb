"""From kill -9 of a partition's worker to the first output of who has it next.

A revocation is written the moment after the kill; its invalidation ends the time. The
successor is another worker, with warm tables or with nothing, which gets the partition
when the session of the dead one is over; or the same worker started again, with its
files or without, which keeps its place in the group and waits for nobody.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import aiohttp
from aiokafka import AIOKafkaConsumer

from agents_registry.facts import Cause, Effect, Fact, Node
from agents_registry.identifiers import Identifier
from bench.kafka_broker import lay_out, settings_of
from bench.report import Row
from schemas.codec import bundled
from streams.devkafka.broker import Cluster, prepare
from streams.devkafka.launch import Processes
from streams.engines.kafka.client.publisher import Publisher
from streams.engines.kafka.records.codec import fact_record
from streams.engines.kafka.records.layout import FACTS
from streams.settings.kafka import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SIZE: Final = {"tiny": 1_000, "small": 20_000, "full": 100_000}
TIMES: Final = {"tiny": 1, "small": 1, "full": 3}
SESSION: Final = {"tiny": 2.0, "small": 10.0, "full": 10.0}  # 10 s is the default
DEADLINE: Final = 300.0
CHUNK: Final = 5_000
WAYS: Final = {
    "standby": "another worker, a warm standby",
    "cold": "another worker, with nothing",
    "again": "the same worker started again, with its files",
    "empty": "the same worker started again, without",
}


class Taken(NamedTuple):
    """Seconds from the kill, and from the assignment, to the first output."""

    whole: float
    assigned: float


def rows(scale: str) -> list[Row]:
    """Measure every way, one after the other, each on topics of its own."""
    size = SIZE[scale]
    found: dict[str, list[Taken]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        launcher = Processes(prepare(Path(folder) / "learn"))
        cluster = stack.enter_context(Cluster(Path(folder) / "kafka", launcher))
        asyncio.run(cluster.ready())
        for number in range(TIMES[scale]):
            for way in WAYS:
                if scale == "tiny" and way != "standby":
                    continue  # it only shows that all of it runs
                place = Path(folder) / f"{way}-{number}"
                place.mkdir()
                run = _run(place, cluster, way, size, SESSION[scale])
                found[way].append(asyncio.run(run))
    return [
        row for way, taken in found.items() if taken for row in _rows(way, taken, size)
    ]


def _rows(way: str, taken: list[Taken], size: int) -> Iterator[Row]:
    for what, values in (
        (f"{WAYS[way]}, {size:,} facts", [each.whole for each in taken]),
        ("  of it, once it has the partition", [each.assigned for each in taken]),
    ):
        told = f"{median(values):.2f} s ({min(values):.2f} .. {max(values):.2f})"
        yield Row(what=what, value=told)


async def _run(
    folder: Path, cluster: Cluster, way: str, size: int, session: float
) -> Taken:
    kafka = settings_of(cluster.bootstrap, 1)
    await lay_out(kafka, time.time_ns())
    with ExitStack() as stack:
        started = partial(_worker, stack, folder, kafka, session)
        async with Publisher(kafka, DEADLINE) as publisher:
            for start in range(0, size, CHUNK):
                facts = [_node(n) for n in range(start, min(start + CHUNK, size))]
                await _write(publisher, kafka, facts)
            owner = started("w0", "first")
            await _ready(folder / "first.url")
            successor = "first"
            if way in ("standby", "cold"):
                successor = "second"
                started("w1", successor, standby=way == "standby")
                await _ready(folder / "second.url")
            consumer = AIOKafkaConsumer(kafka.topic("invalidations"), **kafka.client())
            await consumer.start()
            try:
                await consumer.seek_to_end()
                owner.kill()
                owner.wait()
                killed = time.time()
                await _write(publisher, kafka, [_cause(size // 2)])
                if way in ("again", "empty"):
                    successor = "third"
                    if way == "empty":
                        shutil.rmtree(folder / "w0")
                    started("w0", successor)
                async with asyncio.timeout(DEADLINE):
                    told = await consumer.getone()
                heard = time.time()
            finally:
                await consumer.stop()
    name = bundled().decode(told.value).record["identifier"]
    assert name == str(_name(size // 2)), name
    assigned = _assigned(folder / f"{successor}.log")
    return Taken(heard - killed, heard - assigned)


def _worker(  # noqa: PLR0913 - where it runs, and as what
    stack: ExitStack,
    folder: Path,
    kafka: KafkaSettings,
    session: float,
    name: str,
    label: str,
    *,
    standby: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a worker; it is killed with the stack, if it still runs."""
    environment = {
        **os.environ,
        "RESCIND_READY_FILE": str(folder / f"{label}.url"),
        "RESCIND_WORKER_STAGES": json.dumps(["registry"]),
        "RESCIND_WORKER_STANDBY": str(standby),
        "RESCIND_WORKER_SESSION_SECONDS": str(session),
    }
    values = kafka.model_dump(exclude_none=True, exclude={"retention"})
    environment |= {f"RESCIND_KAFKA_{k.upper()}": str(v) for k, v in values.items()}
    program = "from streams.cli.main import main; main()"
    command = [sys.executable, "-c", program, "worker"]
    command += ["--name", name, "--data-dir", str(folder / name)]
    log = stack.enter_context((folder / f"{label}.log").open("wb"))
    process = subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0"], env=environment, stderr=log
    )
    stack.callback(process.wait)
    stack.callback(process.send_signal, signal.SIGKILL)
    return process


async def _ready(file: Path) -> None:
    """Wait until a worker says that it is ready, warm tables included."""
    async with asyncio.timeout(DEADLINE), aiohttp.ClientSession() as session:
        while True:
            if url := _told(file):
                async with session.get(f"{url}/healthz/ready") as got:
                    if got.status == 200:
                        return
            await asyncio.sleep(0.02)


def _told(file: Path) -> str:
    """Give the URL that a worker wrote; nothing before it did."""
    text = file.read_text("utf-8") if file.exists() else ""
    return text.strip() if text.endswith("\n") else ""


async def _write(
    publisher: Publisher, kafka: KafkaSettings, facts: Sequence[Fact]
) -> None:
    groups = [[fact_record("default", fact, kafka.partitions)] for fact in facts]
    await publisher.publish(kafka.topic(FACTS), groups)


def _assigned(log: Path) -> float:
    """Give when a worker got the partition, by its own log."""
    lines: list[dict[str, Any]] = [
        json.loads(line)
        for line in log.read_text("utf-8").splitlines()
        if line.startswith("{")
    ]
    times = [
        dt.datetime.fromisoformat(line["timestamp"]).timestamp()
        for line in lines
        if line["event"] == "partitions_assigned" and line["partitions"] == [0]
    ]
    # A standby has given itself all partitions to tail before.
    return times[-1]


def _name(number: int) -> Identifier:
    return Identifier("aws.access_key", f"AKIA{number:016d}")


def _node(number: int) -> Node:
    return Node(
        node=_name(number), authority="bench", event_id=f"n{number}",
        received_at=1, version=1,
    )  # fmt: skip


def _cause(number: int) -> Cause:
    return Cause(
        target=_name(number), effect=Effect.REVOKE, at=2, authority="bench",
        event_id=f"c{number}", received_at=2, version=2,
    )  # fmt: skip
