"""The composition root of ingress on Kafka: HTTP in, topics out, heartbeats."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import structlog
from attrs import frozen

from streams.apps.builders.description import described
from streams.apps.builders.door import door
from streams.apps.builders.http_listener import accepting
from streams.apps.builders.ingress_pages import ingress_pages
from streams.apps.builders.kafka_endings import ending_beside
from streams.apps.builders.kafka_inputs import kafka_inputs
from streams.apps.builders.kafka_log import ingress_log
from streams.apps.builders.sources import check_kafka
from streams.apps.builders.status_lists import status_lists
from streams.engines.embedded.reader_process import ReaderProcess
from streams.engines.kafka.clock.cluster_clock import machine_clock
from streams.engines.kafka.ingress.current import FollowedTable
from streams.http.publication import publication
from streams.http.reach import FleetReach
from streams.process.lifecycle import until_stopped
from streams.process.loop_hold import LoopHold
from streams.services.health_records import HEARSAY_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp import web

    from streams.apps.builders.description import Described
    from streams.apps.builders.kafka_inputs import KafkaInputs
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
    check_kafka(settings)
    clock = clock or machine_clock(kafka)
    given = described(settings, HEARSAY_SECONDS)
    published = publication(settings)
    held = LoopHold()
    async with (
        ingress_log(given, kafka, name, clock, _fresh_id) as written,
        AsyncExitStack() as running,
    ):
        taking = kafka_inputs(given, written, clock, _fresh_id)
        reading = ReaderProcess()
        running.push_async_callback(reading.close)
        passing = door("ingress", name, settings, kafka, taking.common.tokens)
        taking.common.orders.plans.reach = FleetReach(passing.answers)
        pages = ingress_pages(given, taking, reading, clock, [held, passing.collector])
        following = _following(given, taking, pages.app, published)
        await running.enter_async_context(following)
        alone = await running.enter_async_context(ending_beside(given, taking))
        passing.add_to(pages.app)  # last: it adds what is not there
        await running.enter_async_context(passing.running())
        running.push_async_callback(written.flush)
        await running.enter_async_context(taking.common.listening())
        accepted = accepting(pages.app, settings, taking.common.access)
        url = await running.enter_async_context(accepted)
        log.info("receiving", url=url, name=name, realm=settings.realm)
        if started is not None:
            started(Receiving(url))
        await until_stopped(
            stop or asyncio.Event(),
            held.watch(),
            pages.writing.outlook.run(pages.writing.judge),
            *written.works(clock),
            *taking.works(alone),
        )


@asynccontextmanager
async def _following(
    given: Described,
    taking: KafkaInputs,
    app: web.Application,
    published: Publication | None,
) -> AsyncIterator[None]:
    """Follow the table of the realm where something is counted or judged in it."""
    common, log, settings = taking.common, taking.log, given.settings
    if not common.orders.limited and published is None:
        yield
        return
    async with FollowedTable(
        log.kafka, settings.realm, given.vocabulary, log.name, log.facts
    ) as table:
        common.orders.hold_to(table)
        if published is not None:
            status_lists(common, published, table, _fresh_id).add_to(app)
        yield


def _fresh_id() -> str:
    return uuid.uuid4().hex  # noqa: TID251 - the composition root
