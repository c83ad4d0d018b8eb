"""Nothing is saved or committed before its acks, nor beyond what is listed."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.identifiers import extend
from streams.engines.kafka.checkpoints.checkpoint import FactsFile
from streams.engines.kafka.facts.partition import Partition
from streams.engines.kafka.facts.registry import RegistryStage
from streams.engines.kafka.facts.standby import Standby
from streams.observability.progress import Progress
from streams.settings.kafka import KafkaSettings
from streams.settings.worker import WorkerSettings
from tests.unit.test_kafka_standby import Record, facts

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

pytestmark = pytest.mark.unit


class Publisher:
    """Acks when it is told to."""

    def __init__(self) -> None:
        """Begin with nothing sent."""
        self.sent: list[bytes] = []
        self.asked = asyncio.Event()
        self.acked = asyncio.Event()

    async def send(self, _: str, groups: Any) -> list[Any]:
        """Take records."""
        self.sent += [record.key for group in groups for record in group]
        return []

    async def acks(self, _: Any) -> None:
        """Wait for the word."""
        self.asked.set()
        await self.acked.wait()


class Member:
    """Has the partition; keeps what is committed."""

    def __init__(self) -> None:
        """Begin without commit."""
        self.begun = self.assigned = frozenset({0})
        self.fresh: set[int] = set()
        self.lock = asyncio.Lock()
        self.kept: dict[int, int] = {}

    def commit_due(self, _: float) -> bool:
        """Commit always."""
        return True

    async def commit(self, positions: Any) -> bool:
        """Commit."""
        self.kept |= {number: offset for number, (offset, _) in positions.items()}
        return True


@pytest.fixture
def partition(tmp_path: Path) -> Iterator[Partition]:
    """Give a partition that has read nothing."""
    file = FactsFile(tmp_path / "facts-0", extend({}))
    file.reset("g")
    held = Partition(0, file, extend({}), "g")
    held.restore(0)
    yield held
    file.close()


def registry_of(partition: Partition, publisher: Publisher, member: Any) -> Any:
    """Give the stage that works a partition."""
    worker = WorkerSettings(name="w0", standby=False)
    loader: Any = SimpleNamespace(progress=Progress())
    stage: Any = RegistryStage(
        KafkaSettings(partitions=1), worker, publisher, loader, lambda: 1  # type: ignore[arg-type]
    )  # fmt: skip
    stage.member = member
    stage.partitions = {0: partition}
    return stage


def _no_slice(_: Partition) -> Generator[None, None, list[Any]]:
    """Have no time for any."""
    yield
    return []


async def test_what_is_not_acked_is_neither_saved_nor_committed(
    partition: Partition,
) -> None:
    """A process that dies meanwhile does it again."""
    publisher, member = Publisher(), Member()
    stage = registry_of(partition, publisher, member)
    working = asyncio.create_task(stage._work({0: facts()}))
    async with asyncio.timeout(30):
        await publisher.asked.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert (0, {}) == (partition.file.position, member.kept)
    publisher.acked.set()
    await working
    assert 6 == partition.file.position


async def test_a_commit_stays_below_what_is_not_listed_yet(
    partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is read and saved; who begins there lists the causes, at 3 and above."""
    publisher, member = Publisher(), Member()
    publisher.acked.set()
    stage = registry_of(partition, publisher, member)
    with monkeypatch.context() as busy:
        busy.setattr(Partition, "slices", _no_slice)
        await stage._work({0: facts()})
        await stage._commit(at_once=True)
    assert (6, 3) == (partition.file.position, member.kept[0])
    while partition.waiting:
        await stage._work({})
    await stage._commit(at_once=True)
    assert 6 == member.kept[0]


@pytest.mark.parametrize("again", [0, 2])
async def test_a_standby_applies_each_record_once_and_in_order(
    partition: Partition, again: int
) -> None:
    """What was fetched for an earlier assignment comes late, and is passed over."""
    loader: Any = SimpleNamespace(tailing=Progress())
    owner: Any = SimpleNamespace(assigned=frozenset())
    standby: Any = Standby(KafkaSettings(partitions=1), loader, owner, {})
    partition.standby = True
    standby.partitions = {0: partition}
    taken: list[int] = []
    take = partition.take

    def noted(records: list[Record]) -> None:
        taken.extend(each.offset for each in records)
        take(records)

    partition.take = noted  # type: ignore[assignment,method-assign]
    await standby._work({0: facts()[:4]})
    await standby._work({0: facts()[again:4]})
    await standby._work({0: facts()[4:]})
    assert [0, 1, 2, 3, 4, 5] == taken
    assert 6 == partition.position


def test_a_pruned_key_is_remembered_whatever_is_saved_after_it(tmp_path: Path) -> None:
    """The file still holds it: the next start reads the topic."""
    file = FactsFile(tmp_path / "facts-0", extend({}))
    file.reset("g")
    file.save([], [b"default/node/x"], 5, 5)
    file.save([], [], 9, 9)
    file.close()
    again = FactsFile(tmp_path / "facts-0", extend({}))
    assert ("", 9) == (again.genesis, again.position)
    again.close()
