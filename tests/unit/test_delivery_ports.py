"""The delivery of alerts over both engines: a file of findings, and records of Kafka.

Records come as the group gives them: all that were not acked, anew to each process.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from attrs import define, field

from streams.engines.embedded.deliveries import DeliveryRows
from streams.engines.embedded.store import Store
from streams.engines.kafka.notify.delivery_file import DeliveryFile
from streams.engines.kafka.notify.inbox import FindingInbox
from streams.engines.kafka.notify.records import Record
from streams.engines.kafka.records.outputs import finding_record
from streams.settings.kafka import KafkaSettings
from streams.stages.sentinel import saved_episodes
from streams.stages.sentinel.episode import Episode
from tests.contract.delivery_cases import DeliveryPortCases
from tests.unit.test_notify import NOW

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from streams.model.findings import Finding
    from streams.ports.delivery import DeliveryPort

pytestmark = pytest.mark.unit


@define
class RowsOutbox:
    """A data folder of the embedded engine."""

    folder: Path
    store: Any = None

    @asynccontextmanager
    async def process(self) -> AsyncIterator[DeliveryPort]:
        """Open the folder."""
        self.store = Store.open(self.folder, realm="r", genesis="g")
        try:
            yield DeliveryRows(self.store)
        finally:
            await self.store.close()

    async def tell(self, _: DeliveryPort, *findings: Finding) -> None:
        """Write them as the sentinel's state is saved."""
        rows = [
            (f.id, True, orjson.dumps(saved_episodes.save(Episode(f, 0, NOW))))
            for f in findings
        ]
        await self.store.write(lambda tx: tx.stages.put_findings(rows))

    async def letters(self) -> int:
        """Count the rows."""
        with closing(sqlite3.connect(self.folder / "rescind.db")) as db:
            ((count,),) = db.execute("SELECT count(*) FROM dlq")
            return int(count)


@define
class InboxOutbox:
    """A file of a notify process, and the records of a partition.

    Attributes:
        records: those that were not acked, by their offsets.
    """

    folder: Path
    records: dict[int, Finding] = field(factory=dict)
    written: int = 0
    end: int = 0

    @asynccontextmanager
    async def process(self) -> AsyncIterator[DeliveryPort]:
        """Open the file; what is not acked comes."""
        with closing(DeliveryFile(self.folder / "deliveries.db")) as file:
            inbox = FindingInbox(KafkaSettings(partitions=1), file, self.write)
            for offset in list(self.records):
                await self.lay_in(inbox, offset)
            yield inbox

    async def write(self, letters: Any) -> None:
        """Have them acked a moment later."""
        await asyncio.sleep(0)
        self.written += len(letters)

    async def lay_in(self, inbox: FindingInbox, offset: int) -> None:
        """Give a record to a process."""
        made = finding_record(Episode(self.records[offset], 0, NOW), 1)
        ack = partial(self.records.pop, offset, None)
        await inbox.take(Record(0, offset, 0, made.value, made.headers, ack))

    async def tell(self, port: DeliveryPort, *findings: Finding) -> None:
        """Write records, which come at once."""
        assert isinstance(port, FindingInbox)
        for finding in findings:
            self.records[self.end] = finding
            await self.lay_in(port, self.end)
            self.end += 1

    async def letters(self) -> int:
        """Count those that were acked."""
        return self.written


class TestDeliveryRows(DeliveryPortCases):
    """Findings and deliveries in one file."""

    @pytest.fixture
    def outbox(self, tmp_path: Path) -> RowsOutbox:
        """Give an empty folder."""
        return RowsOutbox(tmp_path / "data")


class TestFindingInbox(DeliveryPortCases):
    """Records of ``findings``, and the file of a process."""

    @pytest.fixture
    def outbox(self, tmp_path: Path) -> InboxOutbox:
        """Give an empty folder."""
        return InboxOutbox(tmp_path)
