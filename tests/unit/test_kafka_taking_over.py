"""Who takes a partition of accesses up without its file goes on from what was told.

`World` is two workers in turn over one topic of accesses and one of findings.
"""

from __future__ import annotations

from contextlib import ExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from agents_registry.facts import Cause, Effect, Fact, Node
from agents_registry.identifiers import Identifier, extend
from agents_registry.registry import Registry
from agents_registry.steps import finish
from streams.engines.kafka import finding_records
from streams.engines.kafka.checkpoints.uses_file import UsesFile
from streams.engines.kafka.finding_records import Held, read_episodes
from streams.engines.kafka.records.accesses import (
    access_records,
    read_access,
    signal_records,
)
from streams.engines.kafka.records.outputs import finding_record
from streams.engines.kafka.sentinel.owned_partition import OwnedPartition
from streams.model.findings import FindingKind
from streams.pipeline.realm import Realm
from streams.settings.kafka import KafkaSettings
from streams.stages.access.uses import AccessEvent
from streams.stages.ingest.ingress import Origin
from streams.stages.registry.cascade import Cascade
from streams.stages.sentinel.episode import Episode
from streams.stages.sentinel.episodes import KEPT
from streams.stages.sentinel.points import EnforcementPoints
from streams.stages.sentinel.prior_findings import PriorFindings
from streams.stages.sentinel.tolerances import Tolerances

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from streams.engines.kafka.records.codec import Outgoing
    from streams.engines.kafka.records.poison import Poison
    from streams.pipeline.access_records import AccessRecord

pytestmark = pytest.mark.unit

S = 10**9
DAY = 86_400 * S
SILENCE = 3600 * S
START = 20_000 * DAY
TOKEN = Identifier("vault.accessor", "t")
OTHER = Identifier("vault.accessor", "o")
SETTINGS = KafkaSettings(partitions=1, access_partitions=1)


@define
class World:
    """The topics, the tables that facts made, and the worker of now.

    Attributes:
        told: the records of findings, with the times of the broker.
        ids: of findings, in the order in which they were told first.
    """

    folder: Path
    files: ExitStack
    now: int = START
    realm: Realm = field(factory=lambda: Realm(Cascade(extend({}))))
    points: EnforcementPoints = field(factory=EnforcementPoints)
    accesses: list[AccessRecord | Poison] = field(factory=list)
    told: list[tuple[Outgoing, int]] = field(factory=list)
    worker: OwnedPartition = field(init=False)
    end: int = 0

    def __attrs_post_init__(self) -> None:
        """Declare two tokens, revoke one, and start the first worker."""
        self.worker = self.start()
        for node in (TOKEN, OTHER):
            self.tell(Node(**self.said, node=node, issued_at=1))
        self.revoke(TOKEN)

    @property
    def said(self) -> dict[str, Any]:
        """Give who speaks, and when."""
        return {"authority": "v", "version": self.now, "received_at": self.now}

    @property
    def ids(self) -> list[str]:
        """Give the ids of findings, in the order in which they were told first."""
        return list(dict.fromkeys(e.finding.id for e in self.last()))

    def last(self) -> list[Episode]:
        """Give the findings as they were told last."""
        found = []
        for held in self.held(0):
            assert held is not None
            found.append(held.episode)
        return found

    def held(self, now: int) -> list[Held | None]:
        """Give what a next owner takes of each finding, by the time that it takes."""
        last = {record.key: as_fetched(0, record, at) for record, at in self.told}
        return [finding_records._held(each, now) for each in last.values()]

    def tell(self, fact: Fact) -> None:
        """Apply a fact."""
        self.realm.apply(fact, self.end)
        self.end += 1

    def revoke(self, token: Identifier, at: int = 0) -> None:
        """End a token."""
        cause = Cause(
            **self.said, target=token, effect=Effect.REVOKE, at=at or self.now
        )
        self.tell(cause)
        finish(self.worker.reconsider("default", [token], self.now))
        self.write()

    def use(self, token: Identifier = TOKEN, event_id: str | None = None) -> None:
        """Let a token in now."""
        self.now += S
        use = AccessEvent((token,), "door", "allowed", self.now, event_id)
        origin = Origin("vault", "default", self.now, "k", 1)
        (record,) = access_records([use], origin, 0, 1, "f")
        self._read(record)

    def signal(self, kind: FindingKind, **more: Any) -> None:
        """Have ingress say something of a token."""
        self.now += S
        signal = {"kind": kind.value, "presented": [*TOKEN], "at": self.now, **more}
        origin = Origin("vault", "default", self.now, "k", 1)
        (record,) = signal_records([signal], origin, 1, "f")
        self._read(record)

    def _read(self, record: Outgoing) -> None:
        self.accesses.append(read_access(record.value, record.headers))
        finish(
            self.worker.advance([(len(self.accesses) - 1, self.accesses[-1])], self.now)
        )
        self.write()

    def wait(self, span: int) -> None:
        """Let time pass."""
        self.now += span
        finish(self.worker.tidy(self.now))
        self.write()

    def write(self) -> None:
        """Publish and save what changed."""
        for each in self.worker.unsaved.findings():
            judged = self.worker.judged_of(each.finding)
            record = finding_record(each, 1, judged=judged)
            self.told.append((record, self.now))
        self.worker.save()

    def start(self) -> OwnedPartition:
        """Give a worker with an empty folder."""
        name = f"{len(list(self.folder.iterdir()))}.db"
        file = UsesFile(self.folder / name)
        self.files.callback(file.close)
        rules = Tolerances(0, 0, DAY, SILENCE)
        return OwnedPartition(
            file, rules, lambda _: self.realm, points_of=lambda _: self.points
        )

    def begin_from(
        self, told: Episode, below: int, *, judged: int = 0, target: int
    ) -> None:
        """Go on with another worker, from one finding and what it knew of."""
        self.worker = self.start()
        self.worker.judged, self.worker.target = judged, target
        self.worker.take([Held(told, below)])

    async def take_over(
        self, monkeypatch: pytest.MonkeyPatch, committed: int | None = None
    ) -> int:
        """Go on with another worker; give how many records it told by that.

        Args:
            monkeypatch: puts the topic of findings there.
            committed: what the last worker said that it had judged; by default, all.
        """
        records = [as_fetched(n, *each) for n, each in enumerate(self.told)]
        monkeypatch.setattr(finding_records, "reading", reader_of(records))
        found = await read_episodes(SETTINGS, [0], self.now, lambda: None)
        self.worker, before = self.start(), len(self.told)
        self.worker.judged = committed or len(self.accesses)
        self.worker.target = len(self.accesses)
        self.worker.take(found)
        assert finish(self.worker.restore(self.now))
        self.write()
        if self.accesses:
            finish(self.worker.advance(list(enumerate(self.accesses)), self.now))
            self.write()
        return len(self.told) - before


def as_fetched(offset: int, record: Outgoing, at: int) -> Any:
    """Give a record as the client does."""
    return SimpleNamespace(
        offset=offset, key=record.key, value=record.value, headers=record.headers,
        timestamp=at // 1_000_000,
    )  # fmt: skip


def reader_of(records: list[Any]) -> Any:
    """Give what opens a reader of one partition with these records."""

    class Reader:
        async def bounds(self, *_: object) -> tuple[int, int]:
            return 0, len(records)

        async def records(self, *_: object) -> AsyncIterator[Any]:
            for record in records:
                yield record

    @asynccontextmanager
    async def reading(_: object) -> AsyncIterator[Reader]:
        yield Reader()

    return reading


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Give a world whose files are closed in the end."""
    with ExitStack() as files:
        yield World(tmp_path, files)


async def test_what_was_told_is_not_told_again_and_is_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One was told and closed, the next one is open, and no id comes twice."""
    for _ in range(2):
        world.use()
    world.wait(SILENCE + S)
    world.use()
    assert [False, True] == [each.open for each in world.last()]

    assert 0 == await world.take_over(monkeypatch)
    world.use()
    assert (2, 2) == (len(world.ids), world.last()[1].finding.count)
    assert 0 == await world.take_over(monkeypatch)
    world.wait(SILENCE + S)
    assert [False, False] == [each.open for each in world.last()]
    world.use()
    assert (3, True) == (len(world.ids), world.last()[2].open)


async def test_a_restart_after_that_goes_on_from_the_new_file(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was taken over lies in it, though none of it was told anew."""
    world.use()
    await world.take_over(monkeypatch)
    file = world.worker.file
    world.worker = OwnedPartition(
        file, Tolerances(0, 0, DAY, SILENCE), lambda _: world.realm
    )
    assert finish(world.worker.restore(world.now))
    world.wait(SILENCE + S)

    assert [False] == [each.open for each in world.last()]


@pytest.mark.parametrize("event_id", [None, "e"])
async def test_what_was_condemned_since_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch, event_id: str | None
) -> None:
    """A use of before, of a token that was revoked while nobody watched."""
    world.use()
    world.use(OTHER, event_id)
    ended = Cause(**world.said, target=OTHER, effect=Effect.REVOKE, at=START)
    world.tell(ended)

    assert 1 == await world.take_over(monkeypatch)
    assert [TOKEN, OTHER] == [each.finding.presented for each in world.last()]


async def test_ids_tell_uses_apart_that_times_do_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A use between two that were told was not told: it has an id of its own."""
    world.use(event_id="a")
    between = world.now + S
    world.now += S
    world.use(event_id="c")
    use = AccessEvent((TOKEN,), "door", "allowed", between, "b")
    origin = Origin("vault", "default", world.now, "k", 1)
    (record,) = access_records([use], origin, 0, 1, "f")
    world.accesses.append(read_access(record.value, record.headers))

    assert 1 == await world.take_over(monkeypatch)
    (told,) = world.last()
    assert ("a", "c", "b") == told.finding.event_ids


@pytest.mark.parametrize("event_id", [None, "e{}"])
async def test_what_was_told_and_not_committed_is_counted_once(
    world: World, monkeypatch: pytest.MonkeyPatch, event_id: str | None
) -> None:
    """A worker died between the acks and the commit, with one finding not written."""
    world.use()
    world.use(OTHER)
    for number in range(2):
        world.use(event_id=event_id and event_id.format(number))
    world.use(OTHER)
    world.revoke(OTHER, at=START)
    world.told.pop()

    assert 1 == await world.take_over(monkeypatch, committed=1)
    assert [3, 2] == [each.finding.count for each in world.last()]
    assert 0 == await world.take_over(monkeypatch, committed=3)
    assert [3, 2] == [each.finding.count for each in world.last()]


async def test_who_dies_while_catching_up_leaves_no_file_to_go_on_from(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would count again what was told above the commit."""
    for _ in range(3):
        world.use()
    accesses, world.accesses = world.accesses, world.accesses[:2]
    await world.take_over(monkeypatch, committed=1)
    caught_up = world.worker.file.position
    world.accesses = accesses
    world.begin_from(world.last()[0], len(accesses), judged=1, target=len(accesses))
    finish(world.worker.advance([(0, accesses[0]), (1, accesses[1])], world.now))
    world.write()

    assert (2, None) == (caught_up, world.worker.file.position)
    finish(world.worker.advance([(2, accesses[2])], world.now))
    world.write()
    assert (3, 3) == (world.worker.file.position, world.last()[0].finding.count)


@pytest.mark.parametrize("event_id", [None, "e{}"])
async def test_what_is_told_anew_while_catching_up_knows_no_less(
    world: World, monkeypatch: pytest.MonkeyPatch, event_id: str | None
) -> None:
    """One closes while older lines are judged again; then its owner dies as well."""
    for number in range(3):
        world.use(event_id=event_id and event_id.format(number))
    (told,) = world.last()
    world.begin_from(told, 3, judged=1, target=3)
    finish(world.worker.advance([(0, world.accesses[0])], world.now))
    world.wait(SILENCE + S)

    assert 0 == await world.take_over(monkeypatch, committed=1)
    assert [(3, False)] == [(e.finding.count, e.open) for e in world.last()]


async def test_what_was_told_of_another_log_ends_by_this_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The topic of accesses was made anew, and nobody judged a line of it."""
    silent = FindingKind.SOURCE_SILENT
    for _ in range(3):
        world.signal(silent)
    (told,) = world.last()
    world.accesses.clear()
    world.begin_from(told, 3, target=1)
    world.signal(silent, over=True)

    assert [False] == [each.open for each in world.last()]


async def test_what_is_over_ends_while_older_lines_are_judged_again(
    world: World,
) -> None:
    """What holds for those lines holds for nothing else meanwhile."""
    world.signal(FindingKind.LEAK)
    world.signal(FindingKind.LEAK)
    (told,) = world.last()
    told.touched = world.now
    world.begin_from(told, 2, judged=2, target=2)
    finish(world.worker.advance([(0, world.accesses[0])], world.now))
    world.wait(S)

    assert [False] == [each.open for each in world.last()]


async def test_what_ended_and_was_not_told_ends_when_it_is_judged_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who died had judged it, and another finding knows that."""
    silent = FindingKind.SOURCE_SILENT
    world.signal(silent)
    world.signal(silent, over=True, at=world.now)
    world.told.pop()
    world.use()

    await world.take_over(monkeypatch, committed=1)
    assert [False, True] == [each.open for each in world.last()]


async def test_a_lag_that_was_told_still_becomes_a_failure(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, and by a receipt that comes after the partition was taken over."""
    world.points.registered("door", START, enforces=True)
    world.use()
    await world.take_over(monkeypatch)
    world.points.applied("door", world.end, START + S // 2)
    kinds = []
    for _ in range(2):
        finish(world.worker.recheck("default", ["door"], world.now))
        world.write()
        kinds.append([each.finding.kind.value for each in world.last()])
        await world.take_over(monkeypatch)

    assert [["enforcement_lag", "enforcement_failure"]] * 2 == kinds
    assert [1, 1] == [each.finding.count for each in world.last()]


async def test_what_ended_before_ends_nothing_that_came_after(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source was silent, was back, and is silent again."""
    silent = FindingKind.SOURCE_SILENT
    world.signal(silent)
    over = {"kind": silent.value, "presented": [*TOKEN], "over": True}
    sentinel = world.worker.sentinel("default")
    world.now += S
    outputs = finish(sentinel.report([over | {"at": world.now}], Registry(), world.now))
    world.worker.unsaved.add("default", outputs)
    world.write()
    world.signal(silent)
    assert [False, True] == [each.open for each in world.last()]

    assert 0 == await world.take_over(monkeypatch)
    assert [(TOKEN, silent)] == world.worker.sentinel("default").episodes.open_ones()


def test_what_is_long_closed_leaves_the_file(world: World) -> None:
    """Its id comes never again: it holds the day."""
    for _ in range(2):
        world.use()
        world.wait(SILENCE + S)
        world.wait(KEPT)
        world.wait(SILENCE + S)
        assert [] == world.worker.file.episodes()

    assert [0, 0] == [each.reopened for each in world.last()]


async def test_what_is_long_closed_is_left_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is what cannot be read: the start is bounded, and nothing stops it."""
    world.use()
    world.wait(SILENCE + S)
    world.now += KEPT + S
    world.use(OTHER)
    world.revoke(OTHER, at=START)
    broken = as_fetched(9, world.told[-1][0], world.now)
    broken.key, broken.value = b"default/broken", b"?"
    records = [as_fetched(n, *each) for n, each in enumerate(world.told)]
    monkeypatch.setattr(finding_records, "reading", reader_of([*records, broken]))
    found = await read_episodes(SETTINGS, [0], world.now, lambda: None)

    assert [OTHER] == [each.episode.finding.presented for each in found]


async def test_to_forget_what_was_told_is_caught(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test that knows the rule fails where each use that is judged again is new."""
    monkeypatch.setattr(PriorFindings, "kind_of", lambda *_: None)

    with pytest.raises(AssertionError):
        await test_what_was_told_is_not_told_again_and_is_ended(world, monkeypatch)


async def test_to_trust_the_commit_alone_is_caught(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test of a crash between acks and commit fails where findings do not say."""
    monkeypatch.setattr(finding_records, "JUDGED", "nowhere")

    with pytest.raises(AssertionError):
        await test_what_was_told_and_not_committed_is_counted_once(
            world, monkeypatch, "e{}"
        )


async def test_to_take_all_findings_for_as_new_is_caught(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test of an end that was not told fails where one speaks for all."""
    monkeypatch.setattr(PriorFindings, "knew", lambda *_: True)

    with pytest.raises(AssertionError):
        await test_what_ended_and_was_not_told_ends_when_it_is_judged_again(
            world, monkeypatch
        )
