"""The notify stage on Kafka: urgent records first, and summaries over a crash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from streams.engines.kafka.notify.delivery_file import DeliveryFile
from streams.engines.kafka.notify.records import Record
from streams.engines.kafka.records.outputs import finding_record
from streams.model.findings import SUMMARY, FindingKind
from streams.stages.notify.deliveries import Activity, AttemptOutcome, Delivery
from streams.stages.notify.groups import QUIET
from streams.stages.sentinel.episode import Episode
from tests.kafka_desk import Desk
from tests.unit.test_notify import NOW, SOC, a_finding

if TYPE_CHECKING:
    from pathlib import Path

    from streams.model.findings import Finding

pytestmark = pytest.mark.unit


@define
class Process:
    """A notify process over a file, and what it told and acked."""

    folder: Path
    now: int = NOW
    told: list[Delivery] = field(factory=list)
    acked: set[int] = field(factory=set)
    desk: Any = None
    file: Any = None

    def start(self) -> None:
        """Begin, or begin again over what the file holds."""
        if self.file is not None:
            self.file.close()
        self.file = DeliveryFile(self.folder / "deliveries.db")
        self.desk = Desk.over(
            self.file, [SOC], self.post, self.letter, lambda: self.now
        )

    async def post(self, delivery: Delivery) -> AttemptOutcome:
        """Take whatever comes."""
        self.told.append(delivery)
        return AttemptOutcome(status=204)

    async def letter(self, record: Any) -> None:
        """Nothing is given up."""
        raise AssertionError(record)

    def record(self, offset: int, finding: Finding, **values: Any) -> Record:
        """Give a record as Faust hands it over."""
        made = finding_record(Episode(finding, 0, NOW, **values), 1)
        return Record(
            0, offset, 0, made.value, made.headers, lambda: self.acked.add(offset)
        )

    async def take(self, *records: Record) -> None:
        """Take records in, and tell what is due."""
        due = await self.desk.work(*records)
        while due or self.desk.inbox.waiting:
            due = await self.desk.work()


def posture(number: int) -> Finding:
    """Give a posture finding."""
    return a_finding(number, kind=FindingKind.OWNERLESS)


async def test_what_is_urgent_is_taken_ahead(tmp_path: Path) -> None:
    """Of what lies in the inbox."""
    process = Process(tmp_path)
    process.start()
    for offset in range(200):
        await process.desk.inbox.take(process.record(offset, posture(offset)))
    await process.desk.inbox.take(process.record(200, a_finding(200)))

    first, *others = (await process.desk.worker._next()).changes

    assert first.finding == a_finding(200)
    assert 0 < len(others) < 200
    process.file.close()


@pytest.mark.parametrize("crash", [False, True])
async def test_a_summary_is_told_once_and_then_its_records_are_acked(
    tmp_path: Path,
    crash: bool,
) -> None:
    """Also where the process dies while it waits for more of them."""
    process = Process(tmp_path)
    process.start()
    records = [process.record(n, posture(n)) for n in range(100)]
    await process.take(*records)
    assert (process.told, process.acked) == ([], set())
    if crash:
        process.start()
        await process.take(*records)
    process.now += QUIET
    await process.take()

    (summary,) = process.told
    assert summary.finding.presented.kind == SUMMARY
    assert summary.finding.count == 100
    assert process.acked == set(range(100))

    process.start()  # what is committed does not come again; the file knows of it
    ends = [
        process.record(100 + n, posture(n), revision=2, open=False) for n in range(100)
    ]
    await process.take(*ends)
    assert [d.activity for d in process.told] == [Activity.CREATE, Activity.CLOSE]
    assert process.told[1].finding.id == summary.finding.id
    assert process.acked == set(range(200))
    process.file.close()
