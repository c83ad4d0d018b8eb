"""The ports of the Kafka engine, on a real broker."""

from __future__ import annotations

import asyncio
import time
import zlib
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define

from agents_registry.facts import Cause, Effect, Fact
from agents_registry.identifiers import extend
from schemas.codec import bundled
from schemas.entries import Act, read_entry
from streams.apps.bootstrap import audit_key
from streams.engines.kafka.audit.audit import AuditStage
from streams.engines.kafka.audit.pages import AuditExports
from streams.engines.kafka.client.publisher import NotAckedError, Publisher
from streams.engines.kafka.ingress.compacted_store import CompactedStore
from streams.engines.kafka.ingress.fact_log import TopicFactLog
from streams.engines.kafka.ingress.followed_dead_letters import FollowedDeadLetters
from streams.engines.kafka.ingress.followed_findings import FollowedFindings
from streams.engines.kafka.records.outputs import finding_record
from streams.engines.kafka.tables import OwnTables
from streams.engines.kafka.topics.topics import assert_layout
from streams.ports.fact_log import LogBatch
from streams.services import ingest
from streams.services.audit_heads import head_reader, public_key
from streams.services.audit_sinks import Sinks
from streams.services.intake import encode
from streams.settings.limits import DeadLetterSettings
from streams.settings.worker import WorkerSettings
from streams.stages.ingest.admission import Admission
from tests.contract.audit_cases import AuditChainCases, Audited
from tests.contract.port_cases import (
    NOW,
    ORIGIN,
    REALM,
    DeadLetterLogCases,
    FactLogCases,
    FindingsLogCases,
    KeyedStoreCases,
    Process,
    StatusEntriesCases,
    TableReaderCases,
    Tables,
)
from tests.integration.working import lay_out, records, worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

    from agents_registry.identifiers import Identifier
    from streams.settings.kafka import KafkaSettings
    from streams.stages.sentinel.episode import Episode

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@define
class OnTopics:
    """The topics of one test."""

    kafka: KafkaSettings
    patch: pytest.MonkeyPatch

    @asynccontextmanager
    async def process(self) -> AsyncIterator[Process]:
        """Write as an ingress does."""
        geneses = await assert_layout(self.kafka, ["access", "sources", "dlq"])
        async with (
            Publisher(self.kafka, 10.0) as publisher,
            CompactedStore(self.kafka, REALM, publisher, time.time_ns) as kept,
        ):
            log = TopicFactLog(self.kafka, publisher, geneses, lambda: "id", kept)
            findings = FollowedFindings(self.kafka, REALM, time.time_ns)
            letters = FollowedDeadLetters(
                self.kafka, REALM, time.time_ns, DeadLetterSettings()
            )
            runs = kept.run(), findings.run(), letters.run()
            following = [asyncio.create_task(each) for each in runs]
            try:
                yield Process(kept, log, findings, letters)
            finally:
                for each in following:
                    each.cancel()
                await asyncio.gather(*following, return_exceptions=True)

    @asynccontextmanager
    async def peer(self, one: Process) -> AsyncIterator[Process]:
        """Run another ingress."""
        del one
        async with self.process() as process:
            yield process

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Let no broker answer."""

        async def refused(*_: Any) -> None:
            raise NotAckedError("no broker answers")

        with self.patch.context() as patch:
            patch.setattr(ingest, "AGAIN_SECONDS", 0.01)
            patch.setattr(Publisher, "send", refused)
            patch.setattr(Publisher, "end", refused)
            yield

    async def tell(self, process: Process, episodes: Sequence[Episode]) -> None:
        """Write them as a stage does."""
        del process
        async with Publisher(self.kafka, 10.0) as publisher:
            rows = [[finding_record(e, self.kafka.partitions)] for e in episodes]
            await publisher.publish(self.kafka.topic("findings"), rows)

    async def write_held(self, process: Process) -> None:
        """Write them now, and not in some seconds."""
        assert isinstance(process.log, TopicFactLog)
        await process.log.letters.write(NOW, all_of_it=True)

    async def bodies(self) -> dict[tuple[str, str], bytes]:
        """Read the topic as compaction would leave it."""
        last: dict[tuple[str, str], bytes] = {}
        for record in await records(self.kafka, "sources"):
            _, kind, name = record.key.decode().split("/", 2)
            last.pop((kind, name), None)
            if record.value is not None:
                _, _, plain = bundled().decode(record.value)
                last[kind, name] = zlib.decompress(plain["body"])
        return last

    async def entries(self) -> list[str]:
        """Read the facts and acts of the realm."""
        found = []
        for record in await records(self.kafka, "facts"):
            entry = read_entry(record.key, record.value)
            if isinstance(entry, Fact):
                found.append(record.key.decode())
            elif isinstance(entry, Act):
                found.append("act")
        return found

    async def uses(self) -> int:
        """Count the records of accesses."""
        found = await records(self.kafka, "access")
        return sum(b"access" in dict(each.headers)["ce_type"] for each in found)


@pytest.fixture
async def backend(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> OnTopics:
    """Give empty topics."""
    await lay_out(kafka_settings)
    return OnTopics(kafka_settings, monkeypatch)


@pytest.fixture
async def tables(backend: OnTopics, tmp_path: Path) -> AsyncIterator[Tables]:
    """Give those of a worker."""
    async with backend.process() as writing, worker(tmp_path, backend.kafka, "w0") as w:
        reader = OwnTables(w.process, REALM, extend({}))

        async def accept(name: Identifier) -> str:
            cause = Cause(
                target=name, effect=Effect.REVOKE, at=NOW, authority="okta",
                version=1, received_at=NOW, event_id=str(name),
            )  # fmt: skip
            facts = encode([cause], ORIGIN, Admission(), writing.log.key)
            batch = LogBatch(name=str(name), origin=ORIGIN, facts=facts)
            return (await writing.log.append(batch)).token

        yield Tables(reader, accept)


@pytest.fixture
async def audited(backend: OnTopics, tmp_path: Path) -> AsyncIterator[Audited]:
    """Give a log that a worker chains."""
    key, own = audit_key(tmp_path, None), WorkerSettings(name="w0", head_seconds=0.1)
    read_head = head_reader([public_key(key.public_pem().encode())])
    async with backend.process() as process, Publisher(backend.kafka, 10.0) as writer:
        stage = AuditStage(backend.kafka, own, writer, time.time_ns, key, Sinks())
        chaining = asyncio.create_task(stage.run())

        def reader() -> AuditExports:
            return AuditExports(backend.kafka, REALM)

        yield Audited(process.log, reader, read_head, backend.entries)
        chaining.cancel()
        await asyncio.wait([chaining])


class TestAuditExports(AuditChainCases):
    """The topic ``audit``."""


class TestCompactedStore(KeyedStoreCases):
    """The topic ``sources``."""


class TestTopicFactLog(FactLogCases):
    """The topic ``facts``, and what is written behind it."""


class TestCompactedStatusEntries(StatusEntriesCases):
    """Lists in the topic ``sources``."""


class TestFollowedFindings(FindingsLogCases):
    """The topic ``findings``."""


class TestFollowedDeadLetters(DeadLetterLogCases):
    """The topic ``dlq``."""


class TestOwnTables(TableReaderCases):
    """The tables of a worker."""
