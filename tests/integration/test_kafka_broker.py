"""The broker fixture: what a test can do to a real Kafka, and what stays."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from streams.devkafka.distribution import BrokerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from streams.devkafka.broker import BrokerNode, Cluster
    from tests.integration.kafka_cluster import StartKafka

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
TOPIC = "records"


@asynccontextmanager
async def producing(cluster: Cluster) -> AsyncIterator[AIOKafkaProducer]:
    """Give a producer whose acks prove that a record stays."""
    producer = AIOKafkaProducer(**cluster.client(), acks="all", enable_idempotence=True)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def make_topic(cluster: Cluster, copies: int) -> None:
    """Create the topic of these tests, of one partition."""
    admin = AIOKafkaAdminClient(**cluster.client())
    await admin.start()
    try:
        in_sync = {"min.insync.replicas": str(max(1, copies - 1))}
        await admin.create_topics([NewTopic(TOPIC, 1, copies, topic_configs=in_sync)])
    finally:
        await admin.close()


async def values(cluster: Cluster) -> list[bytes | None]:
    """Read everything up to the end of the topic."""
    consumer = AIOKafkaConsumer(**cluster.client(), auto_offset_reset="earliest")
    await consumer.start()
    try:
        part = TopicPartition(TOPIC, 0)
        consumer.assign([part])
        end = (await consumer.end_offsets([part]))[part]
        read: list[bytes | None] = []
        while await consumer.position(part) < end:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                read += [record.value for record in records]
        return read
    finally:
        await consumer.stop()


@pytest.mark.long
async def test_killed_node_comes_back_with_its_records(start_kafka: StartKafka) -> None:
    """After kill -9 a node restarts on its ports, with all that it had acked."""
    cluster = await start_kafka()
    (node,) = cluster.nodes
    await make_topic(cluster, 1)
    async with producing(cluster) as producer:
        await producer.send_and_wait(TOPIC, b"before", partition=0)
        node.kill()
        node.start()
        await cluster.ready()
        await producer.send_and_wait(TOPIC, b"after", partition=0)
    assert await values(cluster) == [b"before", b"after"]


async def test_frozen_node_answers_nothing_until_it_is_thawed(
    start_kafka: StartKafka,
) -> None:
    """SIGSTOP keeps an ack back; SIGCONT lets it come, and the record is there once."""
    cluster = await start_kafka()
    (node,) = cluster.nodes
    await make_topic(cluster, 1)
    async with producing(cluster) as producer:
        await producer.send_and_wait(TOPIC, b"warm", partition=0)
        node.freeze()
        ack = await producer.send(TOPIC, b"late", partition=0)
        done, _ = await asyncio.wait([ack], timeout=1.5)
        assert not done
        node.thaw()
        await asyncio.wait_for(ack, 60)
    assert await values(cluster) == [b"warm", b"late"]


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
async def test_a_node_stands_still_once_it_is_frozen(start_kafka: StartKafka) -> None:
    """All its threads do: one that still runs may yet answer."""
    cluster = await start_kafka()
    (node,) = cluster.nodes
    for _ in range(20):
        node.freeze()
        found = states_of_threads(node)
        node.thaw()
        assert {"T"} == found


def states_of_threads(node: BrokerNode) -> set[str]:
    """Give them as Linux names them: T is stopped."""
    process: Any = node._handle
    stats = Path(f"/proc/{process.popen.pid}/task").glob("*/stat")
    return {each.read_text().rpartition(")")[2].split()[0] for each in stats}


@pytest.mark.long
async def test_three_nodes_lose_one_and_nothing_else(start_kafka: StartKafka) -> None:
    """With the leader killed the others take its partition over, records included."""
    cluster = await start_kafka(3)
    await make_topic(cluster, 3)
    async with producing(cluster) as producer:
        await producer.send_and_wait(TOPIC, b"three", partition=0)
        leader = producer.client.cluster.leader_for_partition(TopicPartition(TOPIC, 0))
        killed = next(n for n in cluster.nodes if n.address.node == leader)
        killed.kill()
        await producer.send_and_wait(TOPIC, b"two", partition=0)
        killed.start()
        await cluster.ready()
    assert await values(cluster) == [b"three", b"two"]


async def test_node_that_cannot_start_says_why(start_kafka: StartKafka) -> None:
    """A broker that ends by itself is an error with its log, not a wait."""
    with pytest.raises(BrokerError, match=r"no\.such\.Reporter"):
        await start_kafka(more={"metric.reporters": "no.such.Reporter"})


async def test_password_is_asked_for(start_kafka: StartKafka) -> None:
    """A secured broker lets in who knows the password, and no one else."""
    cluster = await start_kafka(users=("guard",))
    await cluster.ready()
    wrong = {**cluster.client("guard"), "sasl_plain_password": "guess"}
    for reach, refused in ((cluster.client("guard"), False), (wrong, True)):
        admin = AIOKafkaAdminClient(**reach)
        try:
            with pytest.raises(KafkaError) if refused else nullcontext():
                await admin.start()
        finally:
            await admin.close()
