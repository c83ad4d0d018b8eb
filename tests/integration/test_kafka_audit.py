"""The audit chain on a real Kafka: written, taken over, exported and verified."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import signal
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from typer.testing import CliRunner

from agents_registry.facts import fact_id
from schemas.codec import decode_fact
from streams.cli.main import app
from streams.engines.kafka.audit import audit as audit_stage
from streams.engines.kafka.audit.kafka_chain import KafkaChain
from streams.observability.failpoints import AUDIT_POINTS
from streams.services.audit_heads import head_reader, public_key
from streams.stages.audit.chain import BrokenChainError
from streams.stages.audit.proof import ChainVerifier
from tests.integration.kafka_cluster import settings_of
from tests.integration.kafka_crash_run import HUNG, Run, later
from tests.integration.serving import until
from tests.integration.test_kafka_pipeline import EVENTS, KEY
from tests.integration.working import ends, keyed_facts_of, lay_out, pipeline

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from streams.devkafka.broker import Cluster
    from streams.settings.kafka import KafkaSettings
    from tests.integration.working import Pipeline

    AccessColumns = list[dict[str, Any]]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


async def exported(kafka: KafkaSettings) -> tuple[AccessColumns, str | None]:
    """Give the lines of the chain, and the head that is kept beside it."""

    def read() -> tuple[AccessColumns, str | None]:
        with asyncio.Runner() as runner:
            chain = KafkaChain(kafka, "default", runner)
            return list(chain.lines()), chain.last_head()

    return await asyncio.to_thread(read)


async def paged(running: Pipeline, limit: int, **more: str) -> AccessColumns:
    """Read all pages of the worker, until the last one."""
    found: AccessColumns = []
    after: int | None = 0
    url = f"{running.working.url}/v1/audit"
    headers = {"Authorization": "Bearer viewer"}
    while after is not None:
        query = {"limit": str(limit), "after": str(after), **more}
        async with running.session.get(url, params=query, headers=headers) as got:
            assert got.status == 200, await got.text()
            page = await got.json()
        found += page["lines"]
        after = page["after"]
    return found


def verified(lines: AccessColumns, *public: Path, last: str | None = None) -> str:
    """Give what is said against an export, nothing where it holds."""
    read_head = head_reader([public_key(each.read_bytes()) for each in public])
    try:
        known = [] if last is None else [read_head(last)]
        verifier = ChainVerifier(read_head, decode_fact, known)
        for line in lines:
            verifier.take(line)
        verifier.end()
    except BrokenChainError as error:
        return str(error)
    return ""


async def chained_once(kafka: KafkaSettings, lines: AccessColumns) -> bool:
    """Tell whether each fact of the log has one entry, and each revocation an act."""
    told = [line for line in lines if "fact" in line]
    keys = [line["entry"]["fact_key"].encode() for line in told]
    acts = {
        fact
        for line in lines
        if "actor" in line.get("entry", ())
        for fact in line["entry"]["facts"]
    }
    ordered = {
        fact_id(decode_fact(base64.b64decode(line["value"]))).hex()
        for line in told
        if line["entry"]["authority"] == "operators"
    }
    assert ordered == acts
    return keys == [key for key, _ in await keyed_facts_of(kafka)]


async def test_facts_and_acts_are_chained_once(tmp_path: Path, kafka: Cluster) -> None:
    """Each fact of the log, and who revoked; the export holds without Kafka."""
    settings = settings_of(kafka, partitions=1, access_partitions=1)
    await lay_out(settings)
    async with pipeline(tmp_path, settings, head_seconds=0.5) as running:
        body = json.dumps({"Records": EVENTS}).encode()
        assert (await running.post("/v1/events/cloudtrail", "aws", body))[0] == 202
        order = {"identifier": f"aws.access_key:{KEY}", "reason": "left a laptop"}
        assert (await running.post("/v1/revocations", "revoker", order))[0] == 201
        audit = running.working.process.audit
        assert audit is not None
        end = (await ends(settings, "facts", 1))[0]
        await until(lambda: audit.progress.positions.get(0, 0) >= end)

        async def signed() -> bool:
            return bool((await paged(running, 99))[-1:])

        await until(signed)
        whole = await paged(running, 99)
        assert (
            whole == await paged(running, 2) == await paged(running, 1, realm="default")
        )
        assert not verified(whole, tmp_path / "worker/audit/audit.pub")
    lines, last = await exported(settings)
    assert whole == lines[: len(whole)]
    public = tmp_path / "worker/audit/audit.pub"
    assert not verified(lines, public, last=last)
    assert await chained_once(settings, lines)
    assert lines[-2]["entry"]["action"].endswith("Z: left a laptop")
    assert "truncated" in verified(lines[:-2], public, last=last)
    env = {
        "RESCIND_KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "RESCIND_KAFKA_PREFIX": settings.prefix,
        "RESCIND_KAFKA_PARTITIONS": "1",
    }

    async def ran(*args: str, **more: str) -> tuple[int, str]:
        got = await asyncio.to_thread(
            CliRunner().invoke, app, ["audit", *args], env=env | more
        )
        return got.exit_code, got.output

    code, out = await ran("export", "--kafka", "default")
    assert (0, lines) == (code, [json.loads(line) for line in out.splitlines()])
    code, out = await ran("verify", "--kafka", "default", "--key", str(public))
    end = lines[-2]["sequence"]
    assert (0, True) == (code, f"default holds up to entry {end}, signed at" in out)
    start = str(lines[-1]["head"])
    code, out = await ran(
        "verify", "--kafka", "default", "--key", str(public), "--from", start
    )
    assert (0, True) == (code, f"from behind entry {end} up to entry {end}" in out)
    wrong = await ran("export", "--kafka", "default", RESCIND_KAFKA_PARTITIONS="0")
    assert (2, True) == (wrong[0], "partitions" in wrong[1])
    away = {"RESCIND_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    code, out = await ran("export", "--kafka", "default", **away)
    assert (3, True) == (code, "Kafka: KafkaConnectionError" in out)


async def test_worker_that_ends_before_it_read_again_leaves_a_signed_head(
    tmp_path: Path, kafka: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one wrote between; no later worker is needed to see its last entries."""
    # On a busy machine two seconds may not be enough to read and sign.
    monkeypatch.setattr(audit_stage, "COMMIT_SECONDS", 60.0)
    settings = settings_of(kafka, partitions=1, access_partitions=1)
    await lay_out(settings)
    order = {"identifier": "vault.accessor:a1"}
    async with pipeline(tmp_path, settings) as running:
        audit = running.working.process.audit
        assert audit is not None
        await until(lambda: audit.member.begun and not audit.audited[0].unsigned)
        # As a worker does that was frozen and goes on: what it knew is old.
        audit.audited[0].end -= 1
        ended: list[asyncio.Task[Any]] = []
        hold = audit.member.hold

        def hold_and_end(number: int) -> None:
            hold(number)
            if not ended and (task := asyncio.current_task()) is not None:
                ended.append(task)
                task.cancel()

        audit.member.hold = hold_and_end  # type: ignore[method-assign]
        assert (await running.post("/v1/revocations", "revoker", order))[0] == 201
        await until(lambda: bool(ended) and ended[0].done())
    lines, last = await exported(settings)
    assert not verified(lines, tmp_path / "worker/audit/audit.pub", last=last)
    assert await chained_once(settings, lines)


async def signed_facts(kafka: KafkaSettings, wanted: int) -> bool:
    """Tell whether as many facts are chained and below a signed head."""
    lines, _ = await exported(kafka)
    return sum("fact" in line for line in lines) >= wanted


async def revoked(url: str) -> AsyncGenerator[int]:
    """Revoke names without end, one each step."""
    async with aiohttp.ClientSession(
        headers={"Authorization": "Bearer revoker"}
    ) as session:
        for number in itertools.count():
            order = {"identifier": f"vault.accessor:a{number}"}
            async with session.post(f"{url}/v1/revocations", json=order) as got:
                assert got.status == 201
            yield number


@pytest.mark.long
async def test_killed_and_frozen_workers_leave_one_chain(
    tmp_path: Path, kafka: Cluster
) -> None:
    """Killed before and after the acks and at a head; frozen while another goes on."""
    settings = settings_of(kafka, partitions=1, access_partitions=1)
    await lay_out(settings)
    run = Run(7140, tmp_path, settings, posts=[b""])
    async with run.ingress() as ingress:
        revoking = revoked(ingress.url)
        for point in AUDIT_POINTS:
            async with run.worker(failpoint=f"{point}:2", session=3) as worker:
                while worker.alive:
                    await anext(revoking)
                    await later(0.2, lambda: not worker.alive)
        async with run.worker(session=3) as frozen:
            await anext(revoking)
            await run.ready(frozen)
            frozen.send(signal.SIGSTOP)
            await anext(revoking)
            async with run.worker("w1", session=3) as other:
                await run.ready(other)
                await anext(revoking)
                frozen.send(signal.SIGCONT)
                await anext(revoking)
                await run.settled([frozen, other])
                # Whoever has the partition at last reads it again before it signs.
                end = len(await keyed_facts_of(settings))
                await until(lambda: signed_facts(settings, end), HUNG)
        await revoking.aclose()

    lines, last = await exported(settings)
    publics = [tmp_path / name / "audit/audit.pub" for name in ("w0", "w1")]
    assert not verified(lines, *publics, last=last)
    assert await chained_once(settings, lines)
