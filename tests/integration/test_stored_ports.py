"""The ports of the embedded engine, on a file of their own."""

from __future__ import annotations

import sqlite3
import time
from contextlib import asynccontextmanager, closing, contextmanager, nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from attrs import define

from streams.apps.bootstrap import audit_key
from streams.engines.embedded import store as store_module
from streams.engines.embedded.audit import AuditSigner
from streams.engines.embedded.fact_log import StoredFactLog
from streams.engines.embedded.findings_log import StoredDeadLetters, StoredFindings
from streams.engines.embedded.keyed_store import StoredBodies
from streams.engines.embedded.short_rows import key_text
from streams.engines.embedded.store import Store
from streams.engines.embedded.tables import StageTables
from streams.engines.embedded.transaction import Transaction
from streams.services.audit_heads import head_reader, public_key
from streams.stages.sentinel import saved_episodes
from tests.contract.audit_cases import AuditChainCases, Audited
from tests.contract.port_cases import (
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
from tests.integration.serving import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

    from agents_registry.identifiers import Identifier
    from streams.stages.sentinel.episode import Episode

pytestmark = pytest.mark.integration


@define
class OnFile:
    """A data folder."""

    folder: Path
    patch: pytest.MonkeyPatch

    @asynccontextmanager
    async def process(self) -> AsyncIterator[Process]:
        """Open the folder, which one process at a time may."""
        store = Store.open(self.folder, realm=REALM, genesis="g")
        try:
            log = StoredFactLog(store, lambda _: nullcontext())
            findings, letters = StoredFindings(store), StoredDeadLetters(store)
            yield Process(StoredBodies(store), log, findings, letters)
        finally:
            await store.close()

    @asynccontextmanager
    async def peer(self, one: Process) -> AsyncIterator[Process]:
        """Give the only process there can be."""
        yield one

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Fill the disk."""

        def full(_: Any) -> None:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

        with self.patch.context() as patch:
            patch.setattr(store_module, "PAUSE_SECONDS", 0.01)
            patch.setattr(Transaction, "mark", full)
            yield

    async def tell(self, process: Process, episodes: Sequence[Episode]) -> None:
        """Write them as a stage's state is saved."""
        rows = [
            (each.finding.id, each.open, orjson.dumps(saved_episodes.save(each)))
            for each in episodes
        ]
        store: Store = process.findings._store  # type: ignore[attr-defined]
        await store.write(lambda tx: tx.stages.put_findings(rows))

    async def write_held(self, process: Process) -> None:
        """Do nothing: a repeat is counted where the first one lies."""

    async def bodies(self) -> dict[tuple[str, str], bytes]:
        """Read the table."""
        rows = self._read("SELECT kind, name, body FROM kept")
        return {(kind, name): body for kind, name, body in rows}

    async def entries(self) -> list[str]:
        """Read the audit chain, in which both facts and acts are."""
        rows = self._read(
            "SELECT coalesce(f.key, 'act') FROM audit_chain"
            " LEFT JOIN recent_facts f ON f.offset = fact ORDER BY sequence"
        )
        return [key_text(REALM, key) for (key,) in rows]

    async def uses(self) -> int:
        """Count the blocks."""
        return len(self._read("SELECT offset FROM access"))

    def _read(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.folder / "rescind.db")) as db:
            return db.execute(query).fetchall()


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OnFile:
    """Give an empty folder."""
    return OnFile(tmp_path / "data", monkeypatch)


@pytest.fixture
async def tables(tmp_path: Path) -> AsyncIterator[Tables]:
    """Give those of a server."""
    async with running(tmp_path) as server:
        store: Any = SimpleNamespace(genesis=server.served.genesis)
        reader = StageTables(server.served.stages, store, "default")

        async def accept(name: Identifier) -> str:
            body = {"identifier": str(name)}
            _, answer = await server.post("/v1/revocations", "revoker", body)
            return str(answer["token"])

        yield Tables(reader, accept)


@pytest.fixture
async def audited(backend: OnFile, tmp_path: Path) -> AsyncIterator[Audited]:
    """Give a log whose entries are chained as they are written."""
    key = audit_key(tmp_path, None)
    read_head = head_reader([public_key(key.public_pem().encode())])
    async with backend.process() as process:
        store: Store = process.findings._store  # type: ignore[attr-defined]

        def reader() -> AuditSigner:
            return AuditSigner(store, REALM, key, time.time_ns)

        yield Audited(process.log, reader, read_head, backend.entries)


class TestAuditSigner(AuditChainCases):
    """The table ``audit_chain``."""


class TestStoredBodies(KeyedStoreCases):
    """The table ``kept``."""


class TestStoredFactLog(FactLogCases):
    """The log of facts."""


class TestStoredStatusEntries(StatusEntriesCases):
    """Lists in the bodies beside the log."""


class TestStoredFindings(FindingsLogCases):
    """The table ``findings``."""


class TestStoredDeadLetters(DeadLetterLogCases):
    """The table ``dlq``."""


class TestStageTables(TableReaderCases):
    """The table of the stages."""
