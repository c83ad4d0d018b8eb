"""The way of an ingress on Kafka into the topics, and what is kept beside the log."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from attrs import frozen

from streams.apps.builders.vaults import Vaults, configured_vaults
from streams.engines.kafka.client.publisher import Publisher
from streams.engines.kafka.clock.cluster_clock import timestamps
from streams.engines.kafka.clock.end_looks import EndLooks
from streams.engines.kafka.clock.heartbeats import Heart, begun
from streams.engines.kafka.ingress.compacted_store import CompactedStore
from streams.engines.kafka.ingress.fact_log import TopicFactLog
from streams.engines.kafka.records.codec import partition_of
from streams.engines.kafka.records.layout import ACCESS, FACTS, SOURCES
from streams.engines.kafka.topics.topic_watch import TopicWatch
from streams.engines.kafka.topics.topics import assert_layout
from streams.services.health_records import HealthRecords
from streams.services.ingest import Intake
from streams.services.intake import NotWrittenError
from streams.services.source_health import KEY, HealthBook

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from streams.apps.builders.description import Described
    from streams.settings.kafka import KafkaSettings

LATE_SECONDS = 2.0  # a writer beats once a second, if others do it for it
TOPICS: Final = (ACCESS, "invalidations", "dlq", SOURCES)
ACK_SECONDS = 10.0  # then the source gets 503, and repeats


class AnotherLogError(Exception):
    """The topic is another than when this process started: start it again."""


@frozen
class IngressLog:
    """What ingress writes with.

    Attributes:
        name: of the process, stable and unique among the writers.
        kept: the entries of the realm in the topic ``sources``.
        book: how the sources are, which the keeper writes down.
        vaults: complete what is taken in.
        watch: of the topics.
        facts: the log of facts.
        writer: takes in, and writes to that.
    """

    kafka: KafkaSettings
    name: str
    publisher: Publisher
    kept: CompactedStore
    keeper: HealthRecords
    book: HealthBook
    vaults: Vaults
    watch: TopicWatch
    heart: Heart
    facts: TopicFactLog
    writer: Intake

    def works(self, clock: Callable[[], int]) -> list[Coroutine[None, None, None]]:
        """Coroutines of the log, which run until cancelled."""
        return [
            self.heart.run(self.publisher),
            same_log(self.watch, self.heart),
            self.keeper.run(),
            self.kept.run(),
            self.facts.letters.run(clock),
        ]

    async def flush(self) -> None:
        """Write down how the sources are, where that is possible still."""
        with suppress(NotWrittenError):
            await self.keeper.flush()


@asynccontextmanager
async def ingress_log(
    given: Described,
    kafka: KafkaSettings,
    name: str,
    clock: Callable[[], int],
    fresh_id: Callable[[], str],
) -> AsyncIterator[IngressLog]:
    """Open the way into the topics for the length of a block.

    Args:
        given: what the settings say of sources.
        kafka: the cluster and the layout.
        name: of the process; its heartbeats go by it.
        clock: gives the time (ns).
        fresh_id: gives unique ids.

    Raises:
        LayoutError: the topics are not as they must be.
        KafkaError: the cluster cannot be reached or refuses.
    """
    settings = given.settings
    geneses = await assert_layout(kafka, TOPICS)
    watch = TopicWatch(kafka, TOPICS, geneses)
    async with (
        Publisher(kafka, ACK_SECONDS, timestamps(clock)) as publisher,
        CompactedStore(kafka, settings.realm, publisher, clock) as kept,
    ):
        keeper = HealthRecords(kept, name)
        book = HealthBook(clock, given.expected, lambda: keeper.of_others(KEY))
        await book.load(keeper)
        vaults = configured_vaults(settings)
        facts = TopicFactLog(kafka, publisher, geneses, fresh_id, kept)
        facts.watch = watch
        writer = Intake(facts, fresh_id, book.took, vaults.complete)
        topic = kafka.topic(FACTS)
        looks = EndLooks(kafka, topic)
        own = frozenset({partition_of(settings.realm, kafka.partitions)})
        heart = Heart(topic, name, geneses, clock, watch.doubt, looks, own=own)
        await begun(heart, publisher)
        yield IngressLog(
            kafka,
            name,
            publisher,
            kept,
            keeper,
            book,
            vaults,
            watch,
            heart,
            facts,
            writer,
        )


async def same_log(watch: TopicWatch, heart: Heart) -> None:
    """Look now and then whether the log is still the same, until cancelled.

    Raises:
        AnotherLogError: it is not; tokens of this process would name the old one.
    """

    def asked() -> bool:
        # Else there is nobody to ask, and nothing is acked either.
        return not heart.silent(asyncio.get_running_loop().time(), LATE_SECONDS)

    await watch.run(asked)
    raise AnotherLogError(watch.fault)
