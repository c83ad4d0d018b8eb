"""Ingress and a worker on a real Kafka for tests, and what lies in the topics."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition
from attrs import define

from agents_registry.facts import Fact
from schemas.codec import bundled
from streams.apps.ingress import Receiving, receive
from streams.apps.worker import Working, work
from streams.engines.kafka.records.codec import partition_of, read_entry, realm_of
from streams.engines.kafka.topics.topics import apply
from streams.settings.server import Settings
from streams.settings.worker import WorkerSettings
from tests.integration.serving import DEADLINE, until, values

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings


async def lay_out(kafka: KafkaSettings) -> None:
    """Make the topics."""
    await apply(kafka, operator="test", now=1, new_id=lambda: secrets.token_hex(16))


@asynccontextmanager
async def task_of(
    start: Callable[[asyncio.Event, Callable[[Any], None]], Coroutine[Any, Any, None]],
) -> AsyncIterator[Any]:
    """Run a part in this process until the context ends; give what it told."""
    stop = asyncio.Event()
    told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(start(stop, told.set_result))
        try:
            async with asyncio.timeout(DEADLINE):
                both: tuple[asyncio.Future[Any], ...] = (task, told)
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            yield told.result()
        finally:
            stop.set()


@define
class Pipeline:
    """A running ingress and a worker, and a client of both."""

    kafka: KafkaSettings
    ingress: Receiving
    working: Working
    session: aiohttp.ClientSession

    async def post(self, path: str, token: str, body: Any) -> tuple[int, Any]:
        """Post bytes or JSON to ingress; give status and decoded answer."""
        data = {"json": body} if isinstance(body, dict) else {"data": body}
        headers = {"Authorization": f"Bearer {token}"}
        async with self.session.post(
            self.ingress.url + path, headers=headers, **data
        ) as got:
            return got.status, await got.json(content_type=None)

    async def scrape(self, url: str) -> str:
        """Read the metrics of ingress or of the worker."""
        async with self.session.get(f"{url}/metrics") as got:
            return await got.text()

    async def table(self, now: int, realm: str = "default") -> list[Any]:
        """Give the worker's table."""
        headers = {"Authorization": "Bearer viewer"}
        url = f"{self.working.url}/v1/table?realm={realm}&now={now}"

        async def rows() -> list[Any] | None:
            async with self.session.get(url, headers=headers) as got:
                return [(await got.json())["rows"]] if got.status == 200 else None

        (found,) = await until(rows)
        return list(found)

    async def settled(self) -> None:
        """Wait until all that lies in the topics is worked off."""
        facts = await ends(self.kafka, "facts", self.kafka.partitions)
        access = await ends(self.kafka, "access", self.kafka.access_partitions)
        receipts = await ends(self.kafka, "receipts", self.kafka.partitions)
        process = self.working.process
        assert process.registry is not None
        assert process.sentinel is not None
        registry, sentinel = process.registry, process.sentinel

        def done() -> bool:
            replica = sentinel.replica.partitions
            return (
                all(
                    number in of and of[number].position >= end
                    for of in (registry.partitions, replica)
                    for number, end in facts.items()
                )
                and all(
                    number in sentinel.watched
                    and sentinel.watched[number].position >= end
                    for number, end in access.items()
                )
                and bool(sentinel.member.assigned)
                and not sentinel.member.fresh
                and not sentinel.judged.inspecting
                and not any(
                    p.waiting
                    for of in (registry.partitions, replica)
                    for p in of.values()
                )
                and not any(w.changed for w in sentinel.watched.values())
                and all(
                    sentinel.witnesses.position(number) >= end
                    for number, end in receipts.items()
                )
            )

        await until(done)
        # What the sentinel finds of agents goes over the topic to whoever tells of it.
        if access != await ends(self.kafka, "access", self.kafka.access_partitions):
            await self.settled()


@asynccontextmanager
async def worker(
    folder: Path, kafka: KafkaSettings, name: str, **more: Any
) -> AsyncIterator[Working]:
    """Run a worker in this process; ``more`` is of its own settings, and its clock."""
    clock: Callable[[], int] | None = more.pop("clock", None)
    settings = Settings(**values(folder))
    own = WorkerSettings(name=name, data_dir=folder / name, **more)
    async with task_of(
        lambda stop, told: work(
            settings, kafka, own, stop=stop, started=told, clock=clock
        )
    ) as working:
        yield working


@asynccontextmanager
async def pipeline(
    folder: Path, kafka: KafkaSettings, **more: Any
) -> AsyncIterator[Pipeline]:
    """Run ingress and a worker in this process; the topics must be there.

    Of ``more``, which is settings, ``clock`` is that of ingress, and ``head_seconds``
    are those of the worker.
    """
    head_seconds: float = more.pop("head_seconds", 60.0)
    clock: Callable[[], int] | None = more.pop("clock", None)
    settings = Settings(**values(folder, **more))
    worker = WorkerSettings(
        name="w0", data_dir=folder / "worker", head_seconds=head_seconds
    )
    async with (
        task_of(
            lambda stop, told: work(settings, kafka, worker, stop=stop, started=told)
        ) as working,
        task_of(
            lambda stop, told: receive(
                settings, kafka, "i0", stop=stop, started=told, clock=clock
            )
        ) as ingress,
        aiohttp.ClientSession() as session,
    ):
        yield Pipeline(kafka, ingress, working, session)


async def ends(kafka: KafkaSettings, name: str, count: int) -> dict[int, int]:
    """Give where the partitions of a topic end now."""
    consumer = AIOKafkaConsumer(**kafka.client())
    await consumer.start()
    try:
        topic = kafka.topic(name)
        found = await consumer.end_offsets(
            [TopicPartition(topic, number) for number in range(count)]
        )
        return {tp.partition: end for tp, end in found.items()}
    finally:
        await consumer.stop()


async def records(kafka: KafkaSettings, name: str) -> list[Any]:
    """Read all that lies in a topic, partition by partition."""
    count = kafka.access_partitions if name == "access" else kafka.partitions
    left = await ends(kafka, name, count)
    consumer = AIOKafkaConsumer(**kafka.client(), auto_offset_reset="earliest")
    await consumer.start()
    read: list[Any] = []
    try:
        topic = kafka.topic(name)
        tps = [TopicPartition(topic, number) for number in left]
        consumer.assign(tps)
        while any([await consumer.position(tp) < left[tp.partition] for tp in tps]):
            for got in (await consumer.getmany(timeout_ms=200)).values():
                read += got
    finally:
        await consumer.stop()
    return sorted(read, key=lambda each: (each.partition, each.offset))


async def facts_of(kafka: KafkaSettings, realm: str = "default") -> list[Fact]:
    """Read the facts of a realm."""
    return [fact for _, fact in await keyed_facts_of(kafka, realm)]


async def keyed_facts_of(
    kafka: KafkaSettings, realm: str = "default"
) -> list[tuple[bytes, Fact]]:
    """Read the facts of a realm, each with the key of its record."""
    number = partition_of(realm, kafka.partitions)
    found = []
    for record in await records(kafka, "facts"):
        if not record.key.startswith(f"{realm}/".encode()):
            continue
        entry = read_entry(record.key, record.value)
        if isinstance(entry, Fact) and realm_of(record.key) == realm:
            assert record.partition == number
            found.append((record.key, entry))
    return found


async def decoded(kafka: KafkaSettings, name: str) -> list[dict[str, Any]]:
    """Read and decode all that lies in a topic, the last record of each key."""
    last: dict[bytes, dict[str, Any]] = {}
    for record in await records(kafka, name):
        last[record.key] = bundled().decode(record.value).record
    return list(last.values())
