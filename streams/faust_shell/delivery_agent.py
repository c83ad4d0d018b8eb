"""The Faust agent over ``findings``, and the delivery worker that it hands them to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from streams.engines.kafka.client.cluster_monitor import ClusterMonitor
from streams.engines.kafka.notify.intake import Record
from streams.engines.kafka.notify.notifier import DeliveryWorker
from streams.faust_shell.running import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from streams.faust_shell.hardened import HardApp
    from streams.observability.progress import Progress
    from streams.settings.kafka import KafkaSettings

    Loop = Callable[[], Coroutine[Any, Any, None]]

LOOK_SECONDS: Final = 1.0


def bring_together(
    app: HardApp,
    kafka: KafkaSettings,
    desk: DeliveryWorker,
    progress: Progress,
    stop: asyncio.Event,
    loops: Sequence[Loop],
) -> ClusterMonitor:
    """Bring app and desk together: agent, rebalances, loops and timer.

    Give what tells whether a broker answers.
    """
    topic = kafka.topic("findings")
    _take_findings(app, topic, desk)

    def wanted() -> list[tuple[str, int]]:
        return [(topic, number) for number in range(kafka.partitions)]

    outlook = ClusterMonitor(kafka, wanted, {kafka.group("notify"): topic})

    def judge(now: float) -> None:
        ends = outlook.ends.get(topic, {}) if outlook.reached(now) else None
        progress.judge(now, ends)

    async def deliver(works: Callable[[Any], None]) -> None:
        works(None)
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


def _take_findings(app: HardApp, topic: str, desk: DeliveryWorker) -> None:
    """Hand each record to the desk, which begins anew after a rebalance."""
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


def turn(
    app: HardApp,
    desk: DeliveryWorker,
    progress: Progress,
    kafka: KafkaSettings,
    outlook: ClusterMonitor,
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
