"""Receipts and closure on a real Kafka: who is waited for, and what is said of them."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiokafka.errors import KafkaError

from agents_registry.identifiers import Identifier
from enforcement import Lapse
from enforcement.clocks import boottime
from enforcement.kafka import KafkaGuard
from enforcement.kafka.reporter import Reporter
from schemas.codec import bundled
from streams.cli.revoke import Order, carry_out
from streams.clients.rescind import Client
from streams.engines.kafka.closure import closure
from streams.engines.kafka.closure import findings as closure_findings
from streams.engines.kafka.records.codec import partition_of
from streams.engines.kafka.topics.acls import acls
from streams.model.times import SECOND
from tests.integration import stopped_kafka_guard
from tests.integration.kafka_cluster import settings_of
from tests.integration.kafka_crash_run import Run
from tests.integration.kafka_guards import (
    CHILD,
    FAMILY,
    allowing,
    guard_of,
    node,
    writing,
)
from tests.integration.serving import DEADLINE, until
from tests.integration.test_kafka_acls import add
from tests.integration.working import decoded, lay_out, pipeline, records, worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from streams.devkafka.broker import Cluster
    from streams.settings.kafka import KafkaSettings
    from tests.integration.kafka_cluster import StartKafka

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[2]
LIVING = "vault.accessor:living"
LEASE = 2.0
Process = asyncio.subprocess.Process


@asynccontextmanager
async def stopping(
    kafka: KafkaSettings, name: str, mode: str = "fail_closed", lease: float = LEASE
) -> AsyncIterator[Process]:
    """Run a guard in a process of its own, once it allows; kill it in the end."""
    given = [kafka.bootstrap_servers, kafka.prefix, name, mode, str(lease), LIVING]
    process = await asyncio.create_subprocess_exec(
        sys.executable, stopped_kafka_guard.__file__, *given,
        cwd=ROOT, env={"PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(DEADLINE):
            assert await process.stdout.readline() == b"allows\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def ask(
    url: str, path: str, token: str = "viewer", method: str = "GET"
) -> tuple[int, Any]:
    """Ask a worker; give status and answer."""
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, f"{url}/v1/{path}") as got,
    ):
        return got.status, await got.json(content_type=None)


async def seen(url: str, identity: str, *states: str) -> dict[str, Any]:
    """Wait until a revocation is in one of some states; give what is said of it."""

    async def found() -> dict[str, Any] | None:
        status, answer = await ask(url, f"revocations/{identity}")
        return answer if status == 200 and answer["state"] in states else None

    answer: dict[str, Any] = await until(found)
    return answer


async def order(url: str, path: str, token: str, body: dict[str, Any]) -> Any:
    """Give an order to ingress; give the answer."""
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{url}/v1/{path}", json=body) as got,
    ):
        assert got.status == 201, await got.text()
        return await got.json()


async def revoke(url: str, identifier: str) -> str:
    """Revoke; give the id."""
    answer = await order(url, "revocations", "revoker", {"identifier": identifier})
    return str(answer["id"])


async def adopt(url: str) -> None:
    """Have a credential to allow."""
    await order(url, "adopt", "restorer", {"credentials": [{"identifier": LIVING}]})


@pytest.mark.long
async def test_a_stopped_guard_is_fenced_and_one_that_fails_open_is_waited_for(
    tmp_path: Path, kafka_settings: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    """PARTIAL names both; who never registered is not counted; CLOSED comes then."""
    await lay_out(kafka_settings)
    more = {"closure": {"deadline": 3.0}}
    async with (
        pipeline(tmp_path, kafka_settings, **more) as run,
        AsyncExitStack() as stack,
    ):
        url = run.working.url
        await answering(url)
        await adopt(run.ingress.url)
        quick = await stack.enter_async_context(guard_of(kafka_settings, name="quick"))
        quiet = await stack.enter_async_context(
            guard_of(kafka_settings, name="quiet", receipts=False)
        )
        stopped = await stack.enter_async_context(stopping(kafka_settings, "stopped"))
        edge = await stack.enter_async_context(
            stopping(kafka_settings, "edge", "fail_open")
        )
        await until(lambda: quick.standing.holds() and quiet.standing.holds())
        first = await revoke(run.ingress.url, "vault.accessor:first")
        closed = await seen(url, first, "closed")
        assert (3, [], []) == (closed["applied"], closed["fenced"], closed["laggards"])

        waited = await asyncio.to_thread(
            carry_out,
            Client(run.ingress.url, "revoker"),
            Order("revoke", ["vault.accessor:other"], {}),
            wait=DEADLINE,
            output="table",
            worker=Client(url, "revoker"),
        )
        assert 0 == waited
        assert "CLOSED after" in capsys.readouterr().out

        stopped.send_signal(signal.SIGSTOP)
        edge.kill()
        second = await revoke(run.ingress.url, LIVING)
        late = await seen(url, second, "partial", "closed")
        assert "partial" == late["state"]
        assert ["edge", "stopped"] == sorted(late["fenced"] + late["laggards"])
        assert "edge" in late["laggards"]

        async def told() -> list[Any]:
            found = await decoded(kafka_settings, "findings")
            return [e for e in found if e["kind"] == "closure_partial"]

        (finding,) = await until(told)
        assert LIVING == finding["presented"]
        assert "edge" in finding["message"]
        assert await taken_up(kafka_settings) == [(finding["id"], True)]

        async def fenced() -> bool:
            _, answer = await ask(url, f"revocations/{second}")
            assert answer["state"] == "partial"
            return bool(answer["fenced"] == ["stopped"])

        await until(fenced)
        _, listed = await ask(url, "guards")
        modes = {each["guard"]: each["mode"] for each in listed["guards"]}
        assert {"quick": "fail_closed", "edge": "fail_open"}.items() <= modes.items()
        assert "quiet" not in modes
        assert 403 == (await ask(url, "guards/edge", "viewer", "DELETE"))[0]
        assert 200 == (await ask(url, "guards/edge", "restorer", "DELETE"))[0]
        assert 404 == (await ask(url, "guards/edge", "restorer", "DELETE"))[0]
        done = await seen(url, second, "closed")
        assert (1, []) == (done["applied"], done["laggards"])
        assert not quick.check(LIVING).allowed
        await until(lambda: ended(kafka_settings, finding["id"]))
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{url}/metrics") as got,
        ):
            text = await got.text()
        assert 'rescind_closures_total{state="closed"} 3.0' in text
        assert 'rescind_closures_total{state="partial"} 1.0' in text


async def taken_up(kafka: KafkaSettings) -> list[tuple[str, bool]]:
    """Give id and state of the findings that a next owner would go on from."""
    number = partition_of("default", kafka.partitions)
    found = await closure_findings.told(kafka, number)
    return [(each.finding.id, each.open) for each in found]


async def ended(kafka: KafkaSettings, finding: str) -> bool:
    """Tell whether the one finding is over."""
    return await taken_up(kafka) == [(finding, False)]


@pytest.mark.long
async def test_a_take_over_loses_no_laggard_and_closes_nothing_early(
    tmp_path: Path, kafka: Cluster
) -> None:
    """Kill -9 with a cause open: the next worker names whom it waits for."""
    settings = settings_of(kafka, partitions=1, access_partitions=1)
    await lay_out(settings)
    run = Run(7300, tmp_path, settings)
    async with run.ingress() as ingress, run.worker("w0", session=2) as first:
        await answering(first.url)
        async with (
            worker(tmp_path, settings, "w1", session_seconds=2) as second,
            guard_of(settings, name="quick") as quick,
        ):
            await adopt(ingress.url)
            async with (
                stopping(settings, "edge", "fail_open") as edge,
                stopping(settings, "gone", "fail_open") as gone,
            ):
                await until(quick.standing.holds)
                edge.send_signal(signal.SIGSTOP)
                gone.kill()
                identity = await revoke(ingress.url, LIVING)
                before = await applied_by(first.url, identity, 1)
                assert ["edge", "gone"] == before["laggards"]
                await until(lambda: elsewhere(second.url))
                path = "guards/gone"
                assert 200 == (await ask(first.url, path, "restorer", "DELETE"))[0]
                first.kill()

                after = await applied_by(second.url, identity, 1)
                assert ["edge"] == after["laggards"]
                edge.send_signal(signal.SIGCONT)
                done = await seen(second.url, identity, "closed")
                told = (done["applied"], done["fenced"], done["laggards"])
                assert (2, [], []) == told


async def applied_by(url: str, identity: str, count: int) -> dict[str, Any]:
    """Wait until so many applied a revocation, which is not closed meanwhile."""

    async def found() -> dict[str, Any] | None:
        status, answer = await ask(url, f"revocations/{identity}")
        if status != 200:
            return None
        assert answer["state"] in ("pending", "partial")
        return answer if answer["applied"] == count else None

    answer: dict[str, Any] = await until(found)
    return answer


async def answering(url: str) -> None:
    """Wait until a worker has the partition."""

    async def found() -> bool:
        return (await ask(url, "guards"))[0] == 200

    await until(found)


async def elsewhere(url: str) -> bool:
    """Tell whether a worker says that another has the partition."""
    status, answer = await ask(url, "guards")
    assert status == 503
    return bool(answer.get("worker") == "w0")


@pytest.mark.long
async def test_no_registration_no_lease_and_a_clear_error(
    start_kafka: StartKafka,
) -> None:
    """A broker that takes no receipts: the guard denies, and says what to do."""
    cluster = await start_kafka(users=("rescind-guard",))
    kafka = settings_of(cluster, prefix="rescind")
    await lay_out(kafka)
    rights = [each for each in acls(kafka, {}) if "-guard" in each.principal]
    await add(kafka, [each for each in rights if "receipts" not in each.name])
    client = settings_of(cluster, "rescind-guard").client()
    async with writing(kafka) as writer, KafkaGuard(client, name="g") as guard:
        await writer.say(*FAMILY)
        await until(lambda: "rescind topics acls" in str(guard.feed.last_error))
        await until(lambda: guard.standing.replica.complete)
        assert guard.check(CHILD).reason is Lapse.NOT_CAUGHT_UP
        async with KafkaGuard(client, name="q", receipts=False) as quiet:
            await allowing(quiet)
        assert guard.check(CHILD).reason is Lapse.NOT_CAUGHT_UP
        await add(kafka, [each for each in rights if "receipts" in each.name])
        await allowing(guard)


async def test_registers_first_and_again_after_a_lapse_and_says_goodbye(
    kafka_settings: KafkaSettings,
) -> None:
    """And in between, however fast facts come, ten receipts a lease at most."""
    await lay_out(kafka_settings)
    started = boottime()
    async with guard_of(kafka_settings, name="g") as guard:
        async with writing(kafka_settings) as writer:
            await writer.say(*FAMILY)
            await allowing(guard)
            for number in range(100):
                await writer.say(node(Identifier("jwt.jti", f"n{number}")))
            token = await writer.say(node(Identifier("jwt.jti", "last")))
            assert await guard.wait_for(token, 60)
        await until(lambda: guard.check(CHILD).reason is Lapse.NO_LEASE)
        async with writing(kafka_settings):
            await allowing(guard)
    tenths = 10 * (boottime() - started) // SECOND
    found = await records(kafka_settings, "receipts")
    said = [bundled().decode(each.value).record for each in found]

    assert {(b"default/g", token.partition)} == {(e.key, e.partition) for e in found}
    assert list(range(1, len(said) + 1)) == [each["sequence"] for each in said]
    assert len(said) <= tenths + 5
    statuses = [each["status"] for each in said]
    assert ["registered", "goodbye"] == [statuses[0], statuses[-1]]
    again = statuses.index("registered", 1)
    assert "applied" in statuses[1:again]
    assert "applied" in statuses[again:]
    assert said[-1]["applied"] == 0
    assert max(each["applied"] for each in said) >= token.offset


async def test_what_a_guard_cannot_report_it_does_not_serve(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closure lets go who is silent for ten leases, so it denies long before."""
    await lay_out(kafka_settings)
    right, mute = Reporter._send, False

    async def send(reporter: Reporter, status: str) -> None:
        if mute:
            raise KafkaError("no")
        await right(reporter, status)

    monkeypatch.setattr(Reporter, "_send", send)
    async with (
        writing(kafka_settings) as writer,
        guard_of(kafka_settings, lease=0.4) as guard,
    ):
        await writer.say(*FAMILY)
        await allowing(guard)
        mute = True
        silent = boottime()
        await until(lambda: guard.check(CHILD).reason is Lapse.NO_LEASE)
        # Sent before, and then a lease of the last end that it asked for.
        assert guard.standing.deadline < silent + 6 * guard.standing.lease.length
        mute = False
        await allowing(guard)


async def test_what_is_accepted_and_not_read_yet_is_not_denied_to_exist(
    tmp_path: Path, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closure that is behind says so; 404 is for what the log does not hold."""
    monkeypatch.setattr(closure, "READ_SECONDS", 0.3)
    await lay_out(kafka_settings)
    async with pipeline(tmp_path, kafka_settings) as run:
        stage = run.working.process.closure
        assert stage is not None
        number = partition_of("default", kafka_settings.partitions)
        await until(lambda: stage.serving(number) is not None)
        url, poll, reading = run.working.url, stage.member.poll, asyncio.Event()

        async def behind(seconds: float) -> dict[int, list[Any]]:
            await reading.wait()
            return await poll(seconds)

        monkeypatch.setattr(stage.member, "poll", behind)
        # The poll that was under way ends first.
        await asyncio.sleep(2 * closure.IDLE_SECONDS)
        body = {"identifier": "vault.accessor:late"}
        told = await order(run.ingress.url, "revocations", "revoker", body)
        path = f"revocations/{told['id']}"
        status, answer = await ask(url, path)
        assert (503, "not read yet") == (status, answer["title"])
        reading.set()
        await seen(url, told["id"], "closed", "unknown")
        assert 404 == (await ask(url, "revocations/never"))[0]
