"""The printed rights on a broker that enforces them: enough, and no more."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.admin import CreateAclsRequest

from streams.engines.kafka.records.layout import NAMES
from streams.engines.kafka.topics.acls import Operation, Role, acls
from streams.engines.kafka.topics.topics import apply, assert_layout, plan
from tests.integration.kafka_cluster import settings_of

if TYPE_CHECKING:
    from streams.engines.kafka.topics.acls import Acl
    from streams.settings.kafka import KafkaSettings
    from tests.integration.kafka_cluster import StartKafka

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
PREFIX = "rescind"
# The numbers of Kafka's protocol: AclOperation, ResourceType, LITERAL and ALLOW.
OPERATIONS = {
    Operation.READ: 3,
    Operation.WRITE: 4,
    Operation.CREATE: 5,
    Operation.ALTER_CONFIGS: 11,
    Operation.DESCRIBE: 8,
    Operation.DESCRIBE_CONFIGS: 10,
}
RESOURCES = {"topic": 2, "group": 3}
LITERAL = ALLOW = 3


async def add(settings: KafkaSettings, rights: list[Acl]) -> None:
    """Add rights as the cluster's administrator."""
    admin = AIOKafkaAdminClient(**settings.client())
    await admin.start()
    try:
        for acl in rights:
            request = CreateAclsRequest(
                RESOURCES[acl.resource],
                acl.name,
                LITERAL,
                acl.principal,
                "*",
                OPERATIONS[acl.operation],
                ALLOW,
            )
            answer = await admin._send_to_controller(request)
            assert [code for code, _ in answer.creation_responses] == [0]
    finally:
        await admin.close()


async def described(settings: KafkaSettings, topic: str) -> bool:
    """Tell whether a user sees a topic at all; clients wait for one that is hidden."""
    admin = AIOKafkaAdminClient(**settings.client())
    await admin.start()
    try:
        (found,) = await admin.describe_topics([topic])
    finally:
        await admin.close()
    assert found["error_code"] in (0, TopicAuthorizationFailedError.errno)
    return bool(found["error_code"] == 0)


async def may_write(settings: KafkaSettings, topic: str) -> bool:
    """Try to write a record, with the idempotent producer that all stages use."""
    producer = AIOKafkaProducer(
        **settings.client(), acks="all", enable_idempotence=True
    )
    try:
        await producer.start()
        await producer.send_and_wait(topic, b"x", b"k", partition=0)
    except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError):
        return False
    finally:
        with suppress(KafkaError):
            await producer.stop()
    return True


async def may_read(settings: KafkaSettings, topic: str) -> bool:
    """Try to fetch the first record."""
    consumer = AIOKafkaConsumer(**settings.client(), auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.getone()
    except TopicAuthorizationFailedError:
        return False
    finally:
        await consumer.stop()
    return True


async def may_join(settings: KafkaSettings, group: str) -> bool:
    """Try to commit an offset as a member of a group."""
    consumer = AIOKafkaConsumer(
        **settings.client(), group_id=group, enable_auto_commit=False
    )
    try:
        await consumer.start()
        part = TopicPartition(settings.topic("facts"), 0)
        consumer.assign([part])
        await consumer.commit({part: 0})
    except GroupAuthorizationFailedError:
        return False
    finally:
        await consumer.stop()
    return True


@pytest.mark.long
async def test_rights_suffice_and_nothing_more_is_allowed(
    start_kafka: StartKafka,
) -> None:
    """Each role writes and reads just what its list says, and joins its own group."""
    cluster = await start_kafka(users=tuple(f"{PREFIX}-{role}" for role in Role))
    admin = settings_of(cluster, prefix=PREFIX)
    rights = list(acls(admin, {}))
    await add(admin, rights)

    def of(role: Role) -> KafkaSettings:
        return settings_of(cluster, f"{PREFIX}-{role}", prefix=PREFIX)

    ids = count()
    topics = of(Role.TOPICS)
    await apply(topics, operator="ops", now=1, new_id=lambda: f"g{next(ids)}")
    assert await plan(topics) == []
    for name in NAMES:
        assert await may_write(admin, admin.topic(name))
    for role in Role:
        settings, user = of(role), f"User:{PREFIX}-{role}"
        listed = {(a.name, a.operation) for a in rights if a.principal == user}
        wrong: list[Any] = []
        for name in NAMES:
            topic = settings.topic(name)
            for operation, attempt in (
                (Operation.WRITE, may_write),
                (Operation.READ, may_read),
            ):
                async with asyncio.timeout(20):
                    allowed = await described(settings, topic) and await attempt(
                        settings, topic
                    )
                if allowed is not ((topic, operation) in listed):
                    wrong.append((role, operation, topic, allowed))
        for other in (Role.REGISTRY, role):
            group = settings.group(other)
            async with asyncio.timeout(20):
                allowed = await may_join(settings, group)
            if allowed is not ((group, Operation.READ) in listed):
                wrong.append((role, "join", group, allowed))
        assert wrong == []


@pytest.mark.long
async def test_every_role_can_assert_the_layout_at_its_start(
    start_kafka: StartKafka,
) -> None:
    """The start check needs no right beyond those to read or to write."""
    cluster = await start_kafka(users=tuple(f"{PREFIX}-{role}" for role in Role))
    admin = settings_of(cluster, prefix=PREFIX)
    rights = list(acls(admin, {}))
    await add(admin, rights)
    ids = count()
    await apply(admin, operator="ops", now=1, new_id=lambda: f"g{next(ids)}")
    for role in Role:
        user = f"{PREFIX}-{role}"
        topics = {a.name for a in rights if a.principal == f"User:{user}"}
        names = [name for name in NAMES if admin.topic(name) in topics]
        geneses = await assert_layout(settings_of(cluster, user, prefix=PREFIX), names)
        assert len(geneses) == admin.partitions
