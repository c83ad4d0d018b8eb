"""The composition root of a notify process on Kafka: findings in, alerts out."""

from __future__ import annotations

import asyncio
import uuid
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web
from attrs import frozen

from agents_registry.secret_shapes import HASHED_KINDS
from streams.apps.builders.access import ConfigurationError, access
from streams.apps.builders.alerting import Alerting, alerting
from streams.apps.builders.door import door
from streams.apps.builders.http_listener import accepting
from streams.engines.kafka.clock.cluster_clock import (
    faults,
    machine_clock,
    offset_seconds,
)
from streams.engines.kafka.notify.process import NotifyProcess, notify_process
from streams.http.alert_metrics import AlertMetrics, Attempts
from streams.http.alerts import Alerts
from streams.http.metrics import Metrics, OneValue, StageProgress
from streams.http.probes import Probes
from streams.http.problems import problems
from streams.http.silences import SilencePages, act_of
from streams.observability import metrics
from streams.process.lifecycle import until_stopped
from streams.process.loop_hold import LoopHold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.registry import Collector

    from schemas.entries import Act
    from streams.http.auth import Tokens
    from streams.settings.kafka import KafkaSettings
    from streams.settings.notify import NotifySettings
    from streams.settings.server import Settings

NO_RECEIVER: Final = (
    "alerts.endpoints: set a receiver; with none, findings would be read and told to "
    "nobody, and a receiver that is set later would not get them"
)

log = structlog.get_logger()


@frozen
class Delivering:
    """A notify process whose HTTP side accepts requests at ``url``."""

    url: str
    process: NotifyProcess


async def deliver(
    settings: Settings,
    kafka: KafkaSettings,
    notify: NotifySettings,
    *,
    stop: asyncio.Event | None = None,
    started: Callable[[Delivering], None] | None = None,
    clock: Callable[[], int] | None = None,
) -> None:
    """Deliver alerts until ``stop`` is set, or SIGTERM or SIGINT comes.

    A dead letter that is not acked ends the process with 70.

    Args:
        settings: the receivers, and where HTTP listens.
        kafka: the cluster and the layout.
        notify: of this process.
        stop: ends it.
        started: called once its HTTP side accepts requests.
        clock: gives the time (ns); by default the machine's, held to the brokers'.

    Raises:
        ConfigurationError: there is no receiver of alerts.
        EndpointError: no attempt could use what is set for one.
        LayoutError: the topics are not as they must be.
        InUseError: another process has the same data folder.
        KafkaError: the cluster cannot be reached or refuses.
        OSError: the address cannot be bound.
    """
    clock = clock or machine_clock(kafka)
    receivers, attempts, held = _receivers(settings), Attempts(), LoopHold()
    post = attempts.counting(receivers.poster(clock))
    entry = access(settings, clock)
    async with notify_process(
        kafka, notify, settings.realm, receivers.routes, post, clock
    ) as process:
        app = web.Application(
            middlewares=[problems], client_max_size=settings.max_body_bytes
        )
        entry.guard(app)
        Probes(process.stalled, process.waiting, partial(faults, clock)).add_to(app)
        serving = process.serving
        passing = door("notify", notify.name, settings, kafka, entry.tokens, serving)
        collectors = _collectors(process, attempts, clock)
        Metrics(metrics.NOTIFY, held, passing.collector, *collectors).add_to(app)
        _add_alerts(app, settings, process, entry.tokens, clock)
        passing.add_to(app)
        async with passing.running(), accepting(app, settings, entry) as url:
            log.info("notifying", url=url, name=notify.name)
            if started is not None:
                started(Delivering(url, process))
            loops = [held.watch, *entry.loops()]
            works = [*process.works(), *(run() for run in loops)]
            await until_stopped(stop or asyncio.Event(), *works)


def _collectors(
    process: NotifyProcess, attempts: Attempts, clock: Callable[[], int]
) -> Iterator[Collector]:
    yield StageProgress(lambda: process.progress)
    yield OneValue(metrics.NOTIFY_OWED, lambda: process.inbox.owed)
    yield OneValue(metrics.DEAD_LETTERS, lambda: process.inbox.dead)
    yield AlertMetrics(process.worker, attempts, clock)
    yield OneValue(metrics.CLOCK_OFFSET, partial(offset_seconds, clock))


def _receivers(settings: Settings) -> Alerting:
    receivers = alerting(settings)
    if not receivers.routes:
        raise ConfigurationError(NO_RECEIVER)
    return receivers


def _add_alerts(
    app: web.Application,
    settings: Settings,
    process: NotifyProcess,
    tokens: Tokens,
    clock: Callable[[], int],
) -> None:
    """Add what answers for alerts and their silences."""
    worker, realm = process.worker, settings.realm
    Alerts(tokens, worker, realm, clock, _log_act).add_to(app)
    silencing = SilencePages(
        tokens,
        process.silences,
        worker,
        clock,
        realm=realm,
        fresh_id=_fresh_id,
        record_act=act_of(realm, clock, _log_act),
        hashed_kinds=HASHED_KINDS | set(settings.hashed_kinds),
    )
    silencing.add_to(app)


def _fresh_id() -> str:
    return uuid.uuid4().hex  # noqa: TID251 - the composition root


async def _log_act(act: Act) -> None:
    """Say who ordered what; this process may not write to the log of facts."""
    log.info("operator_acted", actor=act.actor, action=act.action)
