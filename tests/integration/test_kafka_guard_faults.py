"""Guards on Kafka under faults: what was revoked a lease ago is never allowed.

One clock of this machine judges, CLOCK_BOOTTIME: a credential that is allowed by a
check that began at a time T must not have been revoked, and the revocation acked,
before T minus the lease. How slow this machine is plays no part.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Final

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from attrs import Factory, define

from agents_registry.identifiers import Identifier
from agents_registry.life import Reason
from enforcement import Lapse
from enforcement.clocks import boottime
from streams.engines.kafka.client.publisher import Acked, Publisher
from streams.engines.kafka.records.codec import Outgoing
from streams.model.times import SECOND
from tests.integration.kafka_cluster import settings_of
from tests.integration.kafka_guards import (
    FAMILY,
    guard_of,
    node,
    revoke,
    writing,
)
from tests.integration.serving import until
from tests.integration.working import lay_out, records

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from enforcement.kafka import KafkaGuard
    from streams.devkafka.broker import BrokerNode, Cluster
    from streams.settings.kafka import KafkaSettings
    from tests.integration.kafka_cluster import StartKafka
    from tests.integration.kafka_guards import Writer

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(600)]

MANY: Final = 3_000  # credentials, more than a run revokes


def credential(number: int) -> Identifier:
    """Name one."""
    return Identifier("vault.accessor", f"c{number}")


@define
class Run:
    """Revocations that go on, and a judge.

    Attributes:
        guard: under test.
        acked: when each revocation was, by number.
        answers: how often the judge asked of one that had to be denied.
    """

    guard: KafkaGuard
    acked: dict[int, int] = Factory(dict)
    answers: int = 0

    async def revoke(self, writer: Writer) -> None:
        """Revoke one credential after another."""
        for number in range(MANY):
            await writer.say(revoke(credential(number)))
            self.acked[number] = boottime()
            await asyncio.sleep(0.02)

    async def judge(self) -> None:
        """Ask of all that must be denied, again and again."""
        while True:
            began = boottime()
            for number, acked in list(self.acked.items()):
                if acked < began - SECOND:
                    self.answers += 1
                    assert not self.guard.check(credential(number)).allowed
            await asyncio.sleep(0.01)

    async def recovered(self) -> None:
        """Wait until the guard allows, and knows a revocation of just now."""
        standing, feed = self.guard.standing, self.guard.feed
        last = max(self.acked, default=-1)

        def knows() -> bool:
            newest = max(self.acked, default=-1)
            denied = self.guard.check(credential(newest)).reason is Reason.REVOKED
            return newest > last and denied and standing.holds()

        try:
            await until(knows, 150)
        except TimeoutError:
            newest = max(self.acked, default=-1)
            pytest.fail(f"{last} {newest} {vars(standing)} {feed.last_error}")


@asynccontextmanager
async def running(kafka: KafkaSettings) -> AsyncIterator[Run]:
    """Revoke and judge until the context ends."""
    await lay_out(kafka)
    async with (
        writing(kafka, seconds=120) as writer,
        guard_of(kafka) as guard,
        asyncio.TaskGroup() as tasks,
    ):
        await writer.say(*FAMILY)
        for start in range(0, MANY, 500):
            numbers = range(start, start + 500)
            await writer.say(*(node(credential(number)) for number in numbers))
        run = Run(guard)
        going = [tasks.create_task(run.revoke(writer)), tasks.create_task(run.judge())]
        await run.recovered()
        yield run
        await until(lambda: run.answers)  # a second after the first revocation
        for task in going:
            task.cancel()


async def test_a_broker_that_freezes_or_dies_and_a_guard_that_stands_still(
    start_kafka: StartKafka,
) -> None:
    """Each makes the guard deny within a lease; none makes it allow what it may not."""
    cluster = await start_kafka()
    (broker,) = cluster.nodes

    async def freeze(run: Run) -> None:
        broker.freeze()
        await lapsed(run, boottime())
        broker.thaw()

    async def kill(run: Run) -> None:
        broker.kill()
        await lapsed(run, boottime())
        broker.start()
        await cluster.ready()

    async def stand_still(run: Run) -> None:
        # As SIGSTOP would: nothing in this process goes on.
        time.sleep(1.5)  # noqa: ASYNC251
        assert not run.guard.standing.holds()

    faults = [freeze, kill, stand_still]
    Random(cluster.bootstrap).shuffle(faults)
    async with running(settings_of(cluster)) as run:
        for fault in faults:
            await fault(run)
            await run.recovered()


async def lapsed(run: Run, gone_at: int) -> None:
    """Wait until the guard denies what lives, and see that it did so in time."""
    reasons = {Lapse.NO_LEASE, Lapse.NOT_CAUGHT_UP}
    await until(lambda: run.guard.check(credential(MANY - 1)).reason in reasons)

    # Whatever the load of this machine did to the test: it was over by then.
    assert run.guard.standing.deadline <= gone_at + SECOND


async def leader_of(cluster: Cluster, kafka: KafkaSettings, number: int) -> BrokerNode:
    """Give the node that leads a partition of facts."""
    producer = AIOKafkaProducer(**kafka.client())
    await producer.start()
    try:
        topic = kafka.topic("facts")
        await producer.partitions_for(topic)
        place = TopicPartition(topic, number)
        leader = producer.client.cluster.leader_for_partition(place)
    finally:
        await producer.stop()
    return next(n for n in cluster.nodes if n.address.node == leader)


async def test_a_leader_that_is_replaced_and_comes_back(
    start_kafka: StartKafka,
) -> None:
    """The guard denies, follows the new leader, and does not believe the old one."""
    more = {"broker.session.timeout.ms": "4000", "broker.heartbeat.interval.ms": "500"}
    cluster = await start_kafka(3, more=more)
    kafka = settings_of(cluster, request_timeout_ms=3000)
    async with running(kafka) as run:
        number = run.guard.feed.partition
        assert number is not None
        frozen = await leader_of(cluster, kafka, number)
        frozen.freeze()
        await lapsed(run, boottime())
        await run.recovered()
        frozen.thaw()
        await cluster.ready()
        await run.recovered()


async def test_a_frozen_leader_holds_no_write(start_kafka: StartKafka) -> None:
    """Another one leads soon, and what the frozen one holds is sent there."""
    cluster = await start_kafka(3)
    # A client that waits for as long as this would wait for the frozen node.
    kafka = settings_of(cluster, partitions=1, request_timeout_ms=600_000)
    await lay_out(kafka)
    topic = kafka.topic("facts")
    async with Publisher(kafka, 120.0) as publisher:

        async def write(name: str) -> Acked:
            record = Outgoing(partition=0, key=name.encode(), value=b"x", headers=())
            (acked,) = await publisher.publish(topic, [[record]])
            return acked

        before = await write("before")
        leader = await leader_of(cluster, kafka, 0)
        leader.freeze()
        began = time.monotonic()
        after = await write("after")
        print(f"a frozen leader held a write for {time.monotonic() - began:.1f} s")  # noqa: T201 - measured for the docs
        assert before.end <= after.start
        leader.thaw()


async def test_what_one_copy_alone_has_is_not_acked(start_kafka: StartKafka) -> None:
    """So the death of a leader loses nothing that was accepted."""
    cluster = await start_kafka(3)
    kafka = settings_of(cluster, partitions=1, access_partitions=1)
    await lay_out(kafka)
    topic, acked = kafka.topic("facts"), []
    async with Publisher(kafka, 120.0) as publisher:

        async def write(name: str) -> None:
            record = Outgoing(partition=0, key=name.encode(), value=b"x", headers=())
            await publisher.publish(topic, [[record]])
            acked.append(record.key)

        for number in range(20):
            await write(f"before-{number}")
        leader = await leader_of(cluster, kafka, 0)
        others = [node for node in cluster.nodes if node is not leader]
        for node in others:
            node.freeze()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4):
                await write("alone")
        leader.kill()
        for node in others:
            node.thaw()
        await write("after")
    left = [record.key for record in await records(kafka, "facts")]
    assert b"after" in acked
    assert set(acked) <= set(left)
