"""``rescind notify``: alerts out of Kafka, by a hardened Faust agent in its own app."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import structlog
from attrs import frozen

from streams.apps.builders.access import access
from streams.apps.builders.alerting import alerting
from streams.apps.builders.sources import ConfigurationError
from streams.engines.kafka.checkpoints.checkpoint import Folder
from streams.engines.kafka.client.cluster_monitor import Outlook
from streams.engines.kafka.client.publisher import Publisher, die
from streams.engines.kafka.clock.cluster_clock import machine_clock, timestamps
from streams.engines.kafka.clock.rounds import measuring
from streams.engines.kafka.ingress.compacted_store import CompactedStore
from streams.engines.kafka.notify.delivery_file import DeliveryFile
from streams.engines.kafka.notify.notifier import DeliveryWorker, Record
from streams.engines.kafka.notify.silences import KeptSilences
from streams.engines.kafka.records.layout import SOURCES
from streams.engines.kafka.topics.topic_watch import TopicWatch
from streams.engines.kafka.topics.topics import assert_layout
from streams.faust_shell.admin_http import AdminPages
from streams.faust_shell.apps import agent_app
from streams.faust_shell.running import Engine, run_app
from streams.http.alert_metrics import Attempts
from streams.http.alerts import Alerts
from streams.http.server import listen
from streams.http.silences import SilencePages, act_of
from streams.observability.progress import Progress
from streams.process.lifecycle import heeding_signals, say_ready
from streams.process.loop_hold import LoopHold

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

    from schemas.entries import Act
    from streams.engines.kafka.records.codec import Outgoing
    from streams.faust_shell.hardened import HardApp
    from streams.faust_shell.notify_settings import NotifySettings
    from streams.settings.kafka import KafkaSettings
    from streams.settings.server import Settings

TOPICS: Final = ("findings", "dlq", SOURCES)
ACK_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 1.0

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
    receivers = alerting(settings)
    if not receivers.routes:
        message = "nobody gets the alerts: set webhook or alerts.endpoints"
        raise ConfigurationError(message)
    # Faust would start on topics that are not there, and stay idle for ever.
    watch = TopicWatch(kafka, TOPICS, await assert_layout(kafka, TOPICS))
    loops = await measuring(kafka, clock)
    async with AsyncExitStack() as stack:
        folder = Folder(notify.data_dir)
        stack.callback(folder.close)
        file = DeliveryFile(folder.path / "deliveries.db")
        stack.callback(file.close)
        app = agent_app(
            kafka.group("notify"),
            kafka,
            folder.path / "faust",
            instance=notify.name,
            session_seconds=notify.session_seconds,
        )
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

        attempts = Attempts()
        post = attempts.counting(receivers.poster(clock))
        desk = DeliveryWorker(kafka, file, receivers.routes, post, letter, clock)
        progress = Progress()
        kept = await stack.enter_async_context(_kept(kafka, settings.realm, clock))
        silences = KeptSilences(kept, clock)
        desk.silences, silences.changed = silences.all, desk.heed
        held = LoopHold()
        loops += (desk.run, kept.run, watch.follow, held.watch)
        outlook = _agree(app, kafka, desk, progress, stop, loops)

        def stands(now: float) -> bool:
            return outlook.reached(now) and watch.fault is None

        pages = AdminPages(desk, progress, attempts, clock, stands, held).application()
        entry = access(settings, clock)
        entry.guard(pages)
        await stack.enter_async_context(entry.running())
        Alerts(entry.tokens, desk, settings.realm, clock, _log_act).add_to(pages)
        keep = act_of(settings.realm, clock, _log_act)
        silencing = SilencePages(
            entry.tokens,
            silences,
            desk,
            clock,
            realm=settings.realm,
            fresh_id=_fresh_id,
            record_act=keep,
        )
        silencing.hashed_kinds |= set(settings.hashed_kinds)
        silencing.add_to(pages)
        where, bounds = settings.listen, settings.connections
        runner, url = await listen(
            pages, where.host, where.port, tls=entry.context, bounds=bounds
        )
        stack.push_async_callback(runner.cleanup)
        stack.enter_context(heeding_signals(stop))

        def all_started() -> None:
            log.info("notifying", url=url, name=notify.name)
            say_ready(settings.ready_file, url)
            if started is not None:
                started(Notifying(url, app, desk, progress))

        def crashed(error: BaseException) -> None:
            die("notify: broken", error)

        await run_app(app, stop, started=all_started, crashed=crashed)


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


def _agree(
    app: HardApp,
    kafka: KafkaSettings,
    desk: DeliveryWorker,
    progress: Progress,
    stop: asyncio.Event,
    loops: Sequence[Callable[[], Coroutine[Any, Any, None]]],
) -> Outlook:
    """Bring app and desk together: agent, rebalances, loop and timer.

    Give what tells whether a broker answers.
    """
    topic = kafka.topic("findings")
    findings = app.topic(topic, key_type=bytes, value_type=bytes)

    @app.agent(findings, name="notify")
    async def take(stream: Any) -> None:
        async for event in stream.noack().events():
            message = event.message
            headers = tuple(message.headers or ())
            await desk.take(
                Record(
                    message.partition,
                    message.offset,
                    int((message.timestamp or 0) * 1000),
                    event.value,
                    headers,
                    event.ack,
                )
            )

    @app.on_partitions_revoked.connect
    async def revoked(*_: Any, **__: Any) -> None:
        desk.restart()

    def wanted() -> list[tuple[str, int]]:
        return [(topic, number) for number in range(kafka.partitions)]

    outlook = Outlook(kafka, wanted, {kafka.group("notify"): topic})

    async def deliver(works: Callable[[Any], None]) -> None:
        works(None)

        def judge(now: float) -> None:
            ends = outlook.ends.get(topic, {}) if outlook.reached(now) else None
            progress.judge(now, ends)

        async with asyncio.TaskGroup() as tasks:
            running = [
                *(tasks.create_task(loop()) for loop in loops),
                tasks.create_task(outlook.run(judge)),
            ]
            await stop.wait()
            for each in running:
                each.cancel()

    app.service(Engine(deliver, stop))  # type: ignore[arg-type]  # an instance will do

    @app.timer(interval=LOOK_SECONDS)  # type: ignore[untyped-decorator]
    async def look() -> None:
        turn(app, desk, progress, kafka, outlook)

    return outlook


def turn(
    app: HardApp,
    desk: DeliveryWorker,
    progress: Progress,
    kafka: KafkaSettings,
    outlook: Outlook,
) -> None:
    """Take note of how far the app is.

    Without a partition it is ready only where other members of its group have all.
    """
    topic, group = kafka.topic("findings"), kafka.group("notify")
    consumer: Any = app.consumer
    client = consumer._thread._consumer  # noqa: SLF001 - Faust shows no positions
    positions: dict[int, int] = {}
    behind = 0
    known = True
    assigned = [tp for tp in client.assignment() if tp.topic == topic]
    for tp in assigned:
        assignment = client._subscription.subscription.assignment  # noqa: SLF001 - as above
        state = assignment.state_value(tp) if assignment is not None else None
        if state is None or state.highwater is None or not state.has_valid_position:
            known = False
            continue
        positions[tp.partition] = state.position
        behind += max(0, state.highwater - state.position)
    desk.own(frozenset(tp.partition for tp in assigned))
    desk.forget({tp.partition: below for tp, below in consumer.committed.items()})
    there = bool(assigned) and known and not app.rebalancing
    before = progress.ready and bool(progress.assigned)
    # None before it joined: whom the group still knows may be itself, before a restart.
    member = client._coordinator.member_id  # noqa: SLF001 - as above
    idle = bool(member) and not assigned and not app.rebalancing
    spare = idle and outlook.taken_by_others(group, member, kafka.partitions)
    progress.turn(
        # Not this timer's own: where the desk hangs, the process is not well.
        now=desk.turned_at,
        assigned=frozenset(tp.partition for tp in assigned),
        ready=spare or (there and (before or behind + desk.waiting == 0)),
        waiting=desk.owed,
        positions=positions,
        # What is taken in is saved; the commit waits for receivers, days if need be.
        committed=positions,
    )
