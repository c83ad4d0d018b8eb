"""A worker without its files begins with the table of another one, or with the log."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, cast

import pytest
from aiokafka.structs import OffsetAndMetadata
from attrs import define, field

from agents_registry.facts import Distrust
from agents_registry.steps import finish
from schemas.codec import bundled
from streams.apps.builders.access import ConfigurationError
from streams.apps.worker import work
from streams.engines.kafka.checkpoints.checkpoint import FactsFile
from streams.engines.kafka.checkpoints.journal import DamagedError
from streams.engines.kafka.checkpoints.table_share import (
    TableShare,
    UnusableShareError,
)
from streams.engines.kafka.facts import recovery
from streams.engines.kafka.facts.recovery import Loader
from streams.engines.kafka.records.codec import Genesis, fact_record
from streams.pipeline import table_file
from streams.settings.kafka import KafkaSettings
from streams.settings.server import Settings
from streams.settings.worker import WorkerSettings
from tests.integration.test_kafka_checkpoint import (
    GENESIS,
    KINDS,
    NOW,
    Raw,
    records,
    rows,
    work_off,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streams.engines.kafka.client.group_consumer import GroupConsumer
    from streams.engines.kafka.facts.partition import Partition

pytestmark = pytest.mark.integration

KEY = b"k" * 32
LOG = records(range(60), 0)
KEPT, LATER = 80, len(LOG)


@define
class Member:
    """A worker's place in a group, and what the partition holds."""

    committed_at: int | None = KEPT
    end: int = LATER
    genesis: str = GENESIS
    fresh: set[int] = field(factory=lambda: {0})
    begun: list[int] = field(factory=list)

    async def committed(self, _: int) -> OffsetAndMetadata | None:
        """Give how far outputs were acked."""
        at = self.committed_at
        return None if at is None else OffsetAndMetadata(at, self.genesis)

    async def bounds(self, _: int) -> tuple[int, int]:
        """Give where the partition begins and ends."""
        return 0, self.end

    def begin(self, _: int, position: int) -> None:
        """Note from where it is read."""
        self.begun.append(position)


def genesis(of: str) -> Genesis:
    """Give the record that a log begins with."""
    return Genesis(genesis=of, created_at=1, partitions=1, partition=0, created_by="t")


@pytest.fixture(autouse=True)
def one_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the partition hold a log, whatever cluster there is."""

    async def read(_: KafkaSettings) -> dict[int, Genesis]:
        return {
            0: Genesis(
                genesis=GENESIS, created_at=1, partitions=1, partition=0, created_by="t"
            )
        }

    monkeypatch.setattr(recovery, "read_geneses", read)


def share(folder: Path, key: bytes = KEY) -> TableShare:
    """Give the place that all workers see."""
    return TableShare(str(folder / "tables"), key, "facts-")


async def loaded(
    folder: Path, member: Member, place: TableShare | None
) -> tuple[Partition, Loader]:
    """Load the partition as a worker does."""
    loader = Loader(KafkaSettings(partitions=1), folder, KINDS, {}, keep_after=1)
    loader.share = place
    found = await loader.load(cast("GroupConsumer", member), {})
    return found[0], loader


async def worked(folder: Path, end: int = KEPT, **more: Any) -> list[object]:
    """Have a worker read so far and leave its table; give that of the whole log."""
    place = share(folder)
    partition, loader = await loaded(folder / "first", Member(None, **more), place)
    work_off(partition, LOG[:end])
    partition.file.keep_after = 10**6
    partition.file.unkept = 1
    partition.keep(share=True)
    place._writer.shutdown()
    work_off(partition, LOG[end:])
    loader.close()
    return rows(partition)


async def test_a_worker_with_nothing_reads_only_what_follows(tmp_path: Path) -> None:
    """Its table is the same, and so it is after a restart from its own files."""
    before = await worked(tmp_path)
    member = Member()
    partition, loader = await loaded(tmp_path / "second", member, share(tmp_path))
    assert [KEPT] == member.begun
    work_off(partition, LOG[KEPT:])
    assert before == rows(partition)
    partition.keep()
    loader.close()

    again, loader = await loaded(tmp_path / "second", Member(LATER), None)
    assert (before, LATER) == (rows(again), again.position)
    loader.close()


def listing(partition: Partition, some: list[Raw]) -> Counter[str]:
    """Apply records; give what they condemned."""
    found: Counter[str] = Counter()
    partition.take(some)
    while partition.waiting:
        listed = finish(partition.slices())
        found.update(str(each.identifier) for of in listed for each in of.slice[0])
        partition.finish(listed)
    return found


async def test_what_may_not_have_been_listed_is_listed(tmp_path: Path) -> None:
    """The table is ahead of what its worker had acked."""
    before = await worked(tmp_path)
    member = Member(committed_at=30)
    partition, loader = await loaded(tmp_path / "second", member, share(tmp_path))
    assert [30] == member.begun
    told = listing(partition, LOG[30:])
    assert before == rows(partition)
    loader.close()

    partition, loader = await loaded(tmp_path / "third", Member(committed_at=30), None)
    assert told == listing(partition, LOG)
    assert told.total() > 2
    loader.close()


async def test_the_facts_below_are_not_in_its_files(tmp_path: Path) -> None:
    """A table that is built anew needs them: the next start reads the log, for good."""
    await worked(tmp_path)
    partition, loader = await loaded(tmp_path / "second", Member(), share(tmp_path))
    distrust = Distrust(
        authority="operators", version=NOW, received_at=NOW, suspect="v",
        suspect_key="", received_from=0, received_to=NOW,
    )  # fmt: skip
    record = fact_record("default", distrust, 1)
    partition.take([Raw(KEPT, record.key, record.value)])
    with pytest.raises(DamagedError):
        finish(partition.rebuild())
    loader.close()

    member = Member()
    partition, loader = await loaded(tmp_path / "second", member, share(tmp_path))
    assert [0] == member.begun
    assert not partition.realms
    loader.close()


async def test_files_that_lost_their_table_begin_with_another_one(
    tmp_path: Path,
) -> None:
    """The journal alone would make a table of what came later; or all is read."""
    before = await worked(tmp_path)
    partition, loader = await loaded(tmp_path / "second", Member(), share(tmp_path))
    work_off(partition, LOG[KEPT : KEPT + 5])
    loader.close()
    (tmp_path / "second" / "facts-0.snapshot").unlink(missing_ok=True)

    partition, loader = await loaded(tmp_path / "second", Member(), share(tmp_path))
    work_off(partition, LOG[partition.position :])
    assert before == rows(partition)
    loader.close()
    (tmp_path / "second" / "facts-0.snapshot").unlink(missing_ok=True)
    member = Member()
    partition, loader = await loaded(tmp_path / "second", member, None)
    assert ([0], {}) == (member.begun, partition.realms)
    loader.close()


def flipped(folder: Path) -> TableShare:
    """Change one byte."""
    path = folder / "tables" / "facts-facts-0.table"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return share(folder)


def truncated(folder: Path) -> TableShare:
    """Leave the end out."""
    path = folder / "tables" / "facts-facts-0.table"
    path.write_bytes(path.read_bytes()[:-20])
    return share(folder)


def of_a_stranger(folder: Path) -> TableShare:
    """Have another key."""
    return share(folder, b"s" * 32)


def of_another_partition(folder: Path) -> TableShare:
    """Put a table in the place of another one."""
    path = folder / "tables" / "facts-facts-0.table"
    path.rename(folder / "tables" / "others-facts-0.table")
    return TableShare(str(folder / "tables"), KEY, "others-")


def away(folder: Path) -> TableShare:
    """Have none."""
    return TableShare(str(folder / "elsewhere"), KEY, "facts-")


@pytest.mark.parametrize(
    "lie", [flipped, truncated, of_a_stranger, of_another_partition, away]
)
async def test_a_table_that_no_worker_wrote_there_is_left(
    tmp_path: Path, lie: Callable[[Path], TableShare]
) -> None:
    """Every fact is read."""
    before = await worked(tmp_path)
    await reads_all(tmp_path, Member(), lie(tmp_path), before)


@pytest.mark.parametrize(
    "member",
    [Member(end=KEPT - 1), Member(committed_at=None), Member(genesis="another")],
    ids=["beyond the end", "no group", "commit of another log"],
)
async def test_a_table_that_cannot_be_continued_is_left(
    tmp_path: Path, member: Member
) -> None:
    """Its offset says nothing here, or nobody knows what was listed."""
    before = await worked(tmp_path)
    await reads_all(tmp_path, member, share(tmp_path), before)


async def test_a_table_of_another_log_or_version_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is where it lies on the own disk."""
    before = await worked(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_file, "CODE", "newer")
        await reads_all(tmp_path / "b", Member(), share(tmp_path), before)

    async def renewed(_: KafkaSettings) -> dict[int, Genesis]:
        return {
            0: Genesis(
                genesis="g2", created_at=1, partitions=1, partition=0, created_by="t"
            )
        }

    monkeypatch.setattr(recovery, "read_geneses", renewed)
    await reads_all(tmp_path, Member(genesis="g2"), share(tmp_path), before)


async def reads_all(
    folder: Path, member: Member, place: TableShare, before: list[object]
) -> None:
    """Have a worker with nothing read the log from its start."""
    partition, loader = await loaded(folder / "second", member, place)
    assert [0] == member.begun
    assert not partition.realms
    work_off(partition, LOG)
    assert before == rows(partition)
    loader.close()


async def test_a_table_with_a_hole_or_with_what_was_pruned_is_not_given(
    tmp_path: Path,
) -> None:
    """Others would believe to have all, and never forget."""
    newer = LOG[3]
    assert newer.value is not None
    hole = Raw(3, newer.key, newer.value[:1] + b"\xff" * 4 + newer.value[5:])
    for at, record in enumerate((hole, Raw(3, LOG[1].key, None))):
        place = share(tmp_path)
        folder = tmp_path / str(at)
        partition, loader = await loaded(folder, Member(None), place)
        work_off(partition, [*LOG[:3], record], save=True)
        partition.file.unkept = 1
        partition.keep(share=True)
        loader.close()
        place._writer.shutdown()
        assert (folder / "facts-0.snapshot").exists()
        assert share(tmp_path).get("facts-0") is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"tables": "nothing-like-this://x"}, "TABLES_KEY: name the file of a key"),
        ({"tables": "x", "tables_key": "away"}, "TABLES_KEY: away: No such file"),
        ({"tables": "x", "tables_key": "short"}, "shorter than 32 bytes"),
        ({"tables": "nothing-like-this://x", "tables_key": "key"}, "not known"),
    ],
    ids=["no key", "no file", "short key", "no such store"],
)
async def test_a_share_that_cannot_be_used_is_refused_at_the_start(
    tmp_path: Path,
    given: dict[str, str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With what to do."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short").write_text("short", "utf-8")
    (tmp_path / "key").write_bytes(KEY)
    worker = WorkerSettings(data_dir=tmp_path, **cast("Any", given))
    with pytest.raises(ConfigurationError, match=told):
        await work(Settings(), KafkaSettings(), worker, clock=lambda: 1)


def test_who_lacks_fsspec_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra."""
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    with pytest.raises(UnusableShareError, match="fsspec"):
        TableShare("x", KEY, "")


def test_all_of_it_is_read_by_the_bundled_codec() -> None:
    """The log of these tests is one that a worker wrote."""
    assert all(bundled().fact(each.value or b"") is not None for each in LOG)


def test_a_file_that_began_amid_a_log_says_so(tmp_path: Path) -> None:
    """Also to who opens it again without a table."""
    file = FactsFile(tmp_path / "facts-0", KINDS)
    assert file.lacks_table()
    file._journal.reset(GENESIS, 7)
    file.close()
    file = FactsFile(tmp_path / "facts-0", KINDS)
    assert file.lacks_table()
    with pytest.raises(DamagedError):
        list(file.rows())
    file.close()
