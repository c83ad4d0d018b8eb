"""The composition root of ingress on Kafka: HTTP in, topics out, heartbeats."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import structlog
from aiohttp import web
from attrs import frozen

from streams.apps.builders.description import Described, described
from streams.apps.builders.http_listener import accepting
from streams.apps.builders.kafka_inputs import KafkaInputs, kafka_inputs
from streams.apps.builders.kafka_log import ingress_log
from streams.apps.builders.sources import check_kafka
from streams.engines.embedded.reader_process import ReaderProcess
from streams.engines.kafka.clock.cluster_clock import (
    faults,
    machine_clock,
    offset_seconds,
)
from streams.engines.kafka.ingress.current import FollowedTable
from streams.engines.kafka.ingress.source_state import HEARSAY_SECONDS
from streams.engines.kafka.ingress.status_entries import KafkaStatusEntries
from streams.engines.kafka.ingress.writing import Writing
from streams.http.events import Events
from streams.http.metrics import ClockOffset, DeadLetterCollector, Metrics
from streams.http.probes import Probes
from streams.http.problems import problems
from streams.http.publication import publication
from streams.http.status_lists import StatusLists
from streams.http.traced import tracers
from streams.observability import metrics
from streams.process.lifecycle import say_ready, until_stopped
from streams.process.loop_hold import LoopHold

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from streams.http.publication import Publication
    from streams.settings.kafka import KafkaSettings
    from streams.settings.server import Settings

log = structlog.get_logger()


@frozen
class Receiving:
    """An ingress that accepts requests."""

    url: str


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
        ValueError: the key that signs status lists cannot be used.
    """
    clock = clock or machine_clock(kafka)
    given = described(settings, HEARSAY_SECONDS)
    check_kafka(settings)
    published = publication(settings)
    held = LoopHold()
    async with (
        ingress_log(given, kafka, name, clock, _fresh_id) as written,
        AsyncExitStack() as running,
    ):
        taking = kafka_inputs(given, written, clock, _fresh_id)
        reading = ReaderProcess()
        running.push_async_callback(reading.close)
        app = _application(given, taking, reading, clock, held)
        await running.enter_async_context(_following(given, taking, app, published))
        members = {topic: each.member for topic, each in taking.raw.items()}
        writing = Writing(kafka, written.heart, members, written.watch)
        Probes(writing.stalled, writing.waiting, partial(faults, clock)).add_to(app)
        running.push_async_callback(written.flush)
        url = await running.enter_async_context(accepting(app, settings, taking.access))
        log.info("receiving", url=url, name=name, realm=settings.realm)
        say_ready(settings.ready_file, url)
        if started is not None:
            started(Receiving(url))
        await until_stopped(
            stop or asyncio.Event(),
            held.watch(),
            writing.outlook.run(writing.judge),
            *written.works(clock),
            *taking.works(),
        )


@asynccontextmanager
async def _following(
    given: Described,
    taking: KafkaInputs,
    app: web.Application,
    published: Publication | None,
) -> AsyncIterator[None]:
    """Follow the table of the realm where something is counted or judged in it."""
    orders, log, settings = taking.orders, taking.log, given.settings
    if not orders.limited and published is None:
        yield
        return
    async with FollowedTable(
        log.kafka, settings.realm, given.vocabulary, log.name, log.writer
    ) as table:
        if orders.limited:
            orders.hold_to(table)
        if published is not None:
            entries = KafkaStatusEntries(
                log.kept, table, taking.speakers.clock, _fresh_id, secrets.randbelow
            )
            StatusLists(
                taking.tokens,
                taking.speakers,
                given.vocabulary,
                entries,
                published,
                log.writer.stated.secrets,
            ).add_to(app)
        yield


def _application(
    given: Described,
    taking: KafkaInputs,
    reading: ReaderProcess,
    clock: Callable[[], int],
    held: LoopHold,
) -> web.Application:
    """Make what answers requests, probes apart."""
    tokens, speakers, written = taking.tokens, taking.speakers, taking.log
    taking.orders.operators.apart = reading.apart
    app = web.Application(
        middlewares=[*tracers(), problems],
        client_max_size=given.settings.max_body_bytes,
    )
    events = Events(tokens, given.sources, speakers, written.writer, reading.read)
    app.router.add_post("/v1/events/{source}", events.post)
    taking.add_to(app)
    lost, dlq = written.publisher.written, written.kafka.topic("dlq")
    told = Metrics(
        metrics.INGRESS,
        held,
        *taking.collectors,
        DeadLetterCollector(lambda: lost[dlq]),
        ClockOffset(partial(offset_seconds, clock)),
    )
    app.router.add_get("/metrics", told.get)
    return app


def _fresh_id() -> str:
    return uuid.uuid4().hex  # noqa: TID251 - the composition root
