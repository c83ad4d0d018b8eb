"""Partitions are all asked about before the first begins.

An answer of the broker stands behind the long poll of the partitions that began: a
worker that asks between two of them waits for half a second with each.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.structs import OffsetAndMetadata
from attrs import define, field

from agents_registry.identifiers import Identifier
from streams.engines.kafka.checkpoints.uses_file import UsesFile
from streams.engines.kafka.finding_records import Held
from streams.engines.kafka.ingress.raw import RawInput, RawTopic
from streams.engines.kafka.records.codec import access_partition_of
from streams.engines.kafka.sentinel import access_loader
from streams.engines.kafka.sentinel.sentinel import SentinelStage
from streams.engines.kafka.sentinel.writing import SentinelWriter
from streams.model.findings import FindingKind
from streams.settings.kafka import KafkaSettings
from streams.settings.worker import WorkerSettings
from streams.stages.closure.guard_names import GuardKeys
from streams.stages.sentinel.episode import Sighting
from streams.stages.sentinel.episodes import Episodes
from streams.stages.sentinel.tolerances import Tolerances
from tests.unit.test_kafka_closure import NOW

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
    from pathlib import Path

pytestmark = pytest.mark.unit

ALL = [0, 1, 2]
TOKEN = Identifier("vault.accessor", "t")


@define
class Member:
    """A membership that was just given some partitions."""

    lock: asyncio.Lock
    fresh: set[int] = field(factory=lambda: {*ALL})
    asked: list[int] = field(factory=list)
    begun: list[int] = field(factory=list)
    kept: OffsetAndMetadata | None = None
    kept_now: dict[int, tuple[int, str]] = field(factory=dict)
    end: int = 0
    assignments: int = 1

    @property
    def assigned(self) -> frozenset[int]:
        """Give all partitions."""
        return frozenset(ALL)

    async def bounds(self, number: int) -> tuple[int, int]:
        """Answer, and see what began before."""
        assert not self.begun
        self.asked.append(number)
        return 0, self.end

    async def committed(self, _: int) -> OffsetAndMetadata | None:
        """Say what was committed of each."""
        return self.kept

    async def since(self, _: int, __: int) -> int | None:
        """Say that all before offset 4 is old."""
        return min(4, self.end)

    async def commit(self, positions: dict[int, tuple[int, str]]) -> bool:
        """Take note of who has what."""
        self.kept_now = positions
        return True

    def begin(self, number: int, _: int) -> None:
        """Let a partition be read."""
        self.fresh.discard(number)
        self.begun.append(number)


def stage_in(folder: Path) -> SentinelStage:
    """Give a sentinel that has nothing."""
    nobody: Any = None
    loader: Any = SimpleNamespace(progress=None)  # of a replica that never runs
    return SentinelStage(
        KafkaSettings(), WorkerSettings(data_dir=folder), nobody, loader,
        clock=lambda: NOW, tolerances=Tolerances(0, 0, 0, 0), keys=GuardKeys({}),
    )  # fmt: skip


def topics_are(
    ends: dict[str, int],
    read: Callable[..., Awaitable[list[Held]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Have topics end somewhere, and findings be what is read of them."""

    class Reader:
        async def ends(self, name: str, numbers: Iterable[int]) -> dict[int, int]:
            return dict.fromkeys(numbers, ends[name])

    @asynccontextmanager
    async def reading(_: object) -> AsyncIterator[Reader]:
        yield Reader()

    monkeypatch.setattr(access_loader, "read_episodes", read)
    monkeypatch.setattr(access_loader, "reading", reading)


def facts_at(position: int, stage: SentinelStage) -> dict[int, Any]:
    """Have a sentinel know all facts below an offset."""
    every = range(KafkaSettings().partitions)
    facts: Any = {number: SimpleNamespace(position=position) for number in every}
    stage.replica.partitions = facts
    return dict(facts)


def joined(stage: Any, **more: Any) -> Member:
    """Have the group give a sentinel its partitions."""
    member = Member(stage.member.lock, **more)
    stage.member = stage._writer.member = stage._loader._member = member
    return member


async def take_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch, **more: Any
) -> tuple[SentinelStage, Member, list[int]]:
    """Have a sentinel take its partitions up; say of which it read the findings."""
    stage: Any = stage_in(folder)
    member = joined(stage, **more)
    anew: list[int] = []

    async def read(numbers: list[int]) -> dict[int, list[Any]]:
        anew.extend(numbers)
        return {}

    monkeypatch.setattr(stage._loader, "_read_told", read)
    await stage._loader.load()
    for each in stage.watched.values():
        each.file.close()
    return stage, member, anew


async def test_what_was_away_meanwhile_is_asked_about_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker had it while we asked: it judged and told of more."""
    stage: Any = stage_in(tmp_path)
    member = joined(stage, end=6)
    member.kept = OffsetAndMetadata(6, "worker-1")

    async def read(_: list[int]) -> dict[int, list[Any]]:
        if member.assignments == 1:
            member.assignments, member.end = 2, 10
            member.kept = OffsetAndMetadata(10, "worker-1")
        return {}

    monkeypatch.setattr(stage._loader, "_read_told", read)
    await stage._loader.load()
    assert [] == member.begun
    await stage._loader.load()
    for each in stage.watched.values():
        each.file.close()

    assert ALL == member.begun
    assert [(10, 10)] * 3 == [(e.judged, e.target) for e in stage.watched.values()]


async def test_who_takes_up_knows_as_much_as_who_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All facts of then are applied first, and the end of the lines is that of then."""
    stage: Any = stage_in(tmp_path)
    ends = {"facts": 5, "access": 3}

    async def read(*_: object) -> list[Held]:
        ends["facts"], ends["access"] = 7, 9  # while they are read
        return []

    topics_are(ends, read, monkeypatch)
    facts = facts_at(7, stage)
    facts[1].position = 6
    stage._loader.held = {0: SimpleNamespace(target=3)}
    taken = asyncio.create_task(stage._loader._read_told([0]))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(taken), 0.05)
    facts[1].position = 7
    async with stage.replica.turned:
        stage.replica.turned.notify_all()

    assert {0: []} == await taken
    assert stage._loader.held[0].target == 9


async def test_facts_that_do_not_come_are_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alert that comes twice is better than none."""
    stage: Any = stage_in(tmp_path)

    async def read(*_: object) -> list[Held]:
        return []

    topics_are({"facts": 7, "access": 9}, read, monkeypatch)
    monkeypatch.setattr(access_loader, "LEVEL_SECONDS", 0.01)
    facts_at(6, stage)
    stage._loader.held = {0: SimpleNamespace(target=3)}

    assert {0: []} == await stage._loader._read_told([0])


async def test_who_is_not_counted_on_takes_up_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next ones stand still too, until it has its place again."""
    stage: Any = stage_in(tmp_path)
    member = joined(stage)

    async def refuse(_: object) -> None:
        member.fresh.add(member.begun[-1])

    monkeypatch.setattr(stage._loader, "_read_told", lambda _: asyncio.sleep(0, {}))
    monkeypatch.setattr(stage._writer, "write", refuse)
    await stage._loader.load()
    for each in stage.watched.values():
        each.file.close()

    assert [0] == member.begun


@pytest.mark.parametrize("confirmed", [True, False])
async def test_who_stood_still_tells_nothing_before_the_group_confirms(
    confirmed: bool, tmp_path: Path
) -> None:
    """A frozen owner goes on in the middle, and another one has told more."""
    stage: Any = stage_in(tmp_path)
    held: list[int] = []
    sent: list[str] = []

    async def confirm() -> bool:
        return confirmed

    async def send(topic: str, _: object) -> list[object]:
        sent.append(topic)
        return []

    async def acks(_: object) -> None: ...

    member: Any = SimpleNamespace(
        begun=frozenset({0}), doubtful=True, confirm=confirm, hold=held.append
    )
    publisher: Any = SimpleNamespace(send=send, acks=acks)
    saved: list[int] = []
    watched: Any = SimpleNamespace(
        number=0,
        changed=True,
        save=lambda: saved.append(0),
        file=SimpleNamespace(room=SimpleNamespace(missing=False)),
        unsaved=SimpleNamespace(acted=tuple),
    )
    settings, worker = stage._settings, stage._worker
    await SentinelWriter(settings, worker, publisher, member, lambda: NOW).write(
        [watched]
    )

    topics = [stage._settings.topic(name) for name in ("findings", "dlq")]
    assert (sent, saved, held) == ((topics, [0], []) if confirmed else ([], [], [0]))


async def test_those_of_access(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentinel knows the place of each, and what it saved, before."""
    stage, member, anew = await take_up(tmp_path, monkeypatch)

    assert ALL == member.asked == member.begun == anew
    assert {*ALL} == stage.watched.keys()


@pytest.mark.parametrize(
    ("offset", "name", "trusted"),
    [
        (5, "worker-0", True),
        (6, "worker-0", True),
        (5, "", True),  # by an earlier version
        (5, "worker-1", False),  # whoever that is has told of more
        (7, "worker-0", False),  # the file is older than what we did
    ],
)
async def test_a_file_is_taken_up_by_who_committed_last(
    offset: int,
    name: str,
    trusted: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else what was told is read, and what can still be condemned is judged again."""
    for number in ALL:
        file = UsesFile(tmp_path / "sentinel" / f"access-{number}.db")
        file.save([], [], 6)
        file.close()
    kept = OffsetAndMetadata(offset, name)
    stage, member, anew = await take_up(tmp_path, monkeypatch, end=9, kept=kept)

    place = (6, 0) if trusted else (4, offset)
    assert [place] * 3 == [(e.position, e.judged) for e in stage.watched.values()]
    assert anew == ([] if trusted else ALL)
    # The next owner is told how far it was judged, not how far it is judged again.
    kept_now = (6 if trusted else offset, "worker-0")
    assert dict.fromkeys(ALL, kept_now) == member.kept_now


async def test_who_lost_its_folder_tells_all_that_nobody_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it lies in the topic."""
    kept = OffsetAndMetadata(2, "worker-0")
    stage, *_ = await take_up(tmp_path, monkeypatch, end=9, kept=kept)

    assert [(2, 2)] * 3 == [(e.position, e.judged) for e in stage.watched.values()]


async def test_those_of_a_raw_topic() -> None:
    """Ingress does the same."""
    nobody: Any = None
    raw: Any = RawInput(
        KafkaSettings(), RawTopic("idp", nobody, nobody, "", 1), "i0", nobody
    )
    member = raw._member = Member(raw._member.lock)
    await raw._begin()

    assert ALL == member.asked == member.begun


async def test_each_partition_gets_what_was_told_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By realm and point, and nothing that another stage told."""
    said: dict[str, Any] = {"presented": TOKEN, "first_seen": NOW, "last_seen": NOW}
    told = Episodes("r", 1)
    for kind, point in (("leak", "a"), ("leak", "b"), ("closure_partial", "a")):
        told.see(Sighting(kind=FindingKind(kind), point=point, **said), NOW)

    async def read(*_: object) -> list[Held]:
        return [Held(each, 0) for each in told._open.values()]

    topics_are({"facts": 0, "access": 0}, read, monkeypatch)
    number = access_partition_of("r", "a", 24)
    stage: Any = stage_in(tmp_path)
    facts_at(0, stage)
    stage._loader.held = {number: SimpleNamespace(target=0)}
    found = await stage._loader._read_told([number])

    assert access_partition_of("r", "b", 24) != number
    assert [("leak", "a")] == [
        (each.episode.finding.kind.value, each.episode.finding.point)
        for each in found[number]
    ]
