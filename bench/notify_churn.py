"""How late alerts are while one of two notify processes goes and comes back.

A finding is written every 50 ms, on all partitions; its lateness is from the broker's
ack to the first request at the receiver. These things happen to the processes in turn:
one is stopped and started again; it is killed and started again at once; it is killed
and stays away until the other has its partitions; it comes back; it comes back and the
other one is killed at this moment, and stays away.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Final

import aiohttp
import orjson
from aiohttp import web
from attrs import define, field

from agents_registry.identifiers import Identifier
from bench.kafka_broker import lay_out, settings_of
from bench.report import Row
from streams.devkafka.broker import Cluster, prepare
from streams.devkafka.launch import Processes
from streams.engines.kafka.client.publisher import Publisher
from streams.engines.kafka.clock.heartbeats import Heart
from streams.engines.kafka.records.genesis import read_geneses
from streams.engines.kafka.records.outputs import finding_record
from streams.model.findings import Finding, FindingKind, Severity
from streams.settings.kafka import KafkaSettings
from streams.stages.sentinel.episode import Episode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

TIMES: Final = {"tiny": 1, "small": 2, "full": 4}
PARTITIONS: Final = 4
PAUSE: Final = 0.05  # seconds between two findings
CALM: Final = 3.0  # seconds at least for each thing to show
SOON: Final = 1.0  # seconds
DEADLINE: Final = 120.0
SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - nobody's
NAMES: Final = ("n0", "n1")
WAYS: Final = {
    "quiet": "nothing happens",
    "stopped": "one of two is stopped, and starts again",
    "killed": "one of two is killed, and starts again",
    "away": "one of two is killed, and the other takes over",
    "back": "it comes back",
    "crossed": "it comes back while the other is killed",
}


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(DEADLINE):
        while not holds():  # noqa: ASYNC110 - of files and of other processes
            await asyncio.sleep(PAUSE)


@define
class Told:
    """When findings were written and told first, by id, in seconds.

    Attributes:
        way: what happens now.
        ways: what happened when a finding was told.
        came: requests in all.
    """

    way: str = ""
    ways: dict[str, str] = field(factory=dict)
    written: dict[str, float] = field(factory=dict)
    told: dict[str, float] = field(factory=dict)
    came: int = 0

    async def take(self, request: web.Request) -> web.Response:
        """Be the receiver."""
        name, _, _ = request.headers["webhook-id"].partition(".")
        if name not in self.told:
            self.told[name], self.ways[name] = time.monotonic(), self.way
        self.came += 1
        return web.Response(status=204)

    def late(self, way: str) -> list[float]:
        """Lateness of what was written while something happened."""
        names = (n for n in self.written if self.ways.get(n) == way)
        return sorted(max(0.0, self.told[n] - self.written[n]) for n in names)

    async def calm(self) -> None:
        """Wait until all is told again soon after it was written."""
        await asyncio.sleep(CALM)
        await until(self._soon)

    def _soon(self) -> bool:
        limit = time.monotonic() - SOON
        open_ones = self.written.keys() - self.told.keys()
        return all(self.written[name] > limit for name in open_ones)


@define
class Pair:
    """The two notify processes, by name."""

    folder: Path
    kafka: KafkaSettings
    url: str
    running: dict[str, subprocess.Popen[bytes]] = field(factory=dict)

    def start(self, name: str) -> None:
        """Start one; its folder is that of the one before."""
        ready = self.folder / f"{name}.url"
        ready.unlink(missing_ok=True)
        config = self.folder / f"{name}.json"
        webhook = {"url": self.url, "secrets": [SECRET], "allow_private": True}
        listen = {"host": "127.0.0.1", "port": 0}
        settings = {"webhook": webhook, "listen": listen, "ready_file": str(ready)}
        config.write_bytes(orjson.dumps(settings))
        values = self.kafka.model_dump(exclude_none=True, exclude={"retention"})
        environment = os.environ | {
            f"RESCIND_KAFKA_{key.upper()}": str(value) for key, value in values.items()
        }
        program = "from streams.cli.main import main; main()"
        command = [sys.executable, "-c", program, "notify", "--name", name]
        command += ["--config", str(config), "--data-dir", str(self.folder / name)]
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(command, env=environment, stderr=log, stdout=log)
        self.running[name] = process

    async def end(self, name: str, how: signal.Signals) -> None:
        """End one."""
        self.running[name].send_signal(how)
        await asyncio.to_thread(self.running.pop(name).wait)

    def url_of(self, name: str) -> str:
        """Where one answers; empty before it does."""
        file = self.folder / f"{name}.url"
        return file.read_text("utf-8").strip() if file.exists() else ""

    async def ready(self, name: str) -> None:
        """Wait until one is ready."""
        await until(lambda: self.url_of(name))
        async with asyncio.timeout(DEADLINE), aiohttp.ClientSession() as session:
            while True:
                async with session.get(f"{self.url_of(name)}/healthz/ready") as got:
                    if got.ok:
                        return
                await asyncio.sleep(PAUSE)

    def kill(self) -> None:
        """End all."""
        for process in self.running.values():
            process.kill()
            process.wait()


def rows(scale: str) -> list[Row]:
    """Measure all that happens in one run, on one broker."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        launcher = Processes(prepare(Path(folder) / "learn"))
        cluster = stack.enter_context(Cluster(Path(folder) / "kafka", launcher))
        asyncio.run(cluster.ready())
        told = asyncio.run(_run(Path(folder), cluster, TIMES[scale]))
    found = list(_rows(told))
    again = told.came - len(told.told)
    found.append(Row(what="alerts told again", value=f"{again:,} of {told.came:,}"))
    return found


def _rows(told: Told) -> Iterator[Row]:
    for way, what in WAYS.items():
        late = told.late(way)
        p99 = quantiles(late, n=100, method="inclusive")[98]
        value = f"p50 {late[len(late) // 2]:.2f}, p99 {p99:.2f}, max {late[-1]:.2f} s"
        yield Row(what=f"{what}: {len(late)} findings", value=value)


async def _run(folder: Path, cluster: Cluster, times: int) -> Told:
    kafka = settings_of(cluster.bootstrap, PARTITIONS)
    await lay_out(kafka, time.time_ns())
    geneses = await read_geneses(kafka)
    told = Told()
    async with _receiving(told) as url, asyncio.TaskGroup() as tasks:
        processes = Pair(folder, kafka, url)
        try:
            for name in NAMES:
                processes.start(name)
            for name in NAMES:
                await processes.ready(name)
            async with Publisher(kafka, DEADLINE) as publisher:
                heart = Heart(kafka.topic("facts"), "bench", geneses, time.time_ns)
                works = (_write(publisher, kafka, told), heart.run(publisher))
                background = [tasks.create_task(work) for work in works]
                for number in range(times):
                    first = number % 2
                    await _churn(processes, told, NAMES[first], NAMES[1 - first])
                for each in background:
                    each.cancel()
            await told.calm()
        finally:
            processes.kill()
    return told


async def _churn(processes: Pair, told: Told, name: str, other: str) -> None:
    """Have each thing happen once."""
    told.way = "quiet"
    await told.calm()
    for told.way, how in (("stopped", signal.SIGTERM), ("killed", signal.SIGKILL)):
        await processes.end(name, how)
        processes.start(name)
        await processes.ready(name)
        await told.calm()
    for back in ("back", "crossed"):
        told.way = "away"
        await processes.end(name, signal.SIGKILL)
        await told.calm()
        told.way = back
        processes.start(name)
        if back == "crossed":
            # It asks for its place now, and the other one is not there to be heard.
            await until(lambda: processes.url_of(name))
            await processes.end(other, signal.SIGKILL)
        await processes.ready(name)
        await told.calm()
    told.way = "back"
    processes.start(other)
    await processes.ready(other)
    await told.calm()


async def _write(publisher: Publisher, kafka: KafkaSettings, told: Told) -> None:
    """Write findings until cancelled, each once the one before is acked."""
    topic = kafka.topic("findings")
    for number in range(10**9):
        found = _finding(number)
        record = finding_record(Episode(found, 0, time.time_ns()), kafka.partitions)
        await publisher.publish(topic, [[record]])
        told.written[found.id] = time.monotonic()
        await asyncio.sleep(PAUSE)


def _finding(number: int) -> Finding:
    now = time.time_ns()
    return Finding(
        id=f"{number:032x}", kind=FindingKind.USE_AFTER_REVOCATION,
        severity=Severity.HIGH, realm=f"realm-{number}",
        presented=Identifier("aws.access_key", f"AKIA{number}"),
        first_seen=now, last_seen=now, message="it was used",
    )  # fmt: skip


@asynccontextmanager
async def _receiving(told: Told) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/", told.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/"
    finally:
        await runner.cleanup()
