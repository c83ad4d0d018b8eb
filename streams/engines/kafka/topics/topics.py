"""Compare the topics of a cluster with the layout, and make them so.

`apply` creates what is missing, sets configurations, and writes the genesis of each
partition of ``facts``. It never changes how many partitions a topic has: a realm
would move, and its order with it.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import structlog
from aiokafka.errors import TopicAuthorizationFailedError
from attrs import frozen

from streams.engines.kafka.records.genesis import FactsTopic, read_log, write_geneses
from streams.engines.kafka.records.layout import COMPACTED, FACTS, Topic, topics
from streams.engines.kafka.records.schema_registry import (
    SchemaRegistry,
    subject_of,
    take_ids,
)
from streams.engines.kafka.topics.administration import (
    APPLY_SECONDS,
    Shape,
    configs_of,
    configure,
    connected,
    create,
    overlooked,
    shapes_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from aiokafka.admin import AIOKafkaAdminClient

    from streams.engines.kafka.records.codec import Genesis
    from streams.settings.kafka import KafkaSettings


class Kind(StrEnum):
    """What differs from the layout."""

    MISSING = "missing"
    PARTITIONS = "partitions"
    REPLICATION = "replication"
    CONFIG = "config"
    GENESIS = "genesis"
    HEAD = "head"
    FOREIGN = "foreign"
    SCHEMA = "schema"


@frozen(order=True)
class TopicDifference:
    """One way in which a cluster is not as the layout wants it.

    Attributes:
        topic: its full name, or the subject of a schema.
        kind: what differs; of these only `FIXABLE` can be made right.
        wanted: as it should be.
        found: as it is.
    """

    topic: str
    kind: Kind
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.kind}: want {self.wanted}, found {self.found}"


# Configurations of state by which it is lost, and what of them will do.
LOSING: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "cleanup.policy": lambda found, wanted: found == wanted,
    "min.insync.replicas": lambda found, wanted: int(found) >= int(wanted),
    "unclean.leader.election.enable": lambda found, wanted: found == wanted,
}
log = structlog.get_logger()
FIXABLE: Final = frozenset({Kind.MISSING, Kind.CONFIG, Kind.GENESIS, Kind.SCHEMA})


class LayoutError(Exception):
    """The topics are not as they must be, and nothing may run on them.

    Attributes:
        differences: what is wrong.
    """

    def __init__(self, differences: Iterable[TopicDifference]) -> None:
        self.differences = tuple(differences)
        super().__init__("; ".join(map(str, self.differences)))


async def plan(settings: KafkaSettings) -> list[TopicDifference]:
    """All differences between a cluster and the layout; none when all is well.

    Raises:
        KafkaError: the cluster cannot be reached or refuses.
    """
    schemas = await _schemas(settings)
    async with connected(settings) as admin:
        differences = [*schemas, *await _differences(admin, topics(settings))]
    if schemas or not _readable(settings, differences):
        return differences
    return [*differences, *_without_genesis(settings, await read_log(settings))]


async def assert_layout(
    settings: KafkaSettings, names: Sequence[str]
) -> dict[int, Genesis]:
    """Assert that a stage may run; give the genesis of each partition of ``facts``.

    Every stage calls this at its start. It needs no right beyond those to read or to
    write the topics. From here on the ids of schemas are those of the registry, where
    one is set, for the calling task and all that it starts.

    Args:
        settings: of the cluster and the layout.
        names: the stage's topics, ``facts`` and so on.

    Raises:
        LayoutError: a topic is missing, has another number of partitions or would
            lose what was accepted, or a partition of ``facts`` has no genesis or has
            lost its head.
        RegistryError: the schema registry does not answer, or lacks a schema.
        KafkaError: the cluster cannot be reached or refuses.
    """
    await take_ids(settings)
    full = {settings.topic(name) for name in (FACTS, *names)}
    wanted = [topic for topic in topics(settings) if topic.name in full]
    async with connected(settings) as admin:
        counted = await shapes_of(admin, [topic.name for topic in wanted])
        wrong = [
            d
            for topic in wanted
            if (d := _count(topic, counted.get(topic.name))) is not None
        ]
        if wrong:
            raise LayoutError(wrong)
        losing = await _losing(admin, settings, wanted)
    found = await read_log(settings)
    if unfit := [*losing, *_without_genesis(settings, found)]:
        raise LayoutError(unfit)
    return found.geneses


async def _losing(
    admin: AIOKafkaAdminClient, settings: KafkaSettings, wanted: Iterable[Topic]
) -> list[TopicDifference]:
    """Return the configurations by which accepted state is lost."""
    state = {settings.topic(name) for name in COMPACTED}
    kept = {topic.name: topic for topic in wanted if topic.name in state}
    try:
        found = await configs_of(admin, kept)
    except TopicAuthorizationFailedError as error:
        remedy = "give it DescribeConfigs: `rescind topics acls` has the rights"
        log.warning("topics_not_checked", topic=str(error), remedy=remedy)
        return []
    return [
        TopicDifference(
            name, Kind.CONFIG, f"{key}={topic.configs[key]}", f"{key}={value}"
        )
        for name, topic in kept.items()
        for key, value in found[name].in_force.items()
        if key in LOSING and not LOSING[key](value, topic.configs[key])
    ]


async def apply(
    settings: KafkaSettings,
    *,
    operator: str,
    now: int,
    new_id: Callable[[], str],
) -> list[TopicDifference]:
    """Make the topics as the layout wants them; give what was changed.

    Args:
        settings: of the cluster and the layout.
        operator: who does it; stands in the genesis records.
        now: in nanoseconds.
        new_id: makes a random id, one for each genesis.

    Raises:
        LayoutError: something differs that must not be changed; nothing was done.
        KafkaError: the cluster cannot be reached or refuses.
        TimeoutError: the brokers do not agree on what is there, or have no leaders, for
            30 s.
    """
    wanted = topics(settings)
    schemas = await _schemas(settings)
    if schemas and settings.schema_registry is not None:
        await SchemaRegistry(settings.schema_registry).publish()
        await take_ids(settings)
    async with connected(settings) as admin:
        differences = await _settled_differences(admin, wanted)
        found_log = FactsTopic({}, {})
        if _readable(settings, differences):
            found_log = await read_log(settings)
        without = _without_genesis(settings, found_log)
        if fatal := [d for d in [*differences, *without] if d.kind not in FIXABLE]:
            raise LayoutError(fatal)
        await create(admin, _named(wanted, differences, Kind.MISSING))
        await configure(admin, _named(wanted, differences, Kind.CONFIG))
    missing = [p for p in range(settings.partitions) if p not in found_log.geneses]
    await write_geneses(settings, missing, operator=operator, now=now, new_id=new_id)
    return [*schemas, *differences, *without]


async def _schemas(settings: KafkaSettings) -> list[TopicDifference]:
    """Schemas that the registry lacks; its ids are taken where it lacks none."""
    if settings.schema_registry is None:
        return []
    missing = await SchemaRegistry(settings.schema_registry).missing()
    if not missing:
        await take_ids(settings)
    return [
        TopicDifference(
            subject_of(each), Kind.SCHEMA, f"version {each.version}", "none"
        )
        for each in missing
    ]


async def _settled_differences(
    admin: AIOKafkaAdminClient, wanted: Sequence[Topic]
) -> list[TopicDifference]:
    """Differences once no topic only seems to be missing.

    One that is taken for missing, and is there in another shape, would get geneses.
    """
    async with asyncio.timeout(APPLY_SECONDS):
        while True:
            differences = await _differences(admin, wanted)
            if not await overlooked(admin, _named(wanted, differences, Kind.MISSING)):
                return differences
            await asyncio.sleep(0.05)


async def _differences(
    admin: AIOKafkaAdminClient, wanted: Sequence[Topic]
) -> list[TopicDifference]:
    shapes = await shapes_of(admin, [topic.name for topic in wanted])
    configs = await configs_of(admin, shapes)
    differences: list[TopicDifference] = []
    for topic in wanted:
        shape = shapes.get(topic.name)
        if (count := _count(topic, shape)) is not None:
            differences.append(count)
        if shape is None:
            continue
        if shape.replication_factor < topic.replication_factor:
            differences.append(
                TopicDifference(
                    topic.name,
                    Kind.REPLICATION,
                    str(topic.replication_factor),
                    str(shape.replication_factor),
                )
            )
        in_force = configs[topic.name].in_force
        differences += [
            TopicDifference(
                topic.name,
                Kind.CONFIG,
                f"{name}={value}",
                f"{name}={in_force.get(name)}",
            )
            for name, value in topic.configs.items()
            if in_force.get(name) != value
        ]
    return differences


def _count(topic: Topic, shape: Shape | None) -> TopicDifference | None:
    wanted = f"{topic.partitions} partitions"
    if shape is None:
        return TopicDifference(topic.name, Kind.MISSING, wanted, "nothing")
    if shape.partitions != topic.partitions:
        found = f"{shape.partitions}, and the number is fixed for life"
        return TopicDifference(topic.name, Kind.PARTITIONS, wanted, found)
    return None


def _readable(settings: KafkaSettings, differences: Iterable[TopicDifference]) -> bool:
    """Whether ``facts`` exists, with the partitions that we count."""
    uncountable = (Kind.MISSING, Kind.PARTITIONS)
    wrong = {d.topic for d in differences if d.kind in uncountable}
    return _facts(settings) not in wrong


def _without_genesis(
    settings: KafkaSettings, found_log: FactsTopic
) -> list[TopicDifference]:
    facts = _facts(settings)
    differences = []
    for partition in range(settings.partitions):
        genesis = found_log.geneses.get(partition)
        if (start := found_log.lost.get(partition)) is not None:
            wanted = f"all of partition {partition}"
            found = f"it from offset {start} on, its head is lost: make the topic anew"
            differences.append(TopicDifference(facts, Kind.HEAD, wanted, found))
        elif partition in found_log.foreign:
            wanted = f"a genesis in partition {partition}"
            found = "one of other schema ids: set the registry it was made with"
            differences.append(TopicDifference(facts, Kind.FOREIGN, wanted, found))
        elif genesis is None:
            wanted = f"a genesis in partition {partition}"
            differences.append(TopicDifference(facts, Kind.GENESIS, wanted, "none"))
        elif genesis.partitions != settings.partitions:
            wanted = f"a genesis of {settings.partitions} partitions"
            found = f"one of {genesis.partitions}"
            differences.append(TopicDifference(facts, Kind.PARTITIONS, wanted, found))
    return differences


def _named(
    wanted: Sequence[Topic], differences: Iterable[TopicDifference], kind: Kind
) -> list[Topic]:
    names = {d.topic for d in differences if d.kind is kind}
    return [topic for topic in wanted if topic.name in names]


def _facts(settings: KafkaSettings) -> str:
    return settings.topic(FACTS)
