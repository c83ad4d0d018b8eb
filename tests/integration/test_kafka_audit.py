"""The audit chain on a real Kafka: written, taken over, exported and verified."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import fact_id
from schemas.codec import decode_fact
from streams.audit_heads import head_reader, public_key
from streams.audit_kafka import KafkaChain
from streams.stages.audit_chain import BrokenChainError
from streams.stages.audit_proof import Verifier
from tests.integration.kafka_cluster import settings_of
from tests.integration.serving import until
from tests.integration.test_kafka_pipeline import EVENTS, KEY
from tests.integration.working import ends, facts_of, lay_out, pipeline

if TYPE_CHECKING:
    from pathlib import Path

    from streams.kafka.broker import Cluster
    from streams.kafka.settings import KafkaSettings

    Lines = list[dict[str, Any]]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


async def exported(kafka: KafkaSettings) -> tuple[Lines, str | None]:
    """Give the lines of the chain, and the head that is kept beside it."""

    def read() -> tuple[Lines, str | None]:
        with asyncio.Runner() as runner:
            chain = KafkaChain(kafka, "default", runner)
            return list(chain.lines()), chain.last_head()

    return await asyncio.to_thread(read)


def verified(lines: Lines, public: Path, last: str | None = None) -> str:
    """Give what is said against an export, nothing where it holds."""
    read_head = head_reader([public_key(public.read_bytes())])
    try:
        known = [] if last is None else [read_head(last)]
        verifier = Verifier(read_head, decode_fact, known)
        for line in lines:
            verifier.take(line)
        verifier.end()
    except BrokenChainError as error:
        return str(error)
    return ""


async def test_facts_and_acts_are_chained_once(tmp_path: Path, kafka: Cluster) -> None:
    """Each fact of the log, and who revoked; the export holds without Kafka."""
    settings = settings_of(kafka, partitions=1, access_partitions=1)
    await lay_out(settings)
    async with pipeline(tmp_path, settings) as running:
        body = json.dumps({"Records": EVENTS}).encode()
        assert (await running.post("/v1/events/cloudtrail", "aws", body))[0] == 202
        order = {"identifier": f"aws.access_key:{KEY}", "reason": "left a laptop"}
        assert (await running.post("/v1/revocations", "revoker", order))[0] == 201
        facts = await facts_of(settings)
        audit = running.working.process.audit
        assert audit is not None
        end = (await ends(settings, "facts", 1))[0]
        await until(lambda: audit.progress.positions.get(0, 0) >= end)
    lines, last = await exported(settings)
    told = [line for line in lines if "fact" in line]
    assert not verified(lines, tmp_path / "worker/audit/audit.pub", last)
    assert [fact_id(fact).hex() for fact in facts] == [
        fact_id(decode_fact(__import__("base64").b64decode(line["value"]))).hex()
        for line in told
    ]
