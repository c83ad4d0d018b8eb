"""The composition root of insights on Kafka: topics in, counts by hour out."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from aiohttp import web
from attrs import frozen

from streams.apps.builders.access import access
from streams.apps.builders.door import door
from streams.apps.builders.http_listener import accepting
from streams.engines.kafka.topics.topics import assert_layout
from streams.http.insights import Insights
from streams.http.metrics import Metrics
from streams.http.probes import Probes
from streams.http.problems import problems
from streams.insights.projection import READ, Projection, make_changelogs
from streams.observability import metrics
from streams.process.lifecycle import until_stopped
from streams.process.loop_hold import LoopHold

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.settings.insights import InsightsSettings
    from streams.settings.kafka import KafkaSettings
    from streams.settings.server import Settings

log = structlog.get_logger()


@frozen
class Counting:
    """A process of insights whose HTTP side accepts requests at ``url``."""

    url: str


async def count(
    settings: Settings,
    kafka: KafkaSettings,
    insights: InsightsSettings,
    *,
    stop: asyncio.Event | None = None,
    started: Callable[[Counting], None] | None = None,
    clock: Callable[[], int] = time.time_ns,  # noqa: TID251 - the composition root
) -> None:
    """Count until ``stop`` is set, or SIGTERM or SIGINT comes.

    Args:
        settings: tokens, and where HTTP listens.
        kafka: the cluster and the layout.
        insights: of this process.
        stop: ends it.
        started: called once its HTTP side accepts requests.
        clock: gives the time (ns).

    Raises:
        LayoutError: the topics are not as they must be.
        KafkaError: the cluster cannot be reached or refuses.
        OSError: the address cannot be bound.
    """
    # Faust would start on topics that are not there, and stay idle for ever.
    await assert_layout(kafka, READ)
    await make_changelogs(kafka, insights)
    entry, held = access(settings, clock), LoopHold()
    with tempfile.TemporaryDirectory(prefix="rescind-insights-") as folder:
        projection = Projection(kafka, insights, Path(folder))
        app = web.Application(
            middlewares=[problems], client_max_size=settings.max_body_bytes
        )
        Probes(lambda _: (), projection.waiting).add_to(app)
        passing = door("insights", "insights", settings, kafka, entry.tokens)
        told = Metrics(metrics.INSIGHTS, held, passing.collector)
        told.add_to(app)
        Insights(entry.tokens, projection, settings.realm, clock).add_to(app)
        entry.guard(app)
        passing.add_to(app)
        async with passing.running(), accepting(app, settings, entry) as url:
            log.info("counting", url=url)
            if started is not None:
                started(Counting(url))
            loops = (projection.run, held.watch, *entry.loops())
            await until_stopped(stop or asyncio.Event(), *(each() for each in loops))
