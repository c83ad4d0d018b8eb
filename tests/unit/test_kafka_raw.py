"""A raw topic whose records went before they were read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self, cast

import pytest
from aiokafka.structs import OffsetAndMetadata
from attrs import define, field

from streams.engines.kafka.ingress import raw
from streams.engines.kafka.ingress.raw import RawInput, RawTopic
from streams.model.times import SECOND
from streams.services.intake import Acceptance, IntakeBatch
from streams.settings.kafka import KafkaSettings
from streams.stages.ingest.admission import Entitlements
from streams.stages.ingest.ingress import Origin

if TYPE_CHECKING:
    from streams.engines.kafka.records.dead_letters import KafkaPlace
    from streams.services.ingest import Intake

pytestmark = pytest.mark.unit

LAST, FIRST = 1_700_000_000, 1_700_000_900  # s: read last, and kept since


@define
class Record:
    """What a consumer gives."""

    offset: int
    timestamp: int = FIRST * 1000
    value: bytes = b"{}"
    headers: tuple[tuple[str, bytes], ...] = ()


@define
class Member:
    """A member that has partition 0, which begins at offset 5."""

    committed_to: OffsetAndMetadata | None
    records: list[Record]
    lock: asyncio.Lock = field(factory=asyncio.Lock)
    fresh: set[int] = field(factory=lambda: {0})
    begun: list[int] = field(factory=list)
    commits: list[tuple[int, str]] = field(factory=list)
    done: asyncio.Event = field(factory=asyncio.Event)

    async def __aenter__(self) -> Self:
        """Join."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave."""

    async def bounds(self, number: int) -> tuple[int, int]:
        """Give what is kept."""
        del number
        return 5, 9

    async def committed(self, number: int) -> OffsetAndMetadata | None:
        """Give where the group stands."""
        del number
        return self.committed_to

    def begin(self, number: int, position: int) -> None:
        """Read on from there."""
        self.fresh.discard(number)
        self.begun.append(position)

    async def poll(self, seconds: float) -> dict[int, list[Record]]:
        """Give the records, then nothing for ever."""
        del seconds
        if not self.records:
            self.done.set()
            await asyncio.Event().wait()
        given, self.records = self.records, []
        return {0: given}

    async def commit(self, positions: dict[int, tuple[int, str]]) -> bool:
        """Note how far it is."""
        self.commits.append(positions[0])
        return True


@define
class Taking:
    """A log that keeps what it was given."""

    taken: list[IntakeBatch] = field(factory=list)

    async def records(
        self, delivery: IntakeBatch, *, place: KafkaPlace, patient: bool
    ) -> Acceptance:
        """Take a batch in."""
        assert patient
        del place
        self.taken.append(delivery)
        return Acceptance(0, 0, 0, "")


async def read(
    monkeypatch: pytest.MonkeyPatch, committed: OffsetAndMetadata | None
) -> tuple[Member, list[IntakeBatch]]:
    """Read two records with a group that stands somewhere."""
    member, log = Member(committed, [Record(5), Record(6)]), Taking()
    monkeypatch.setattr(raw, "GroupConsumer", lambda *_, **__: member)

    async def nothing(data: bytes) -> list[Any]:
        del data
        return []

    def speaker() -> tuple[Origin, Entitlements]:
        return Origin("idp", "default", 1, ingress_key="topic:idp"), Entitlements(())

    topic = RawTopic("idp", nothing, speaker)
    reader = RawInput(KafkaSettings(), topic, "i0", cast("Intake", log))
    task = asyncio.create_task(reader.run())
    await member.done.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return member, log.taken


async def test_what_went_unread_is_a_gap_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the last record that was read to the first one that is kept."""
    note = OffsetAndMetadata(3, str(LAST * 1000))

    member, taken = await read(monkeypatch, note)

    assert [(LAST * SECOND, FIRST * SECOND), None] == [each.gap for each in taken]
    assert [5] == member.begun
    assert [(7, str(FIRST * 1000))] == member.commits


@pytest.mark.parametrize(
    "committed", [None, OffsetAndMetadata(5, ""), OffsetAndMetadata(6, "1")]
)
async def test_without_a_loss_there_is_no_gap(
    monkeypatch: pytest.MonkeyPatch, committed: OffsetAndMetadata | None
) -> None:
    """A first start begins with what is kept; a later one where it stood."""
    _, taken = await read(monkeypatch, committed)

    assert [None, None] == [each.gap for each in taken]
