"""The composition root of ingress on Kafka: HTTP in, topics out, heartbeats."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web
from attrs import frozen

from streams.apps.builders.access import access
from streams.apps.builders.description import described
from streams.apps.builders.hooks import RequestCounts, receivers
from streams.apps.builders.orders import orders
from streams.apps.builders.queues import queue_readers
from streams.apps.builders.sources import check_kafka
from streams.apps.builders.vaults import configured_vaults
from streams.apps.builders.vendors import pollers, scim_server
from streams.apps.worker import until_stopped
from streams.engines.embedded.reader_process import ReaderProcess
from streams.engines.kafka.client.leader_lock import Shared
from streams.engines.kafka.client.publisher import Publisher
from streams.engines.kafka.clock.cluster_clock import (
    faults,
    machine_clock,
    offset_seconds,
    timestamps,
)
from streams.engines.kafka.clock.heartbeats import Heart, begun
from streams.engines.kafka.ingress.compacted_store import CompactedStore
from streams.engines.kafka.ingress.current import FollowedTable
from streams.engines.kafka.ingress.ingress import KafkaLog
from streams.engines.kafka.ingress.pending_store import KeptShelf
from streams.engines.kafka.ingress.raw import RawInput, RawTopic
from streams.engines.kafka.ingress.source_state import (
    HEARSAY_SECONDS,
    KafkaCursors,
    KafkaKeeper,
    KafkaResources,
)
from streams.engines.kafka.ingress.writing import Writing
from streams.engines.kafka.records.layout import ACCESS, FACTS, SOURCES
from streams.engines.kafka.topics.topic_watch import TopicWatch
from streams.engines.kafka.topics.topics import assert_layout
from streams.http.events import Events, Speakers
from streams.http.metrics import ClockOffset, DeadLetterCollector, Metrics
from streams.http.probes import Probes
from streams.http.problems import problems
from streams.http.push import Push
from streams.http.server import listen
from streams.http.sources import SourceMetrics, Sources
from streams.http.traced import tracers
from streams.observability import metrics
from streams.process.lifecycle import say_ready
from streams.process.loop_hold import LoopHold
from streams.services.intake import NotWrittenError
from streams.services.reading import read
from streams.services.source_health import KEY, HealthBook
from streams.ssf.streams import Streams, Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from streams.apps.builders.access import AccessControl
    from streams.apps.builders.orders import Orders
    from streams.http.events import ConfiguredSource
    from streams.http.listening import Listening
    from streams.model.records import Record
    from streams.settings.kafka import KafkaSettings
    from streams.settings.server import RawTopicSettings, Settings

LATE_SECONDS = 1.0
TOPICS: Final = (ACCESS, "invalidations", "dlq", SOURCES)
ACK_SECONDS = 10.0  # then the source gets 503, and repeats

log = structlog.get_logger()


@frozen
class Receiving:
    """An ingress that accepts requests."""

    url: str


class AnotherLogError(Exception):
    """The topic is another than when this process started: start it again."""


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


async def receive(
    settings: Settings,
    kafka: KafkaSettings,
    name: str,
    *,
    stop: asyncio.Event | None = None,
    started: Callable[[Receiving], None] | None = None,
    clock: Callable[[], int] | None = None,
) -> None:
    """Take events in until ``stop`` is set, or SIGTERM or SIGINT comes.

    Args:
        settings: realm, tokens, authorities, sources, and where HTTP listens.
        kafka: the cluster and the layout.
        name: stable and unique among the writers; its heartbeats go by it.
        stop: ends it.
        started: called once it accepts requests.
        clock: gives the time (ns); by default the machine's, held to the brokers'.

    Raises:
        ConfigurationError: the settings contradict themselves.
        LayoutError: the topics are not as they must be.
        KafkaError: the cluster cannot be reached or refuses.
        OSError: the address cannot be bound.
    """
    clock = clock or machine_clock(kafka)
    given = described(settings, HEARSAY_SECONDS)
    check_kafka(settings)
    geneses = await assert_layout(kafka, TOPICS)
    watch, held = TopicWatch(kafka, TOPICS, geneses), LoopHold()
    async with (
        Publisher(kafka, ACK_SECONDS, timestamps(clock)) as publisher,
        CompactedStore(kafka, settings.realm, publisher, clock) as kept,
        AsyncExitStack() as running,
    ):
        keeper = KafkaKeeper(kept, name)
        book = HealthBook(clock, given.expected, lambda: keeper.of_others(KEY))
        await book.load(keeper)
        vaults = configured_vaults(settings, clock)
        writer = KafkaLog(
            kafka, publisher, geneses, _fresh_id, book.took, vaults.complete
        )
        heart = await begun(
            Heart(kafka.topic(FACTS), name, geneses, clock, watch.doubt), publisher
        )
        writer.watch = watch
        entry = access(settings, clock)
        tokens = entry.tokens
        tokens.behind = lambda: publisher.stalled
        speakers = Speakers(settings, clock)
        ordering = orders(
            tokens=tokens,
            speakers=speakers,
            log=writer,
            shelf=KeptShelf(kept),
            vocabulary=given.vocabulary,
            vaults=vaults,
            fresh_id=_fresh_id,
        )
        if ordering.limited:
            table = FollowedTable(kafka, settings.realm, given.vocabulary, name, writer)
            ordering.hold_to(await running.enter_async_context(table))
        reading = _reading(running)
        app = _application(
            settings,
            Events(tokens, given.sources, speakers, writer, reading.read),
            ordering,
            reading,
        )
        counts = RequestCounts(book)
        receiving = receivers(settings, tokens, speakers, writer, counts)
        receiving.add_to(app)
        scim = scim_server(
            settings, tokens, speakers, KafkaResources(kept, writer), _fresh_id
        )
        if scim is not None:
            scim.add_to(app)
        told = Metrics(
            metrics.INGRESS,
            held,
            counts.collector,
            SourceMetrics(book),
            ordering.collector,
            DeadLetterCollector(lambda: publisher.written[kafka.topic("dlq")]),
            ClockOffset(partial(offset_seconds, clock)),
        )
        app.router.add_get("/metrics", told.get)
        streams = Streams(
            settings.ssf,
            given.verifiers,
            Surroundings(writer, speakers.speaker, keeper, clock, _fresh_id),
        )
        polls = pollers(settings, speakers, KafkaCursors(kept, writer), counts)
        Push(tokens, streams.receivers, speakers).add_to(app)
        Sources(tokens, book, streams.receivers).add_to(app)
        inputs = {
            topic.topic: RawInput(kafka, topic, name, writer)
            for topic in _raw_topics(given.sources, speakers)
        }
        queues = queue_readers(settings, speakers, writer.records, counts.of("queue"))
        writing = Writing(
            kafka, heart, {topic: each.member for topic, each in inputs.items()}, watch
        )
        Probes(writing.still, writing.waiting, partial(faults, clock)).add_to(app)
        runner, url = await _listen(app, settings, entry)
        try:
            log.info("receiving", url=url, name=name, realm=settings.realm)
            _tell(settings, url, started)
            await until_stopped(
                stop or asyncio.Event(),
                held.watch(),
                heart.run(publisher),
                same_log(watch, heart),
                writing.outlook.run(writing.judge),
                *(each.run() for each in inputs.values()),
                book.run(keeper, writer, speakers.own),
                keeper.run(),
                kept.run(),
                ordering.desk.run(),
                ordering.quota_watch.run(),
                writer.letters.run(clock),
                Shared(
                    kafka,
                    settings.realm,
                    {each.name: each.run for each in polls} | streams.polled(),
                ).run(),
                *(each() for each in [*receiving.loops(), *streams.pushed()]),
                *(each() for each in entry.loops()),
                *(each() for each in vaults.asking(writer, speakers)),
                *(each.run() for each in queues),
            )
        finally:
            await runner.cleanup()
            with suppress(NotWrittenError):
                await keeper.flush()


async def _listen(
    app: web.Application, settings: Settings, entry: AccessControl
) -> tuple[Listening, str]:
    entry.guard(app)
    where = settings.listen
    return await listen(
        app, where.host, where.port, tls=entry.context, bounds=settings.connections
    )


def _tell(
    settings: Settings, url: str, started: Callable[[Receiving], None] | None
) -> None:
    """Say that requests are accepted."""
    say_ready(settings.ready_file, url)
    if started is not None:
        started(Receiving(url))


def _reading(running: AsyncExitStack) -> ReaderProcess:
    reading = ReaderProcess()
    running.push_async_callback(reading.close)
    return reading


def _application(
    settings: Settings, events: Events, ordering: Orders, reading: ReaderProcess
) -> web.Application:
    ordering.operators.apart = reading.apart
    app = web.Application(
        middlewares=[*tracers(), problems], client_max_size=settings.max_body_bytes
    )
    app.router.add_post("/v1/events/{source}", events.post)
    ordering.add_to(app)
    return app


def _raw_topics(
    sources: dict[str, ConfiguredSource], speakers: Speakers
) -> Iterator[RawTopic]:
    for each in speakers.settings.raw_topics:
        yield _raw(each, sources, speakers)


def _raw(
    each: RawTopicSettings, sources: dict[str, ConfiguredSource], speakers: Speakers
) -> RawTopic:
    configured = sources[each.source]

    async def records(data: bytes) -> Sequence[Record]:
        return await read(configured.make(), data, each.source)

    speaker = partial(speakers.speaker, each.authority, f"topic:{each.topic}")
    most = speakers.settings.max_body_bytes
    return RawTopic(each.topic, records, speaker, configured.point, most)


def _fresh_id() -> str:
    return uuid.uuid4().hex  # noqa: TID251 - the composition root
