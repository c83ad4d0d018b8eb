"""Both engines' notifiers in virtual time: an endpoint hangs, another was dead.

Their loops, their files and a restart are real; what a receiver does takes no time.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from random import Random
from statistics import quantiles
from typing import TYPE_CHECKING, Any, Protocol

import orjson
import pytest
from attrs import define, field

from streams.engines.embedded.deliveries import DeliveryRows
from streams.engines.embedded.store import Store
from streams.engines.kafka.notify.delivery_file import DeliveryFile
from streams.engines.kafka.notify.records import Record
from streams.engines.kafka.records.outputs import finding_record
from streams.model.findings import Severity
from streams.model.times import SECOND
from streams.pipeline.delivery import DeliveryWorker
from streams.stages.notify.deliveries import AttemptOutcome, Delivery, ReceiverRoute
from streams.stages.sentinel import saved_episodes
from streams.stages.sentinel.episode import Episode
from tests.integration.alert_stream import unhurried
from tests.kafka_desk import Desk
from tests.unit.test_notify import NOW, a_finding
from tests.virtual import VirtualLoop, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from streams.engines.embedded.transaction import Transaction

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

HOUR = 3600.0
SOC, OTHER = ReceiverRoute(name="soc"), ReceiverRoute(name="other")


@define
class Receivers:
    """What arrives where and when; ``other`` hangs until it is back.

    Attributes:
        back: in seconds from the start.
        gone: ``other`` answers 410.
        arrived: time and message, in their order, by route.
    """

    loop: VirtualLoop
    back: float = 0.0
    gone: bool = False
    arrived: dict[str, list[tuple[float, Delivery]]] = field(factory=dict)

    def clock(self) -> int:
        """Give the time (ns)."""
        return NOW + int(self.loop.time() * SECOND)

    async def post(self, delivery: Delivery) -> AttemptOutcome:
        """Hang, as long as an attempt may take, or accept."""
        if delivery.route == "other" and self.gone:
            return AttemptOutcome(status=410)
        if delivery.route == "other" and self.loop.time() < self.back:
            await asyncio.sleep(15)
            return AttemptOutcome(error="timeout")
        self.arrived.setdefault(delivery.route, []).append((self.loop.time(), delivery))
        await asyncio.sleep(0.02)
        return AttemptOutcome(status=204)

    def latencies(self, route: str) -> list[float]:
        """Give how long each message took to a route (s)."""
        return [
            at - (each.created_at - NOW) / SECOND for at, each in self.arrived[route]
        ]


class Engine(Protocol):
    """Findings in, and a notifier that runs over restarts."""

    async def report(self, episode: Episode) -> None:
        """Write a finding, as the sentinel does."""
        ...

    def running(self) -> Any:
        """Run a notifier, as a fresh process does, until the context ends."""
        ...


@define
class Embedded:
    """The file of the server."""

    store: Store
    routes: list[ReceiverRoute]
    receivers: Receivers

    async def report(self, episode: Episode) -> None:
        """Write a finding."""
        row = (
            episode.finding.id,
            episode.open,
            orjson.dumps(saved_episodes.save(episode)),
        )

        def job(tx: Transaction) -> None:
            tx.stages.put_findings([row])

        await self.store.write(job)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[DeliveryWorker]:
        """Run a notifier."""
        receivers, rows = self.receivers, DeliveryRows(self.store)
        worker = DeliveryWorker(rows, self.routes, receivers.post, receivers.clock)
        async with cancelled(worker.run()):
            yield worker
        self.store.listeners.remove(rows._on_commit)


@define
class OnKafka:
    """The log of findings, and the file of the notify process."""

    folder: Path
    routes: list[ReceiverRoute]
    receivers: Receivers
    log: list[Record] = field(factory=list)
    acked: set[int] = field(factory=set)
    desk: Desk | None = None

    async def report(self, episode: Episode) -> None:
        """Append a record."""
        offset = len(self.log)
        made = finding_record(episode, 1)

        def ack() -> None:
            self.acked.add(offset)

        record = Record(0, offset, 0, made.value, made.headers, ack)
        self.log.append(record)
        if self.desk is not None:
            await self.desk.inbox.take(record)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[DeliveryWorker]:
        """Run a desk; what is not committed comes again."""

        async def letters(records: Any) -> None:
            assert self.receivers.gone, records

        file = DeliveryFile(self.folder / "deliveries.db")
        clock, post = self.receivers.clock, self.receivers.post
        self.desk = Desk.over(file, self.routes, post, letters, clock)
        async with cancelled(self.desk.worker.run()):
            left = [n for n in range(len(self.log)) if n not in self.acked]
            for record in self.log[min(left, default=len(self.log)) :]:
                await self.desk.inbox.take(record)
            yield self.desk.worker
        self.desk = None
        file.close()


@asynccontextmanager
async def cancelled(work: Any) -> AsyncIterator[None]:
    """Run something until the context ends."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(work)
        yield
        task.cancel()


Scenario = Any


def play(
    engine: str, folder: Path, scenario: Callable[..., Scenario], *routes: ReceiverRoute
) -> Any:
    """Play a scenario on an engine in virtual time."""

    async def whole(loop: VirtualLoop) -> Any:
        receivers = Receivers(loop)
        if engine == "kafka":
            return await scenario(OnKafka(folder, [*routes], receivers), receivers)
        store = Store.open(folder, realm="acme", genesis="g")
        try:
            return await scenario(Embedded(store, [*routes], receivers), receivers)
        finally:
            await store.close()

    with unhurried():
        return run(whole)


async def outage(engine: Engine, receivers: Receivers) -> Receivers:
    """Report for an hour in which ``other`` is dead, with a restart in it."""
    random = Random(11)
    receivers.back = HOUR
    severities = [random.choice(list(Severity)[1:]) for _ in range(60)]
    for half in (severities[:30], severities[30:]):
        async with engine.running():
            for severity in half:
                await asyncio.sleep(HOUR / 60)
                number = len(receivers.arrived.get("soc", []))
                finding = a_finding(number, severity=severity)
                await engine.report(Episode(finding, 0, NOW))
                await asyncio.sleep(0.1)
    async with engine.running():
        await asyncio.sleep(HOUR)
    return receivers


@pytest.mark.parametrize("engine", ["embedded", "kafka"])
def test_a_dead_endpoint_loses_nothing_and_ends_with_the_worst_first(
    tmp_path: Path, engine: str
) -> None:
    """Once anything gets through, all the rest comes at once, by severity."""
    receivers = play(engine, tmp_path, outage, SOC, OTHER)

    ids = [delivery.id for _, delivery in receivers.arrived["other"]]
    (first, _), *rest = receivers.arrived["other"]
    backlog = [d for _, d in rest if d.created_at < NOW + HOUR * SECOND]
    order = [delivery.finding.severity for delivery in backlog]
    assert len(ids) == len(set(ids)) == 60
    assert {delivery.id for _, delivery in receivers.arrived["soc"]} == set(ids)
    assert first >= HOUR
    assert order == sorted(order, reverse=True)
    assert len(backlog) > 50
    assert rest[-1][0] - first < 60


async def flood(engine: Engine, receivers: Receivers) -> Receivers:
    """Report bursts of findings."""
    async with engine.running():
        for number in range(100):
            await engine.report(Episode(a_finding(number), 0, NOW))
            await asyncio.sleep(0 if number % 20 else 40)
        await asyncio.sleep(HOUR / 60)
    return receivers


async def flood_beside_a_hanging_one(engine: Engine, receivers: Receivers) -> Receivers:
    """Report the same while ``other`` hangs."""
    receivers.back = 2 * HOUR
    return await flood(engine, receivers)


@pytest.mark.parametrize("engine", ["embedded", "kafka"])
def test_one_that_hangs_does_not_move_the_others_slowest(
    tmp_path: Path, engine: str
) -> None:
    """The p99 is within 1.2 times; in virtual time it is the same."""
    times = []
    for name, scenario, routes in (
        ("alone", flood, [SOC]),
        ("beside", flood_beside_a_hanging_one, [SOC, OTHER]),
    ):
        folder = tmp_path / name
        folder.mkdir()
        receivers = play(engine, folder, scenario, *routes)
        found = receivers.latencies("soc")
        assert len(found) == 100
        times.append(quantiles(found, n=100, method="inclusive")[98])

    alone, beside = times
    assert beside <= 1.2 * alone


async def given_up(engine: Engine, receivers: Receivers) -> Any:
    """Have ``other`` answer 410, and order what it missed twice, over a restart."""
    receivers.gone = True
    answers: list[Any] = []

    async def look(worker: DeliveryWorker) -> None:
        answers.append([
            (each.delivery.route, each.delivery.id, each.at - NOW, each.reason)
            for each in await worker.buried()
        ])  # fmt: skip

    async with engine.running() as worker:
        for number in range(3):
            await engine.report(Episode(a_finding(number), 0, NOW))
            await asyncio.sleep(1)
        await look(worker)
        answers.append(await worker.replay("other"))
        await asyncio.sleep(1)
        await look(worker)
    receivers.gone = False
    async with engine.running() as worker:
        answers += [await worker.replay("soc"), await worker.replay(None)]
        await asyncio.sleep(1)
        await look(worker)
        answers += [len(worker.state.deliveries), dict(worker.state.disabled)]
    told = receivers.arrived.items()
    return answers, {route: [each.id for _, each in got] for route, got in told}


def test_both_engines_bury_and_deliver_again_alike(tmp_path: Path) -> None:
    """What is given up, when and why, how many are ordered, and what arrives then."""
    found = []
    for engine in ("embedded", "kafka"):
        folder = tmp_path / engine
        folder.mkdir()
        found.append(play(engine, folder, given_up, SOC, OTHER))

    embedded, kafka = found
    answers, told = embedded
    assert embedded == kafka
    assert [3, 0, 3] == [each for each in answers if isinstance(each, int)][:3]
    assert [3, 3, 0] == [len(each) for each in answers if isinstance(each, list)]
    assert told["other"] == told["soc"]
