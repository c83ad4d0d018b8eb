"""What a notify process reads, commits and says of itself, without a broker."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import InconsistentGroupProtocolError
from attrs import define, field

from streams.engines.kafka.client import internals
from streams.engines.kafka.client.group_consumer import GroupConsumer
from streams.engines.kafka.client.group_holders import PartitionHolder
from streams.engines.kafka.notify import intake as product
from streams.engines.kafka.notify.intake import FindingsIntake
from streams.engines.kafka.notify.process import NotifyProcess
from streams.settings.kafka import KafkaSettings
from streams.settings.notify import NotifySettings

pytestmark = pytest.mark.unit

KAFKA = KafkaSettings(partitions=1)
GROUP = KAFKA.group("notify")
OURS, THEIRS = "notify-0", "notify-1"


@define
class Member:
    """A place in the group, over a log of one partition."""

    begin_offset: int = 0
    end: int = 0
    stored: int | None = None
    assigned: frozenset[int] = frozenset()
    fresh: set[int] = field(factory=set)
    assignments: int = 0
    kept: dict[int, int] = field(factory=dict)
    name: str = OURS
    lock: asyncio.Lock = field(factory=asyncio.Lock)
    refusing: bool = False
    leaves: Any = bool
    foreign: bool = False
    position: int = 0

    def give(self, *numbers: int) -> None:
        """Assign partitions, as a rebalance does."""
        self.assigned, self.fresh = frozenset(numbers), set(numbers)
        self.assignments += 1
        self.kept.clear()

    @property
    def begun(self) -> frozenset[int]:
        """Partitions that are read."""
        return self.assigned - self.fresh

    async def bounds(self, _: int) -> tuple[int, int]:
        """Give where the log begins and ends."""
        return self.begin_offset, self.end

    async def committed(self, _: int) -> Any:
        """Give what the group committed."""
        return None if self.stored is None else SimpleNamespace(offset=self.stored)

    def begin(self, number: int, position: int) -> None:
        """Read from a position on."""
        self.position = position
        self.fresh.discard(number)
        self.kept.setdefault(number, position)

    async def poll(self, _: float) -> dict[int, list[Any]]:
        """Read what lies there."""
        if self.foreign:
            raise InconsistentGroupProtocolError
        if 0 not in self.begun or self.position >= self.end:
            return {}
        found = [record(n) for n in range(self.position, self.end)]
        self.position = self.end
        return {0: found}

    def commit_due(self, _: float) -> bool:
        """Commit at once."""
        return True

    async def commit(self, positions: dict[int, tuple[int, str]]) -> bool:
        """Keep what is committed, or refuse it."""
        if self.refusing:
            return False
        for number, (offset, _) in positions.items():
            self.stored = self.kept[number] = offset
        return True


def record(offset: int) -> Any:
    """Give a record of the client."""
    return SimpleNamespace(
        partition=0, offset=offset, timestamp=1, value=b"", headers=()
    )


@define
class Inbox:
    """Keeps what it is handed; a test settles it."""

    taken: list[Any] = field(factory=list)
    turned_at: float = 1.0
    waiting: int = 0
    owed: int = 0
    stopped: bool = False
    restarted: int = 0
    forgotten: list[dict[int, int]] = field(factory=list)

    def stop(self) -> None:
        """Begin no more."""
        self.stopped = True

    async def take(self, each: Any) -> None:
        """Keep a record."""
        self.taken.append(each)

    def restart(self, _: frozenset[int]) -> None:
        """Forget all."""
        self.restarted += 1
        self.taken.clear()

    def forget(self, committed: dict[int, int]) -> None:
        """Keep what need not be known any more."""
        self.forgotten.append(committed)


@define
class Parts:
    """An intake between a place in the group and an inbox."""

    member: Member
    inbox: Inbox = field(factory=Inbox)
    process: NotifyProcess = field(init=False)
    consumer: GroupConsumer = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Put them together."""
        inbox: Any = self.inbox
        intake = FindingsIntake(KAFKA, NotifySettings(name=OURS), inbox)
        self.consumer, intake.member = intake.member, cast("Any", self.member)
        nothing: Any = SimpleNamespace(fault=None)
        self.process = NotifyProcess(
            KAFKA, nothing, inbox, nothing, intake, nothing, nothing
        )
        self.process.outlook._answered_at = 0.0

    def held_by(self, name: str) -> None:
        """Have the group say who has the one partition."""
        self.process.outlook.holders[GROUP] = {0: PartitionHolder("id", name, "node")}

    async def turn(self) -> bool:
        """Come round once; tell whether it is ready."""
        await self.process.intake._turn()
        return "notify" not in self.process.waiting(1.0)


async def test_the_commit_waits_for_the_first_that_is_not_settled() -> None:
    """And passes what was settled before it, in whatever order."""
    parts = Parts(Member(end=4))
    parts.member.give(0)
    await parts.turn()
    assert (None, 4) == (parts.member.stored, len(parts.inbox.taken))
    for number in (3, 1):
        parts.inbox.taken[number].ack()
    await parts.turn()
    assert parts.member.kept == {0: 0}
    parts.inbox.taken[0].ack()
    await parts.turn()
    assert parts.member.stored == 2
    parts.inbox.taken[2].ack()
    await parts.turn()
    assert parts.member.stored == 4
    assert parts.inbox.forgotten == [{0: 2}, {0: 4}]


async def test_an_ack_from_before_a_rebalance_commits_nothing() -> None:
    """What it acked comes again, and is settled again."""
    parts = Parts(Member(end=2))
    parts.member.give(0)
    await parts.turn()
    (old, _) = parts.inbox.taken
    parts.member.give(0)
    await parts.turn()
    old.ack()
    await parts.turn()
    assert parts.member.stored is None
    assert [0, 1] == [each.offset for each in parts.inbox.taken]
    assert parts.inbox.restarted == 2


async def test_what_is_settled_is_committed_before_the_partitions_go() -> None:
    """Else whoever gets them tells it once more."""
    parts = Parts(Member(end=2))
    parts.member.give(0)
    await parts.turn()
    parts.inbox.taken[0].ack()
    assert not parts.inbox.stopped
    await parts.consumer.on_partitions_revoked([])
    assert parts.member.stored == 1
    assert parts.inbox.stopped


async def test_a_broker_that_is_slow_has_no_partition_kept_past_the_rebalance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else others deliver it meanwhile, too; a commit in hand counts as well."""
    monkeypatch.setattr(product, "REBALANCE_SECONDS", 0.3)
    member = FindingsIntake(KAFKA, NotifySettings(name=OURS), cast("Any", None)).member
    asked: list[Any] = []

    async def commit(offsets: Any) -> None:
        asked.append(offsets)
        await asyncio.Event().wait()

    place = TopicPartition(KAFKA.topic("findings"), 0)
    monkeypatch.setattr(internals, "member_id", lambda _: "m")
    member._consumer = SimpleNamespace(assignment=lambda: {place}, commit=commit)

    async def let_go() -> None:
        assert not await member.commit({0: (1, "")})

    member.let_go = let_go
    async with asyncio.timeout(5):
        async with member.lock:
            await let_go()
        await member.on_partitions_revoked([place])
    assert 2 == len(asked)
    options: dict[str, Any] = member._options
    heard, given = options["heartbeat_interval_ms"], options["rebalance_timeout_ms"]
    assert heard + 2 * 1000 * member._commit_seconds < given


async def test_a_commit_that_was_refused_is_done_later() -> None:
    """Nothing counts as committed that the group did not take."""
    parts = Parts(Member(end=1, refusing=True))
    parts.member.give(0)
    await parts.turn()
    parts.inbox.taken[0].ack()
    await parts.turn()
    assert (None, []) == (parts.member.stored, parts.inbox.forgotten)
    parts.member.refusing = False
    await parts.turn()
    assert parts.member.stored == 1


@pytest.mark.parametrize(
    ("stored", "begins"), [(None, 3), (4, 4), (1, 3), (9, 3)]
)  # a commit below the log, and one past its end
async def test_it_goes_on_where_the_group_committed(
    stored: int | None, begins: int
) -> None:
    """And at the beginning where there is no such place; nothing is left out."""
    parts = Parts(Member(begin_offset=3, end=6, stored=stored))
    parts.member.give(0)
    await parts.turn()
    assert [*range(begins, 6)] == [each.offset for each in parts.inbox.taken]


async def test_a_place_that_was_asked_for_under_another_assignment_is_not_taken() -> (
    None
):
    """Another process may have committed, and lost the partition again, meanwhile."""
    parts = Parts(Member(end=3))
    member = parts.member
    member.give(0)
    ask = member.committed

    async def moved(number: int) -> Any:
        place = await ask(number)
        if member.assignments == 1:
            member.give(0)
            member.stored = 2
        return place

    parts.process.intake.member = cast("Any", Moving(member, moved))
    await parts.turn()
    await parts.turn()
    assert [2] == [each.offset for each in parts.inbox.taken]


class Moving:
    """A member whose partitions move while it asks."""

    def __init__(self, member: Member, committed: Any) -> None:
        self._member = member
        self.committed = committed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._member, name)


async def test_is_ready_once_all_that_lay_there_is_taken() -> None:
    """And stays so while new findings come."""
    parts = Parts(Member(end=5))
    parts.member.give(0)
    parts.inbox.waiting = 5
    assert not await parts.turn()
    parts.inbox.waiting = 0
    assert await parts.turn()
    parts.member.end = 9
    parts.inbox.waiting = 4
    assert await parts.turn()


async def test_a_spare_is_ready_where_others_have_every_partition() -> None:
    """It has nothing to read and stands by; nobody is to start it anew for that."""
    parts = Parts(Member())
    parts.member.give()
    assert not await parts.turn()
    parts.held_by(THEIRS)
    assert await parts.turn()


async def test_who_has_nothing_while_nobody_reads_is_not_ready() -> None:
    """The group is being rearranged, or knows this process from before a restart."""
    parts = Parts(Member())
    parts.held_by(OURS)
    assert not await parts.turn()
    parts.process.outlook.holders[GROUP] = {}
    assert not await parts.turn()


async def test_a_spare_that_takes_over_reads_first() -> None:
    """That it was ready without partitions says nothing of what lies in them."""
    parts = Parts(Member(end=5))
    parts.held_by(THEIRS)
    assert await parts.turn()
    parts.member.give(0)
    parts.inbox.waiting = 5
    assert not await parts.turn()
    parts.inbox.waiting = 0
    assert await parts.turn()


async def test_it_stands_by_while_an_older_version_has_the_partitions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its members speak another protocol; then it takes over what they committed."""
    monkeypatch.setattr(product, "AGAIN_SECONDS", 0)
    parts = Parts(Member(end=3, foreign=True))
    parts.held_by("faust-0.15.3")
    assert await parts.turn()
    parts.member.foreign = False
    parts.member.stored = 1
    parts.member.give(0)
    await parts.turn()
    assert [1, 2] == [each.offset for each in parts.inbox.taken]


async def test_a_schema_that_came_later_is_asked_for_before_a_record_is_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the alerts of a newer worker would be dead letters."""
    parts, asked = Parts(Member(end=2)), list[tuple[int, int]]()

    async def learn(fetched: dict[int, list[Any]]) -> None:
        asked.extend((len(of), len(parts.inbox.taken)) for of in fetched.values())

    monkeypatch.setattr(product, "learn", learn)
    parts.member.give(0)
    await parts.turn()
    assert [(2, 0)] == asked
    assert 2 == len(parts.inbox.taken)
