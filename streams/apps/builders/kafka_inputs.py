"""All by which an ingress on Kafka takes in what sources and operators say."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen

from streams.apps.builders.access import AccessControl, access
from streams.apps.builders.hooks import Receivers, RequestCounts, receivers
from streams.apps.builders.kafka_lists import KafkaLists, kafka_lists
from streams.apps.builders.orders import Orders, orders
from streams.apps.builders.queues import queue_readers
from streams.apps.builders.vendors import pollers, scim_server
from streams.engines.kafka.client.leader_lock import LeaderLock
from streams.engines.kafka.ingress.raw import RawInput, RawTopic
from streams.http.events import Speakers
from streams.http.names import Names
from streams.http.push import Push
from streams.http.sources import SourceMetrics, Sources
from streams.services.cursors import KeptCursors
from streams.services.reading import read
from streams.services.scim_resources import KeptResources
from streams.ssf.streams import Streams, Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence

    from aiohttp import web
    from prometheus_client.registry import Collector

    from streams.apps.builders.description import Described
    from streams.apps.builders.kafka_log import IngressLog
    from streams.http.auth import Tokens
    from streams.http.events import ConfiguredSource
    from streams.http.scim import ScimServer
    from streams.model.records import Record
    from streams.pollers.driver import Poller
    from streams.pollers.sqs import QueueReader
    from streams.settings.sources import RawTopicSettings


@frozen
class KafkaInputs:
    """What listens, asks and follows, and the orders of operators.

    Attributes:
        raw: the readers of raw topics, by topic.
    """

    log: IngressLog
    access: AccessControl
    tokens: Tokens
    speakers: Speakers
    orders: Orders
    counts: RequestCounts
    receivers: Receivers
    scim: ScimServer | None
    streams: Streams
    polls: tuple[Poller, ...]
    queues: tuple[QueueReader, ...]
    raw: Mapping[str, RawInput]
    lists: KafkaLists

    @property
    def collectors(self) -> tuple[Collector, ...]:
        """Collectors for ``/metrics``."""
        book = SourceMetrics(self.log.book)
        return self.counts.collector, book, self.orders.collector

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        self.access.guard(app)
        self.orders.add_to(app)
        secrets = self.orders.operators.secrets
        Names(self.tokens, secrets, self.log.vaults.names).add_to(app)
        self.receivers.add_to(app)
        self.lists.add_to(app)
        if self.scim is not None:
            self.scim.add_to(app)
        Push(self.tokens, self.streams.receivers, self.speakers).add_to(app)
        Sources(self.tokens, self.log.book, self.streams.receivers).add_to(app)

    def works(self) -> list[Coroutine[None, None, None]]:
        """Coroutines of sources and operators, which run until cancelled."""
        log, speakers = self.log, self.speakers
        alone = {each.name: each.run for each in self.polls} | self.streams.polled()
        return [
            *(each.run() for each in self.raw.values()),
            log.book.run(log.keeper, log.writer, speakers.own),
            self.orders.desk.run(),
            self.orders.quota_watch.run(),
            LeaderLock(log.kafka, speakers.settings.realm, alone).run(),
            *(each() for each in [*self.receivers.loops(), *self.streams.pushed()]),
            *(each() for each in self.access.loops()),
            *(each() for each in log.vaults.asking(log.writer, speakers)),
            *(each.run() for each in self.queues),
            *self.lists.works(),
        ]


def kafka_inputs(
    given: Described,
    log: IngressLog,
    clock: Callable[[], int],
    fresh_id: Callable[[], str],
) -> KafkaInputs:
    """Make what takes in events and orders.

    Args:
        given: what the settings say of sources.
        log: what is taken in goes into it.
        clock: gives the time (ns).
        fresh_id: gives unique ids.

    Raises:
        VendorError: the settings of a vendor cannot be used.
        AccessError: those of a credential cannot.
    """
    settings, writer, kept = given.settings, log.writer, log.kept
    entry = access(settings, clock)
    tokens, speakers = entry.tokens, Speakers(settings, clock)
    tokens.behind = lambda: log.publisher.stalled
    ordering = orders(
        tokens=tokens,
        speakers=speakers,
        log=writer,
        kept=kept,
        vocabulary=given.vocabulary,
        vaults=log.vaults,
        fresh_id=fresh_id,
    )
    counts = RequestCounts(log.book)
    around = Surroundings(writer, speakers.speaker, log.keeper, clock, fresh_id)
    resources = KeptResources(kept, writer)
    return KafkaInputs(
        log=log,
        access=entry,
        tokens=tokens,
        speakers=speakers,
        orders=ordering,
        counts=counts,
        receivers=receivers(settings, tokens, speakers, writer, counts),
        scim=scim_server(settings, tokens, speakers, resources, fresh_id),
        streams=Streams(settings.ssf, given.verifiers, around),
        polls=pollers(settings, speakers, KeptCursors(kept, writer), counts),
        queues=queue_readers(settings, speakers, writer.records, counts.of("queue")),
        raw={
            topic.topic: RawInput(log.kafka, topic, log.name, writer)
            for topic in _raw_topics(given.sources, speakers)
        },
        lists=kafka_lists(settings, log, tokens, clock),
    )


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
