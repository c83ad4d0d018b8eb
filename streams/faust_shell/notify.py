"""``rescind notify``: alerts out of Kafka, by a hardened Faust agent in its own app."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog
from attrs import Factory, frozen

from streams.apps.builders.access import AccessControl, access
from streams.apps.builders.alerting import Alerting, alerting
from streams.apps.builders.http_listener import accepting
from streams.apps.builders.sources import ConfigurationError
from streams.engines.kafka.checkpoints.checkpoint import Folder
from streams.engines.kafka.client.publisher import Publisher, die
from streams.engines.kafka.clock.cluster_clock import machine_clock, timestamps
from streams.engines.kafka.clock.rounds import measuring
from streams.engines.kafka.ingress.compacted_store import CompactedStore
from streams.engines.kafka.notify.delivery_file import DeliveryFile
from streams.engines.kafka.notify.notifier import DeliveryWorker
from streams.engines.kafka.notify.silences import KeptSilences
from streams.engines.kafka.records.layout import SOURCES
from streams.engines.kafka.topics.topic_watch import TopicWatch
from streams.engines.kafka.topics.topics import assert_layout
from streams.faust_shell.admin_http import AdminPages
from streams.faust_shell.apps import agent_app
from streams.faust_shell.delivery_agent import bring_together
from streams.faust_shell.running import run_app
from streams.http.alert_metrics import Attempts
from streams.http.alerts import Alerts
from streams.http.silences import SilencePages, act_of
from streams.observability.progress import Progress
from streams.process.lifecycle import heeding_signals, say_ready
from streams.process.loop_hold import LoopHold

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from aiohttp import web

    from schemas.entries import Act
    from streams.engines.kafka.records.codec import Outgoing
    from streams.faust_shell.hardened import HardApp
    from streams.faust_shell.notify_settings import NotifySettings
    from streams.settings.kafka import KafkaSettings
    from streams.settings.server import Settings

TOPICS: Final = ("findings", "dlq", SOURCES)
ACK_SECONDS: Final = 10.0

log = structlog.get_logger()


@frozen
class Notifying:
    """A notify process whose HTTP side accepts requests at ``url``."""

    url: str
    app: HardApp
    desk: DeliveryWorker
    progress: Progress


async def tell(
    settings: Settings,
    kafka: KafkaSettings,
    notify: NotifySettings,
    *,
    stop: asyncio.Event | None = None,
    started: Callable[[Notifying], None] | None = None,
    clock: Callable[[], int] | None = None,
) -> None:
    """Deliver alerts until ``stop`` is set, or SIGTERM or SIGINT comes.

    A part that breaks, a produce that is not acked too, ends the process with 70.

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
    stop = stop or asyncio.Event()
    clock = clock or machine_clock(kafka)
    receivers = _receivers(settings)
    # Faust would start on topics that are not there, and stay idle for ever.
    watch = TopicWatch(kafka, TOPICS, await assert_layout(kafka, TOPICS))
    loops = await measuring(kafka, clock)
    async with (
        _delivery(settings.realm, kafka, notify, receivers, clock) as parts,
        AsyncExitStack() as stack,
    ):
        loops += (parts.desk.run, parts.kept.run, watch.follow, parts.held.watch)
        app, desk, progress = parts.app, parts.desk, parts.progress
        outlook = bring_together(app, kafka, desk, progress, stop, loops)

        def stands(now: float) -> bool:
            return outlook.reached(now) and watch.fault is None

        entry = access(settings, clock)
        await stack.enter_async_context(entry.running())
        pages = _pages(settings, entry, parts, clock, stands)
        url = await stack.enter_async_context(accepting(pages, settings, entry))
        stack.enter_context(heeding_signals(stop))

        def all_started() -> None:
            log.info("notifying", url=url, name=notify.name)
            say_ready(settings.ready_file, url)
            if started is not None:
                started(Notifying(url, app, desk, progress))

        crashed = partial(die, "notify: broken")
        await run_app(app, stop, started=all_started, crashed=crashed)


def _receivers(settings: Settings) -> Alerting:
    receivers = alerting(settings)
    if not receivers.routes:
        message = "nobody gets the alerts: set webhook or alerts.endpoints"
        raise ConfigurationError(message)
    return receivers


@frozen
class _Delivery:
    """What delivers, and what is told of it."""

    app: HardApp
    desk: DeliveryWorker
    kept: CompactedStore
    silences: KeptSilences
    attempts: Attempts
    progress: Progress = Factory(Progress)
    held: LoopHold = Factory(LoopHold)


@asynccontextmanager
async def _delivery(
    realm: str,
    kafka: KafkaSettings,
    notify: NotifySettings,
    receivers: Alerting,
    clock: Callable[[], int],
) -> AsyncIterator[_Delivery]:
    """Make what delivers, for the length of a block.

    Raises:
        InUseError: another process has the same data folder.
    """
    with (
        closing(Folder(notify.data_dir)) as folder,
        closing(DeliveryFile(folder.path / "deliveries.db")) as file,
    ):
        app = agent_app(
            kafka.group("notify"),
            kafka,
            folder.path / "faust",
            instance=notify.name,
            session_seconds=notify.session_seconds,
        )
        attempts, letter = Attempts(), _dead_letters(app, kafka)
        post = attempts.counting(receivers.poster(clock))
        desk = DeliveryWorker(kafka, file, receivers.routes, post, letter, clock)
        async with _kept(kafka, realm, clock) as kept:
            silences = KeptSilences(kept, clock)
            desk.silences, silences.changed = silences.all, desk.heed
            yield _Delivery(app, desk, kept, silences, attempts)


def _dead_letters(
    app: HardApp, kafka: KafkaSettings
) -> Callable[[Outgoing], Coroutine[Any, Any, None]]:
    dlq = app.topic(kafka.topic("dlq"), key_type=bytes, value_type=bytes)

    async def letter(record: Outgoing) -> None:
        await (
            await dlq.send(
                key=record.key,
                value=record.value,
                partition=record.partition,
                headers=list(record.headers),
            )
        )

    return letter


def _pages(
    settings: Settings,
    entry: AccessControl,
    parts: _Delivery,
    clock: Callable[[], int],
    stands: Callable[[float], bool],
) -> web.Application:
    """Make what answers requests: health, alerts and their silences."""
    desk, realm = parts.desk, settings.realm
    admin = AdminPages(desk, parts.progress, parts.attempts, clock, stands, parts.held)
    pages = admin.application()
    entry.guard(pages)
    Alerts(entry.tokens, desk, realm, clock, _log_act).add_to(pages)
    silencing = SilencePages(
        entry.tokens,
        parts.silences,
        desk,
        clock,
        realm=realm,
        fresh_id=_fresh_id,
        record_act=act_of(realm, clock, _log_act),
    )
    silencing.hashed_kinds |= set(settings.hashed_kinds)
    silencing.add_to(pages)
    return pages


@asynccontextmanager
async def _kept(
    kafka: KafkaSettings, realm: str, clock: Callable[[], int]
) -> AsyncIterator[CompactedStore]:
    """Follow what the operators of the realm keep, and write to it."""
    async with (
        Publisher(kafka, ACK_SECONDS, timestamps(clock)) as publisher,
        CompactedStore(kafka, realm, publisher, clock) as kept,
    ):
        yield kept


def _fresh_id() -> str:
    return uuid.uuid4().hex  # noqa: TID251 - the composition root


async def _log_act(act: Act) -> None:
    """Say who ordered what; this process may not write to the log of facts."""
    log.info("operator_acted", actor=act.actor, action=act.action)
