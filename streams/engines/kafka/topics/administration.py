"""Ask a cluster for its topics, create and configure them, through aiokafka."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)
from attrs import frozen

from enforcement.kafka.connecting import stopped, whole

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from streams.engines.kafka.records.layout import Topic
    from streams.settings.kafka import KafkaSettings

# DescribeConfigs: set on the topic itself, not inherited from the broker.
_SET_ON_TOPIC: Final = 1
APPLY_SECONDS: Final = 30.0


@frozen
class Shape:
    """How many partitions a topic has, and copies of the one that has the fewest."""

    partitions: int
    replication_factor: int


@frozen
class Configs:
    """Configurations of a topic.

    Attributes:
        in_force: all of them.
        own: those that were set on the topic itself.
    """

    in_force: Mapping[str, str]
    own: Mapping[str, str]


@asynccontextmanager
async def connected(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Connect an admin client for the length of a block."""
    admin = AIOKafkaAdminClient(**settings.client())
    try:
        await whole(admin.start())
        yield admin
    finally:
        await stopped(admin.close)


async def shapes_of(
    admin: AIOKafkaAdminClient, names: Sequence[str]
) -> dict[str, Shape]:
    """Shape of each of these topics that exists.

    Raises:
        KafkaError: a topic may not be described.
    """
    shapes = {}
    for topic in await admin.describe_topics(list(names)):
        if topic["error_code"] == UnknownTopicOrPartitionError.errno:
            continue
        _raise(topic["error_code"], topic["topic"])
        copies = [len(part["replicas"]) for part in topic["partitions"]]
        shapes[topic["topic"]] = Shape(len(copies), min(copies, default=0))
    return shapes


async def configs_of(
    admin: AIOKafkaAdminClient, names: Iterable[str]
) -> dict[str, Configs]:
    """Return the configurations of topics, which must exist.

    Raises:
        KafkaError: a topic may not be described.
    """
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    configs = {}
    for answer in await admin.describe_configs(asked) if asked else ():
        for resource in answer.to_object()["resources"]:
            name = resource["resource_name"]
            _raise(resource["error_code"], name)
            entries = resource["config_entries"]
            configs[name] = Configs(
                {e["config_names"]: e["config_value"] for e in entries},
                {
                    e["config_names"]: e["config_value"]
                    for e in entries
                    if e["config_source"] == _SET_ON_TOPIC
                },
            )
    return configs


async def overlooked(admin: AIOKafkaAdminClient, missing: Sequence[Topic]) -> bool:
    """Whether one of these exists though a broker knows nothing of it.

    The controller, which is asked here, knows first; the brokers learn from it.
    """
    if not missing:
        return False
    asked = [_new(topic) for topic in missing]
    answer = await admin.create_topics(asked, validate_only=True)
    found = TopicAlreadyExistsError.errno
    return any(code == found for _, code, _ in answer.topic_errors)


def _new(topic: Topic) -> NewTopic:
    return NewTopic(
        topic.name,
        topic.partitions,
        topic.replication_factor,
        topic_configs=dict(topic.configs),
    )


async def create(admin: AIOKafkaAdminClient, missing: Sequence[Topic]) -> None:
    """Create topics, and wait until each partition has a leader.

    Raises:
        KafkaError: a topic may not or cannot be created; others may exist by then.
        TimeoutError: there are no leaders after 30 s.
    """
    if not missing:
        return
    answer = await admin.create_topics([_new(topic) for topic in missing])
    for name, code, reason in answer.topic_errors:
        if code != TopicAlreadyExistsError.errno:
            _raise(code, f"{name}: {reason}")
    await _wait_for(admin, missing)


async def _wait_for(admin: AIOKafkaAdminClient, created: Sequence[Topic]) -> None:
    # A broker learns of new topics, and elects their leaders, after the answer.
    async with asyncio.timeout(APPLY_SECONDS):
        while True:
            found = await admin.describe_topics([topic.name for topic in created])
            if all(
                topic["error_code"] == 0
                and topic["partitions"]
                and all(part["leader"] >= 0 for part in topic["partitions"])
                for topic in found
            ):
                return
            await asyncio.sleep(0.05)


async def configure(admin: AIOKafkaAdminClient, wanted: Sequence[Topic]) -> None:
    """Set the configurations of topics, and keep what else was set on them.

    Raises:
        KafkaError: a topic may not be configured.
        TimeoutError: the configurations are not in force after 30 s.
    """
    if not wanted:
        return
    own = await configs_of(admin, [topic.name for topic in wanted])
    # AlterConfigs replaces all that was set on a topic, the operator's own included.
    answers = await admin.alter_configs(
        [
            ConfigResource(
                ConfigResourceType.TOPIC,
                topic.name,
                {**own[topic.name].own, **topic.configs},
            )
            for topic in wanted
        ]
    )
    for answer in answers:
        for resource in answer.to_object()["resources"]:
            _raise(resource["error_code"], resource["resource_name"])
    # The answer is the controller's; a broker learns of it a little later.
    async with asyncio.timeout(APPLY_SECONDS):
        while True:
            if await _as_wanted(admin, wanted):
                return
            await asyncio.sleep(0.05)


async def _as_wanted(admin: AIOKafkaAdminClient, wanted: Sequence[Topic]) -> bool:
    found = await configs_of(admin, [topic.name for topic in wanted])
    return all(
        topic.configs.items() <= found[topic.name].in_force.items() for topic in wanted
    )


def _raise(code: int, topic: str) -> None:
    if code:
        raise for_code(code)(topic)
