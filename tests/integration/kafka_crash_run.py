"""Seeded runs on a real broker: a script of events, violence, and checks by a model."""

from __future__ import annotations

import json
import random
import re
import signal
from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from attrs import define, field

from agents_registry.death import death
from agents_registry.facts import fact_id
from agents_registry.inventory import table
from agents_registry.registry import Registry
from streams.apps.ingress import receive
from streams.engines.kafka.records.codec import partition_of
from streams.http.table_answers import table_row
from streams.model.times import SECOND
from streams.observability.failpoints import WORKER_POINTS
from streams.settings.server import Settings
from streams.sources.aws.cloudtrail import CloudTrail
from streams.stages.ingest.admission import Admission, Entitlements, admit
from streams.stages.ingest.entitlement import Grant
from streams.stages.ingest.ingress import Origin
from tests.integration import kafka_crash_child
from tests.integration.forked import preload, start
from tests.integration.serving import created_key, deleted_key, until, used_key, values
from tests.integration.working import decoded, ends, keyed_facts_of, task_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from streams.apps.ingress import Receiving
    from streams.settings.kafka import KafkaSettings

NOW = 1_800_000_000 * SECOND
HUNG = 60.0
POSITION = re.compile(
    r'rescind_position\{partition="(\d+)",stage="(\w+)"\} ([\d.e+]+)', re.ASCII
)

preload(kafka_crash_child)


@define
class Worker:
    """A worker process; its URL is empty when it died before it served."""

    process: Any
    url: str = ""

    @property
    def alive(self) -> bool:
        """Tell whether it runs."""
        return bool(self.process.is_alive())

    def kill(self) -> None:
        """End it with SIGKILL and wait until it is gone."""
        self.process.kill()
        self.process.join(HUNG)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        import os  # noqa: PLC0415

        os.kill(self.process.pid, number)


@define
class Run:
    """What one run sends, what was acknowledged, and what it checks."""

    seed: int
    folder: Path
    kafka: KafkaSettings
    posts: list[bytes] = field(factory=list)
    acknowledged: set[int] = field(factory=set)

    def __attrs_post_init__(self) -> None:
        """Make the events: keys that are made, used, deleted and used again."""
        rng = random.Random(self.seed)
        events = []
        for number in range(rng.randint(6, 10)):
            key = f"AKIA{self.seed:08d}{number:08d}"
            user, name = f"user{number % 3}", f"{self.seed}-{number}"
            events.append(created_key(key, user, "2026-01-01T10:00:00Z", f"{name}-c"))
            events.append(used_key(key, user, "2026-01-01T11:00:00Z", f"{name}-u"))
            if rng.random() < 0.7:
                at = "2026-01-01T12:00:00Z"
                events.append(deleted_key(key, user, at, f"{name}-d"))
            for use in range(rng.randint(0, 2)):
                error = rng.choice([None, "InvalidClientTokenId"])
                at = f"2026-01-01T13:0{use}:00Z"
                events.append(used_key(key, user, at, f"{name}-l{use}", error))
        rng.shuffle(events)
        if (self.seed // len(WORKER_POINTS)) % 2:
            # With nothing after it, no later fact makes good what a cause lost.
            events.sort(key=lambda event: event["eventName"] == "DeleteAccessKey")
        while events:
            size = rng.randint(1, 4)
            self.posts.append(json.dumps({"Records": events[:size]}).encode())
            events = events[size:]

    @asynccontextmanager
    async def ingress(self) -> AsyncIterator[Receiving]:
        """Run ingress in this process."""
        settings = Settings(**values(self.folder))
        async with task_of(
            lambda stop, told: receive(
                settings, self.kafka, "i0", stop=stop, started=told
            )
        ) as receiving:
            yield receiving

    @asynccontextmanager
    async def worker(
        self,
        name: str = "w0",
        failpoint: str = "",
        data: str = "",
        session: float = 10.0,
        standby: bool = False,
        ends_with: tuple[int, ...] = (0, -signal.SIGKILL),
    ) -> AsyncIterator[Worker]:
        """Run a worker process until the context ends.

        Args:
            name: of the worker.
            failpoint: where it dies.
            data: name of its folder, that of the worker by default.
            session: seconds until its place is given away.
            standby: tail what others have.
            ends_with: exit codes that are right.
        """
        ready = self.folder / f"ready-{name}"
        ready.unlink(missing_ok=True)
        folder = self.folder / (data or name)
        given = (
            values(self.folder, ready_file=str(ready)),
            _plain(self.kafka),
            {"name": name, "data_dir": folder, "session_seconds": session,
             "commit_seconds": 0.0, "snapshot_facts": 1, "head_seconds": 0.2,
             "standby": standby},
            failpoint,
        )  # fmt: skip
        process = start(kafka_crash_child, *given)
        worker = Worker(process)
        try:

            def url() -> str | None:
                if ready.exists() and (text := ready.read_text("utf-8").strip()):
                    return text
                return None if worker.alive else "dead"

            found = await until(url)
            worker.url = "" if found == "dead" else found
            yield worker
        finally:
            if worker.alive:
                worker.send(signal.SIGCONT)
                process.terminate()
                process.join(HUNG)
            if worker.alive:
                worker.kill()
            assert process.exitcode in ends_with, process.exitcode
            process.close()

    async def play(self, armed: str, data: str) -> bool:
        """Send the script to a worker that dies, go on with another, and check.

        Args:
            armed: where the first worker dies.
            data: folder of the second one; that of the first by default.

        Returns:
            Whether the first worker did die there.
        """
        async with self.ingress() as ingress:
            async with self.worker(failpoint=armed) as first:
                for number in range(len(self.posts)):
                    await self.send(ingress.url, range(number, number + 1))
                    if await later(0.3, lambda: not first.alive):
                        break
                died = await later(10, lambda: not first.alive)
            await self.send(ingress.url)
            async with self.worker(data=data) as second:
                await self.check([second])
        return died

    async def take_over(self, armed: str) -> bool:
        """Send the script to a worker that dies with a warm standby beside it.

        Args:
            armed: where the owner dies; tell whether it did.
        """
        async with (
            self.ingress() as ingress,
            self.worker("w0", failpoint=armed, session=2, standby=True) as owner,
        ):
            await self.ready(owner)
            async with self.worker("w1", session=2, standby=True) as other:
                await self.ready(other)
                for number in range(len(self.posts)):
                    await self.send(ingress.url, range(number, number + 1))
                    if await later(0.1, lambda: not owner.alive):
                        break
                died = await later(10, lambda: not owner.alive)
                await self.send(ingress.url)
                await self.check([other])
        return died

    async def ready(self, worker: Worker) -> None:
        """Wait until a worker says that it is ready."""
        async with aiohttp.ClientSession() as session:

            async def so() -> bool:
                async with session.get(f"{worker.url}/healthz/ready") as got:
                    return got.status == 200

            await until(so, 2 * HUNG)

    async def send(self, url: str, posts: range | None = None) -> None:
        """Post what is not acknowledged yet, each until it is answered 202."""
        headers = {"Authorization": "Bearer aws"}
        path = f"{url}/v1/events/cloudtrail"
        async with aiohttp.ClientSession(headers=headers) as session:
            for number in posts or range(len(self.posts)):
                while number not in self.acknowledged:
                    async with session.post(path, data=self.posts[number]) as got:
                        assert got.status in (202, 503), await got.text()
                        if got.status == 202:
                            self.acknowledged.add(number)

    async def settled(self, workers: list[Worker]) -> None:
        """Wait until the workers together have worked off what lies in the topics."""
        facts = await ends(self.kafka, "facts", self.kafka.partitions)
        access = await ends(self.kafka, "access", self.kafka.access_partitions)
        async with aiohttp.ClientSession() as session:

            async def done() -> bool:
                found: dict[tuple[str, int], float] = {}
                waiting = 0.0
                for worker in workers:
                    async with session.get(f"{worker.url}/metrics") as got:
                        text = await got.text()
                    for number, stage, value in POSITION.findall(text):
                        found[stage, int(number)] = float(value)
                    waiting += sum(
                        float(line.split()[-1])
                        for line in text.splitlines()
                        if line.startswith("rescind_waiting{")
                    )
                return (
                    not waiting
                    and all(
                        found.get((stage, n), -1.0) >= end
                        for n, end in facts.items()
                        for stage in ("registry", "audit")
                    )
                    and all(
                        found.get(("sentinel", n), -1.0) >= end
                        for n, end in access.items()
                    )
                )

            await until(done, HUNG)

    async def table(self, workers: list[Worker]) -> list[Any]:
        """Give the table of the worker that has the realm."""
        headers = {"Authorization": "Bearer viewer"}
        async with aiohttp.ClientSession(headers=headers) as session:

            async def ask() -> list[Any] | None:
                for worker in workers:
                    url = f"{worker.url}/v1/table?now={NOW}"
                    async with session.get(url) as got:
                        if got.status == 200:
                            return [(await got.json())["rows"]]
                return None

            (rows,) = await until(ask, HUNG)
            return list(rows)

    async def check(self, workers: list[Worker]) -> None:
        """Compare table, invalidations and findings with the model."""
        await self.settled(workers)
        keyed = await keyed_facts_of(self.kafka)
        facts = [fact for _, fact in keyed]
        model = Registry.build(facts)
        assert [table_row(row) for row in table(model, NOW)] == await self.table(
            workers
        )
        admitted = self.admitted()
        logged = {fact_id(fact).hex() for fact in facts}
        assert {fact_id(fact).hex() for fact in admitted.facts} == logged
        # What a compaction of the topic leaves: the last record of each key.
        left = {fact_id(fact).hex() for fact in dict(keyed).values()}
        assert left == logged
        dead = {
            str(row.identifier)
            for row in table(model, NOW)
            if death(model, row.identifier) is not None
        }
        told = await decoded(self.kafka, "invalidations")
        assert dead == {each["identifier"] for each in told}
        await self.check_findings(model, admitted)

    async def check_findings(self, model: Registry, admitted: Admission) -> None:
        """Every use of a dead key is in a finding, counted once, and no other is."""
        expected: dict[str, set[str | None]] = defaultdict(set)
        for use in admitted.accesses:
            key = use.identifiers[0]
            if death(model, key, at=use.at) is not None:
                expected[str(key)].add(use.event_id)

        async def reported() -> bool:
            found: dict[str, set[str | None]] = defaultdict(set)
            for finding in await decoded(self.kafka, "findings"):
                if finding["cause"] is not None:
                    ids = {*finding["event_ids"]}
                    assert not found[finding["presented"]] & ids
                    assert finding["count"] == len(ids)
                    found[finding["presented"]] |= ids
            return dict(found) == dict(expected)

        # A slice may be on its way to the topic when the positions are told already.
        await until(reported, HUNG)

    def admitted(self) -> Admission:
        """Say what all the events of the script mean."""
        records = [r for each in self.posts for r in CloudTrail().records(each)]
        origin = Origin("aws", "default", NOW, "aws", 1, issuer_log=True)
        return admit(records, origin, Entitlements((Grant("aws.*"),)), fresh="")

    @property
    def partition(self) -> int:
        """Give the partition of the realm."""
        return partition_of("default", self.kafka.partitions)


def arms(seed: int, most: int = 2) -> tuple[str, str]:
    """Give where the worker of a seed dies, and the folder of the next one.

    Args:
        seed: of the run.
        most: at which arrival at the latest.
    """
    point = WORKER_POINTS[seed % len(WORKER_POINTS)]
    rng = random.Random(seed)
    times = 1 if point.endswith("loaded") else rng.randint(1, most)
    return f"{point}:{times}", rng.choice(["", "cold"])


def _plain(kafka: KafkaSettings) -> dict[str, Any]:
    return kafka.model_dump(exclude_none=True)


async def later(seconds: float, condition: Any) -> bool:
    """Wait for a condition for a while; tell whether it came true."""
    try:
        await until(condition, seconds)
    except TimeoutError:
        return False
    return True
