"""How long a worker takes to be ready: from nothing, its files, or a shared table.

One realm, so one partition, with a day of one writer's heartbeats among the facts:
all of them, as if the broker had compacted none away. Times are wall-clock, from when
the worker's HTTP side answers (its program is loaded, nothing else is) until it says
that it is ready. The peer is a bare consumer that reads the same partition into a dict.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import kafka_events
from bench.credentials import NOW
from bench.kafka_broker import (
    DEADLINE,
    Group,
    Process,
    broker,
    lay_out,
    process,
    settings_of,
)
from bench.report import Row
from streams.engines.kafka.client.publisher import Publisher
from streams.engines.kafka.records.codec import Heartbeat, heartbeat_record
from streams.engines.kafka.records.genesis import read_geneses
from streams.engines.kafka.records.layout import FACTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streams.engines.kafka.records.codec import Outgoing
    from streams.settings.kafka import KafkaSettings

FACTS_WRITTEN: Final = {"tiny": 1_000, "small": 50_000, "full": 1_000_000}
HEARTBEATS_A_FACT: Final = 24 * 3600 * 4 / 1_000_000
TAIL: Final = 5_000  # facts that came while the worker was away
ROUNDS: Final = {"tiny": 1, "small": 1, "full": 2}
COLD_SECONDS: Final = 12.0
WARM_SECONDS: Final = 2.0
GIVEN_SECONDS: Final = 1.5
PIECE: Final = 2_000  # records handed over at once


def rows(scale: str) -> list[Row]:
    """Measure on a broker of our own."""
    with broker() as bootstrap:
        return measured(bootstrap, scale)


def measured(bootstrap: str, scale: str) -> list[Row]:
    """Measure on a broker that runs."""
    count = FACTS_WRITTEN[scale]
    settings = settings_of(bootstrap, 1)
    asyncio.run(_prepare(settings))
    beats = asyncio.run(_fill(settings, range(count // 3 + 1)))
    cold, warm, given, bare = [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS[scale]):
            data = Path(folder) / str(number)
            bare.append(_bare(settings))
            shared = _sharing(data.with_suffix(".tables"))
            cold.append(_until_ready(settings, data, shared))
            other = data.with_suffix(".other")
            given.append(_until_ready(settings, other, shared))
            start = count + number * TAIL
            asyncio.run(_fill(settings, range(start, start + TAIL // 3)))
            warm.append(_until_ready(settings, data))
    what = f"{count:,} facts, {beats:,} heartbeats"
    return [
        _row(f"cold: {what}", cold, bare, COLD_SECONDS),
        _row(f"without files, a table of another: {what}", given, bare, GIVEN_SECONDS),
        _row(f"warm: {what}, tail of {TAIL:,}", warm, bare, WARM_SECONDS),
    ]


async def _prepare(settings: KafkaSettings) -> None:
    """Make the topics, and have the new broker make its own for groups."""
    await lay_out(settings)
    group = Group(settings, settings.group("registry"), settings.topic(FACTS))
    await group.start()
    await group.reached({0: 0})
    await group.stop()


def _row(
    what: str,
    ours: list[tuple[float, float]],
    bare: list[tuple[float, float]],
    limit: float,
) -> Row:
    """Give a line; the times are wall-clock and CPU-seconds of each round."""
    walls, cpus = (sorted(of) for of in zip(*ours, strict=True))
    ratios = sorted(one[0] / other[0] for one, other in zip(ours, bare, strict=True))
    middle = len(walls) // 2
    return Row(
        what=what,
        value=f"{walls[middle]:.2f} s ({cpus[middle]:.2f} of CPU)",
        cpu=sum(cpu for _, cpu in ours),
        peer=f"bare consumer into a dict, {sorted(bare)[middle][0]:.2f} s",
        ratio=(ratios[middle], ratios[0], ratios[-1]),
        target=f"<= {limit:g} s",
        met=walls[middle] <= limit,
    )


def _sharing(folder: Path) -> dict[str, str]:
    """Give the settings of a folder in which workers leave their tables."""
    key = folder.with_suffix(".key")
    key.write_text("k" * 32, "utf-8")
    return {
        "RESCIND_WORKER_TABLES": str(folder),
        "RESCIND_WORKER_TABLES_KEY": str(key),
        "RESCIND_WORKER_SNAPSHOT_FACTS": "500",
    }


def _until_ready(
    settings: KafkaSettings, data: Path, shared: dict[str, str] | None = None
) -> tuple[float, float]:
    """Start a worker, and end it once it is ready; give wall and CPU seconds.

    One that shares its table does so first.
    """
    ready = data.with_suffix(".ready")
    ready.unlink(missing_ok=True)
    given = (settings.model_dump_json(), str(data), str(ready))
    with process(
        sys.executable, "bench.kafka_worker", *given, environment=shared
    ) as worker:
        _wait(worker, ready.exists)
        started, used = time.monotonic(), worker.cpu()
        _wait(worker, lambda: _says_ready(ready.read_text("utf-8").strip()))
        took, cpu = time.monotonic() - started, worker.cpu() - used
        if shared is not None:
            tables = Path(shared["RESCIND_WORKER_TABLES"])
            _wait(worker, lambda: any(tables.glob("*.table")))
        worker.send_signal(signal.SIGTERM)
        worker.wait(DEADLINE)
    return took, cpu


def _wait(worker: Process, condition: Callable[[], bool]) -> None:
    started = time.monotonic()
    while not condition():
        if worker.poll() is not None or time.monotonic() - started > DEADLINE:
            raise AssertionError("the worker did not get ready")
        time.sleep(0.01)


def _says_ready(url: str) -> bool:
    if not url:
        return False
    try:
        with urllib.request.urlopen(f"{url}/healthz/ready", timeout=5) as got:  # noqa: S310 - loopback
            return bool(got.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _bare(settings: KafkaSettings) -> tuple[float, float]:
    """Run the peer; give wall and CPU seconds."""
    command = [sys.executable, "-m", "bench.kafka_bare"]
    command += [settings.bootstrap_servers, settings.topic(FACTS)]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, check=True)
    took = time.monotonic() - started
    return took, float(json.loads(done.stdout)["cpu"])


async def _fill(settings: KafkaSettings, numbers: range) -> int:
    """Write the facts of credentials, and heartbeats among them; count those."""
    genesis = (await read_geneses(settings))[0].genesis
    due = beats = 0.0
    facts = (fact for number in numbers for fact in kafka_events.born(number))
    async with Publisher(settings, 60) as publisher:
        while piece := list(islice(facts, PIECE)):
            written = kafka_events.records(iter(piece), "default", 1)
            due += len(piece) * HEARTBEATS_A_FACT
            beat = list(_beats(genesis, range(int(beats), int(due))))
            beats = int(due)
            each = max(1, len(written) // (len(beat) or 1))
            groups = [
                written[at : at + each] + beat[at // each : at // each + 1]
                for at in range(0, len(written), each)
            ]
            await publisher.publish(settings.topic(FACTS), groups)
    return int(beats)


def _beats(genesis: str, numbers: range) -> Iterator[Outgoing]:
    for number in numbers:
        yield heartbeat_record(
            Heartbeat(
                genesis=genesis,
                partition=0,
                writer="ingress-0",
                sequence=number,
                sent_at=NOW + number * 250_000_000,
            )
        )
