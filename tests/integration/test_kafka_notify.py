"""Alerts out of a real Kafka: at least once, with a stable id, whatever dies."""

from __future__ import annotations

import asyncio
import shutil
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from streams.apps.builders.access import ConfigurationError
from streams.apps.notify import Delivering, deliver
from streams.engines.kafka.topics.acls import acls
from streams.engines.kafka.topics.topics import LayoutError
from streams.model.findings import FindingKind
from streams.model.times import SECOND
from streams.observability.metrics import NOTIFY
from streams.settings.notify import NotifySettings
from streams.settings.server import Settings
from streams.stages.sentinel.episode import Episode
from tests.integration.fake_receivers import endpoints, receivers
from tests.integration.kafka_cluster import settings_of
from tests.integration.notifying import (
    NOW,
    child,
    finding,
    open_records,
    report,
    until_committed,
    webhook_at,
)
from tests.integration.serving import DEADLINE, receiving, until, values, webhook
from tests.integration.test_kafka_acls import add
from tests.integration.test_kafka_topics import configure
from tests.integration.working import decoded, lay_out, records, task_of
from tests.scraped import check_scrape

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings
    from tests.integration.kafka_cluster import StartKafka
    from tests.integration.serving import Receiver

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

COUNT = 6


class Clock:
    """A clock that a test can put forward."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        """Give the time, in ns."""
        return NOW + self.ahead


@asynccontextmanager
async def notifying(
    folder: Path,
    kafka: KafkaSettings,
    receiver: Receiver,
    clock: Callable[[], int],
    name: str = "n0",
    session_seconds: float = 6.0,
) -> AsyncIterator[Delivering]:
    """Run a notify process' parts in this one until the context ends."""
    settings = Settings(**values(folder, webhook=webhook(receiver)))
    notify = NotifySettings(
        name=name, data_dir=folder / "notify", session_seconds=session_seconds
    )
    async with task_of(
        lambda stop, told: deliver(
            settings, kafka, notify, stop=stop, started=told, clock=clock
        )
    ) as running:
        yield running


def tried(running: Delivering, receiver: Receiver, count: int) -> bool:
    """Tell whether so many attempts came, and none is under way."""
    waiting = running.process.worker.state.deliveries.values()
    under_way = any(each.leased_until for each in waiting)
    return len(receiver.got) >= count and not under_way


def ids(receiver: Receiver) -> set[str]:
    """Give the ids of the messages that a receiver got."""
    return {name for name, _ in receiver.got}


def first_messages(count: int = COUNT) -> set[str]:
    """Give the ids of the first messages of so many findings."""
    return {f"{number:032x}.1" for number in range(count)}


async def test_a_silence_outlives_its_process_and_holds_the_commit_back(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Ordered at one process, heeded by the next one; told once when it ends."""
    kafka, clock = kafka_settings, Clock()
    await lay_out(kafka)
    headers = {"Authorization": "Bearer restorer"}
    order: dict[str, Any] = {
        "kinds": ["blocked_attempt"], "identifier": "aws.*1", "reason": "known",
        "until": "1h",
    }  # fmt: skip
    async with receiving() as receiver, aiohttp.ClientSession(headers=headers) as web:
        async with notifying(tmp_path / "a", kafka, receiver, clock) as running:
            url = f"{running.url}/v1/alerts/silences"
            async with web.post(url, json=order) as got:
                assert 201 == got.status, await got.text()
        async with notifying(tmp_path / "b", kafka, receiver, clock) as running:
            url = f"{running.url}/v1/alerts/silences"
            # Of the realm of who ordered it: it holds back no other's.
            said = {"kind": FindingKind.BLOCKED_ATTEMPT, "realm": "default"}
            await report(kafka, finding(1, **said), finding(2, **said))
            await until(lambda: receiver.got)

            async def held() -> int:
                async with web.get(url) as got:
                    (silence,) = (await got.json())["silences"]
                    return int(silence["count"])

            await until(held)
            assert await open_records(kafka) >= 1
            clock.ahead += 3600 * SECOND
            running.process.worker.wake()
            await until_committed(kafka)
        assert [f"{2:032x}.1", f"{1:032x}.1"] == [name for name, _ in receiver.got]


async def test_findings_are_delivered_then_committed(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Each is told once; poison is a dead letter; then nothing is owed."""
    kafka = kafka_settings
    await lay_out(kafka)
    poison = finding(99)
    await report(kafka, *(finding(number) for number in range(COUNT)), poison)
    await spoil(kafka)
    async with receiving() as receiver:
        async with notifying(tmp_path, kafka, receiver, Clock()) as running:
            await until_committed(kafka)
            await until(lambda: running.process.intake.progress.ready)
            assert kafka.partitions == len(running.process.intake.progress.assigned)
            async with aiohttp.ClientSession() as session:
                for path in ("live", "ready", "startup"):
                    url = f"{running.url}/healthz/{path}"
                    async with session.get(url) as got:
                        assert (path, 200) == (path, got.status)
                async with session.get(f"{running.url}/metrics") as got:
                    metrics = await got.text()
        attempts = (
            'rescind_alerts_attempts_total{receiver="webhook",result="delivered"}'
        )
        assert f"{attempts} 7.0" in metrics
        assert "rescind_dead_letters_total 2.0" in metrics
        check_scrape(metrics, NOTIFY)
        told = first_messages() | {f"{99:032x}.1"}
        assert (told, len(told)) == (ids(receiver), len(receiver.got))
    letters = await decoded(kafka, "dlq")
    assert {kafka.topic("findings")} == {each["source"] for each in letters}
    assert 2 == len(letters)


async def test_a_spare_is_ready_and_stays_without_partitions(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """One process more than partitions: it stands by, and is not started anew."""
    kafka = kafka_settings.model_copy(update={"partitions": 1})
    await lay_out(kafka)
    await report(kafka, finding(0))
    async with (
        receiving() as receiver,
        notifying(tmp_path / "a", kafka, receiver, Clock()) as one,
        notifying(tmp_path / "b", kafka, receiver, Clock(), "n1") as other,
    ):
        both = (one, other)

        def settled() -> bool:
            held = [len(each.process.intake.progress.assigned) for each in both]
            now = asyncio.get_running_loop().time()
            waiting = [name for each in both for name in each.process.waiting(now)]
            return sum(held) == 1 and not waiting

        await until(settled)
        (spare,) = (each for each in both if not each.process.intake.progress.assigned)
        async with aiohttp.ClientSession() as session:
            for path in ("live", "ready", "startup"):
                async with session.get(f"{spare.url}/healthz/{path}") as got:
                    assert (path, 200) == (path, got.status)
        await until_committed(kafka)
    assert ids(receiver) == first_messages(1)


async def test_one_that_stops_hands_over_at_once(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Its session, which is longer than this test may take, is not waited for."""
    kafka = kafka_settings
    await lay_out(kafka)
    silent = 5 * DEADLINE
    async with receiving() as receiver:
        first = notifying(tmp_path / "a", kafka, receiver, Clock(), "n0", silent)
        second = notifying(tmp_path / "b", kafka, receiver, Clock(), "n1", silent)
        async with second as b:
            async with first as a:
                both = [each.process for each in (a, b)]
                await until(
                    lambda: all(
                        each.intake.progress.assigned and each._others()
                        for each in both
                    )
                )
            await report(kafka, *(finding(number) for number in range(COUNT)))
            await until_committed(kafka)
            assert kafka.partitions == len(b.process.intake.progress.assigned)
        assert ids(receiver) == first_messages()


async def test_every_receiver_is_told_and_tried_out_over_http(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """One commit for all of them; a test answers for this process."""
    kafka, clock = kafka_settings, Clock()
    await lay_out(kafka)
    await report(kafka, finding(0))
    async with receivers() as each:
        wanted = {n: endpoints(each)[n] for n in ("chat", "pager", "log")}
        settings = Settings(**values(tmp_path, alerts={"endpoints": wanted}))
        notify = NotifySettings(name="n0", data_dir=tmp_path / "notify")
        async with (
            task_of(
                lambda stop, told: deliver(
                    settings, kafka, notify, stop=stop, started=told, clock=clock
                )
            ) as running,
            aiohttp.ClientSession() as session,
        ):
            await until_committed(kafka)
            url = f"{running.url}/v1/alerts"
            async with session.post(url + "/test", json={}) as got:
                assert got.status == 401
            session.headers["Authorization"] = "Bearer restorer"
            async with session.post(url + "/test", json={}) as got:
                tried = await got.json()
            async with session.post(url + "/replay", json={}) as got:
                assert await got.json() == {"replayed": 0}
            async with session.get(f"{running.url}/metrics") as got:
                assert 'rescind_alerts_waiting{receiver="pager"} 0' in await got.text()

    assert all(each["accepted"] for each in tried["endpoints"])
    assert each.incidents[f"{0:032x}"]
    assert [len(each.slack), len(each.syslog)] == [3, 3]


async def spoil(kafka: KafkaSettings) -> None:
    """Write two findings that nobody can read: no Avro, and no value."""
    producer = AIOKafkaProducer(**kafka.client(), acks="all")
    await producer.start()
    try:
        for value in (b"\0poison", None):
            await producer.send_and_wait(
                kafka.topic("findings"), value, key=b"x", partition=0
            )
    finally:
        await producer.stop()


async def test_attempts_go_on_after_a_restart(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """What failed is not committed; the schedule of attempts survives."""
    kafka, clock = kafka_settings, Clock()
    await lay_out(kafka)
    await report(kafka, finding(0))
    async with receiving() as receiver:
        receiver.statuses = [503, 503]
        async with notifying(tmp_path, kafka, receiver, clock) as running:
            await until(lambda: tried(running, receiver, 1))
            (waiting,) = running.process.worker.state.deliveries.values()
            await running.process.intake._commit()
            assert (1, 1) == (waiting.attempts, await open_records(kafka))
        async with notifying(tmp_path, kafka, receiver, clock) as running:
            await until(lambda: running.process.worker.state.deliveries)
            (again,) = running.process.worker.state.deliveries.values()
            assert waiting == again  # not due: the clock stands still
            clock.ahead += 10 * SECOND
            running.process.inbox.news.set()
            await until(lambda: tried(running, receiver, 2))
            waits = running.process.worker.state.deliveries.values()
            assert [2] == [each.attempts for each in waits]
            assert 1 == await open_records(kafka)
            clock.ahead += 600 * SECOND
            running.process.inbox.news.set()
            await until_committed(kafka)
        assert [f"{0:032x}.1"] * 3 == [name for name, _ in receiver.got]


async def test_updates_are_numbered_by_the_revision(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """A process without the file of the one before gives the same messages ids."""
    kafka, clock = kafka_settings, Clock()
    await lay_out(kafka)
    await report(kafka, finding(0))
    async with receiving() as receiver:
        async with notifying(tmp_path, kafka, receiver, clock):
            await until_committed(kafka)
            await report(kafka, Episode(finding(0, count=2), 0, NOW, revision=2))
            closed = Episode(finding(0, count=2), 0, NOW, revision=3, open=False)
            await report(kafka, closed)
            await until_committed(kafka)
        later = [(name, body["activity_id"]) for name, body in receiver.got]
        assert [(f"{0:032x}.1", 1), (f"{0:032x}.6", 3)] == later
        shutil.rmtree(tmp_path / "notify")
        await report(kafka, closed)
        async with notifying(tmp_path, kafka, receiver, clock):
            await until_committed(kafka)
        assert f"{0:032x}.6" == receiver.got[-1][0]


async def test_a_receiver_that_is_gone_is_left_alone(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """410 buries what waits for it and what comes then; nothing holds the commit."""
    kafka = kafka_settings
    await lay_out(kafka)
    await report(kafka, *(finding(number) for number in range(COUNT)))
    async with receiving() as receiver:
        receiver.statuses = [410] * COUNT
        async with notifying(tmp_path, kafka, receiver, Clock()):
            await until_committed(kafka)
            await report(kafka, finding(COUNT))
            await until_committed(kafka)
        assert COUNT >= len(receiver.got)
    letters = await decoded(kafka, "dlq")
    assert COUNT + 1 == len(letters)
    assert {"endpoint_gone"} == {each["reason"].split(":")[0] for each in letters}


POINTS = (
    "notify.taken",
    "notify.before_attempt",
    "notify.after_attempt:3",
    "notify.after_outcome:3",
    "notify.released",
)


@pytest.mark.long
async def test_kill_nine_loses_no_alert(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Killed at each point in turn, each alert came at least once, under one id."""
    kafka = kafka_settings
    await lay_out(kafka)
    count = 0
    async with receiving() as receiver:
        for point in POINTS:
            more = range(count, count + COUNT)
            count += COUNT
            await report(kafka, *(finding(number) for number in more))
            async with child(kafka, tmp_path / "n", receiver.url, point) as process:
                await asyncio.to_thread(process.join, DEADLINE)
                assert (point, -signal.SIGKILL) == (point, process.exitcode)
        shutil.rmtree(tmp_path / "n")  # its disk is gone too
        async with child(kafka, tmp_path / "n", receiver.url):
            await until_committed(kafka)
        assert first_messages(count) == ids(receiver)


@pytest.mark.long
async def test_kill_nine_while_the_receiver_thinks(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Killed with a request under way, the alert comes again under its id."""
    kafka = kafka_settings
    await lay_out(kafka)
    await report(kafka, *(finding(number) for number in range(COUNT)))
    thinking = asyncio.Event()
    got: list[str] = []

    async def think(request: web.Request) -> web.Response:
        got.append(request.headers["webhook-id"])
        await thinking.wait()
        return web.Response(status=204)

    async with receiver_of(think) as url:
        async with child(kafka, tmp_path / "n", url) as process:
            await until(lambda: first_messages() == set(got))
            assert COUNT == await open_records(kafka)
            process.kill()
            await asyncio.to_thread(process.join, DEADLINE)
        assert COUNT == await open_records(kafka)
        thinking.set()
        async with child(kafka, tmp_path / "n", url):
            await until_committed(kafka)
    assert sorted([*first_messages()] * 2) == sorted(got)


@asynccontextmanager
async def receiver_of(take: Any) -> AsyncIterator[str]:
    """Run a receiver with a handler of the test's own; give its URL."""
    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@pytest.mark.long
async def test_a_dead_letter_that_is_refused_ends_the_process(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Where the dead letter cannot be written, its finding is not committed."""
    kafka = kafka_settings
    await lay_out(kafka)
    await configure(kafka, "dlq", max_message_bytes="40")
    await spoil(kafka)
    async with child(kafka, tmp_path / "n", "http://127.0.0.1:9/") as process:
        await asyncio.to_thread(process.join, DEADLINE)
        assert 70 == process.exitcode
    assert 2 == await open_records(kafka)
    assert [] == await records(kafka, "dlq")


async def test_without_topics_it_does_not_start(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """The end comes at once, and says which topics are missing."""
    settings = Settings(**webhook_at("http://127.0.0.1:9/"))
    with pytest.raises(LayoutError):
        await deliver(settings, kafka_settings, NotifySettings(data_dir=tmp_path))


async def test_without_a_webhook_it_does_not_start(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """There is nobody to tell, and findings must not be read away."""
    with pytest.raises(ConfigurationError, match=r"^alerts\.endpoints: set a receiver"):
        await deliver(Settings(), kafka_settings, NotifySettings(data_dir=tmp_path))


class OlderAssignor(RoundRobinPartitionAssignor):  # type: ignore[misc]
    """What the members of an older version, on Faust, agree on."""

    name = "faust"


async def test_it_takes_up_what_an_older_version_committed(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """It stands by, ready, until the last process of that version has gone."""
    kafka = kafka_settings.model_copy(update={"partitions": 1})
    await lay_out(kafka)
    await report(kafka, finding(0), finding(1))
    older = AIOKafkaConsumer(
        kafka.topic("findings"),
        **kafka.client(),
        group_id=kafka.group("notify"),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        partition_assignment_strategy=(OlderAssignor,),
    )
    await older.start()
    try:
        async with receiving() as receiver:
            read = await older.getone()
            await older.commit({TopicPartition(read.topic, 0): read.offset + 1})
            async with notifying(tmp_path, kafka, receiver, Clock()) as running:
                loop = asyncio.get_running_loop()
                await until(lambda: not running.process.waiting(loop.time()))
                assert [] == receiver.got
                await older.stop()
                await until_committed(kafka)
        assert {f"{1:032x}.1"} == ids(receiver)
    finally:
        await older.stop()


@pytest.mark.long
async def test_another_process_takes_over(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Two share the partitions; when one is killed the other tells what is left."""
    kafka = kafka_settings
    await lay_out(kafka)
    await report(kafka, *(finding(number) for number in range(COUNT)))
    thinking = asyncio.Event()
    got: list[str] = []

    async def think(request: web.Request) -> web.Response:
        got.append(request.headers["webhook-id"])
        await thinking.wait()
        return web.Response(status=204)

    async with (
        receiver_of(think) as url,
        child(kafka, tmp_path / "a", url, name="a") as first,
    ):
        await until(lambda: first_messages() == set(got))
        async with child(kafka, tmp_path / "b", url, name="b") as second:
            # What is the second's now comes to it a second time.
            await until(lambda: len(got) > COUNT)
            first.kill()
            thinking.set()
            # One that dies while partitions move is waited for, for 30 s and more.
            await until_committed(kafka, second, 3 * DEADLINE)
    assert first_messages() == set(got)


@pytest.mark.long
async def test_the_listed_rights_are_enough(
    tmp_path: Path, start_kafka: StartKafka
) -> None:
    """On a broker that enforces ACLs it reads, delivers, buries and commits."""
    user = "rescind-notify"
    cluster = await start_kafka(users=(user,))
    admin = settings_of(cluster, prefix="rescind")
    mine = [acl for acl in acls(admin, {}) if acl.principal == f"User:{user}"]
    await add(admin, mine)
    await lay_out(admin)
    await report(admin, finding(0))
    await spoil(admin)
    async with receiving() as receiver:
        kafka = settings_of(cluster, user, prefix="rescind")
        async with notifying(tmp_path, kafka, receiver, Clock()):
            await until_committed(admin)
        assert {f"{0:032x}.1"} == ids(receiver)
    assert 2 == len(await records(admin, "dlq"))
