"""Receipts on Kafka as closure reads them: who is a member, and whose word counts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from attrs import define
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agents_registry.facts import Cause, Effect, fact_id
from agents_registry.identifiers import Identifier
from enforcement.kafka.receipts import LogReceipts
from enforcement.receipts import Terms
from enforcement.verdict import Mode
from schemas.codec import bundled
from streams.engines.kafka.closure.closure import ClosureStage
from streams.engines.kafka.closure.closure_partition import (
    ClosurePartition,
    Rules,
)
from streams.engines.kafka.closure.findings import episode_of
from streams.engines.kafka.closure.guard_registry import CEILING, KafkaGuardRegistry
from streams.engines.kafka.records.codec import fact_record
from streams.engines.kafka.records.outputs import finding_record
from streams.engines.kafka.records.receipts import UNPROVEN
from streams.engines.kafka.sentinel.receipt_log import KafkaReceiptLog
from streams.model.findings import FindingKind
from streams.model.times import DAY, SECOND
from streams.pipeline.closure import ClosureTally
from streams.settings.kafka import KafkaSettings
from streams.settings.worker import WorkerSettings
from streams.sinks import wording
from streams.stages.closure.closure import ProofState
from streams.stages.closure.guard_names import GuardKeys
from streams.stages.sentinel.episode import Episode
from tests.contract.closure_cases import MODES, ClosureCases, Transitions
from tests.unit.test_notify import a_finding

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from streams.stages.closure.results import Result
    from streams.stages.sentinel.evidence import PointEvidence

pytestmark = pytest.mark.unit

GENESIS = "g" * 32
REALM = "default"
LEASE = SECOND
DEADLINE = 30.0
DOUBTFUL = f"g{UNPROVEN}"
NOW = 1_700_000_000 * SECOND


@define
class Raw:
    """A record of a topic."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = 0  # ms


def cause(offset: int, name: str = "c", **more: Any) -> Raw:
    """Give a revocation as it lies in facts."""
    target = more.pop("target", Identifier("jwt.jti", f"{name}{offset}"))
    fact = Cause(
        authority="a", version=NOW, received_at=NOW, ingress_key="k",
        target=target, effect=Effect.REVOKE, at=NOW,
        **more,
    )  # fmt: skip
    record = fact_record(REALM, fact, 1)
    return Raw(offset, record.key, record.value)


class Guard:
    """A guard that writes receipts."""

    def __init__(
        self,
        name: str = "g",
        mode: Mode = Mode.FAIL_CLOSED,
        instance: str = "i",
        key: Ed25519PrivateKey | None = None,
        lease: int = LEASE,
    ) -> None:
        self.receipts = LogReceipts(
            (REALM, name, instance),
            Terms(lease, mode, {}),
            codec=bundled(),
            wall_clock=lambda: NOW,
            sign=None if key is None else key.sign,
        )

    def says(
        self, status: str, offset: int, applied: int = 0, genesis: str = GENESIS
    ) -> Raw:
        """Give the next receipt, and where it lies."""
        value = self.receipts.record(status, 0, (genesis, applied))
        return Raw(offset, self.receipts.key, value)


@define
class Partition:
    """A partition that is followed, and a clock."""

    keys: dict[str, Any] = attrs.Factory(dict)
    required: bool = False
    most: int = 5000
    now: int = 0
    tally: ClosureTally = attrs.Factory(ClosureTally)
    of: ClosurePartition = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Take it up."""
        keys = GuardKeys(self.keys, self.required)
        rules = Rules(
            DEADLINE,
            SECOND,
            keys,
            lambda: self.now,
            CEILING,
            self.most,
            {"api": ("ed*",), "mail": ("edge",)},
        )
        self.of = ClosurePartition(0, GENESIS, rules, self.tally)

    def hear(self, *records: Raw) -> None:
        """Apply receipts."""
        self.of.hear(records, records[-1].offset + 1)

    def read(self, record: Raw, end: int | None = None) -> str:
        """Read a cause and ask for the end of receipts; give its id."""
        assert self.of.read([record])
        self.of.ask(self.of.heard if end is None else end)
        ((identity, _),) = [
            each
            for each in self.of.realms[REALM].causes.offsets.items()
            if each[1] == record.offset
        ]
        return identity

    def state(self, identity: str) -> tuple[ProofState, int, tuple[str, ...]]:
        """Give state, how many applied, and the laggards."""
        list(self.of.step(NOW))
        found = self.of.result(REALM, identity, NOW)
        assert found is not None
        return found.outcome.state, found.outcome.applied, found.outcome.laggards


def test_a_cause_is_applied_by_a_larger_offset_alone() -> None:
    """A receipt says what the next fact will be, not what the last one was."""
    guard, partition = Guard(), Partition()
    partition.hear(guard.says("registered", 0))
    identity = partition.read(cause(7))
    partition.hear(guard.says("applied", 1, applied=7))
    assert partition.state(identity) == (ProofState.PENDING, 0, ("g",))
    partition.hear(guard.says("applied", 2, applied=8))
    assert partition.state(identity) == (ProofState.CLOSED, 1, ())


def test_the_members_are_those_below_the_end_that_was_asked_for_afterwards() -> None:
    """Receipts that are on their way still count; until then nothing is said."""
    partition = Partition()
    identity = partition.read(cause(7), end=2)
    partition.now = 10 * LEASE
    assert partition.state(identity)[0] is ProofState.PENDING
    edge, late = Guard("edge", Mode.FAIL_OPEN), Guard("late", Mode.FAIL_OPEN)
    partition.hear(edge.says("registered", 1))
    partition.hear(late.says("registered", 2))
    assert partition.state(identity) == (ProofState.PENDING, 0, ("edge",))
    partition.hear(edge.says("applied", 3, applied=8))
    assert partition.state(identity) == (ProofState.CLOSED, 1, ())


@define
class OnTopics:
    """A partition whose worker a test starts again; the topics stay."""

    facts: list[Raw] = attrs.Factory(list)
    receipts: list[Raw] = attrs.Factory(list)
    findings: dict[str, Any] = attrs.Factory(dict)
    guards: dict[str, Guard] = attrs.Factory(dict)
    transitions: Transitions = attrs.Factory(Transitions)
    now: int = 0
    committed: int = 0
    worker: Partition = attrs.field(init=False)
    points: KafkaReceiptLog = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Start a worker."""
        self._start()

    def _start(self) -> None:
        """Take the partition up, as the stage does."""
        self.worker = Partition(now=self.now)
        of = self.worker.of
        of.position, of.target = self.committed, len(self.facts)
        of.awaited = len(self.receipts)
        of.restore(filter(None, map(episode_of, self.findings.values())))
        of.read(self.facts[self.committed :])
        of.ask(of.awaited)
        of.hear(self.receipts, of.awaited)
        self.points = KafkaReceiptLog(
            KafkaSettings(),
            GuardKeys({}),
            {},
            lambda: NOW + self.now,
            lambda _: GENESIS,
        )
        self.points.hear(0, self.receipts)
        self._step()

    def _step(self) -> None:
        for episode in self.worker.of.step(NOW + self.now):
            self.transitions.take(episode.finding.presented, is_open=episode.open)
            self.findings[episode.finding.id] = _lying(finding_record(episode, 1))
        self.points._expire()

    def _heard(self, key: bytes, value: bytes | None) -> None:
        stamp = (NOW + self.now) // 10**6
        record = Raw(len(self.receipts), key, value, stamp)
        self.receipts.append(record)
        self.worker.hear(record)
        self.points.hear(0, [record])

    async def restart(self, *, saved: bool) -> None:
        """Have another worker take it up."""
        self._step()
        if saved:
            self.committed = self.worker.of.floor(NOW + self.now)
        self._start()

    async def says(
        self, guard: str, status: str, applied: int = 0, genesis: str = GENESIS
    ) -> None:
        """Write a receipt as the guard does."""
        if guard not in self.guards:
            self.guards[guard] = Guard(guard, Mode(MODES[guard].value))
        self.guards[guard].receipts._wall = lambda: NOW + self.now
        raw = self.guards[guard].says(status, 0, applied, genesis)
        self._heard(raw.key or b"", raw.value)

    async def removes(self, guard: str) -> None:
        """Write a record without a value, as the stage does."""
        self._heard(f"{REALM}/{guard}".encode(), None)

    async def revoke(self, name: str) -> str:
        """Write a cause, and ask for the end of the receipts."""
        offset = len(self.facts)
        target = Identifier("agent.id", name)
        self.facts.append(cause(offset, target=target, event_id=f"e{offset}"))
        return self.worker.read(self.facts[-1])

    async def wait(self, seconds: int) -> None:
        """Set the clocks."""
        self.now += seconds * SECOND
        self.worker.now = self.now
        self._step()

    async def state(self, identity: str) -> tuple[ProofState, tuple[str, ...]] | None:
        """Step, and look."""
        self._step()
        found = self.worker.of.result(REALM, identity, NOW + self.now)
        return None if found is None else (found.outcome.state, found.outcome.laggards)

    async def listed(
        self, before: int | None, limit: int, *, is_open: bool
    ) -> list[Result]:
        """Ask the worker's memory."""
        causes = self.worker.of.realms[REALM].causes
        clocks = self.now, NOW + self.now
        return causes.latest(before, limit, *clocks, is_open=is_open)

    def arrivals(self, offset: int) -> list[str]:
        """Ask the stage."""
        realm = self.worker.of.realms[REALM]
        return sorted(realm.roll.closure.arrivals.of(offset))

    async def told(self) -> list[tuple[str, bool]]:
        """Give what was written to the topic."""
        self._step()
        return self.transitions.told

    def evidence(self, guard: str, as_of: int, seconds: int) -> PointEvidence:
        """Ask the points that receipts tell."""
        found = self.points.points(REALM)
        return found.standing(guard, as_of, NOW + seconds * SECOND, 0)


class TestClosures(ClosureCases):
    """On topics, as records."""

    @pytest.fixture
    def followed(self) -> OnTopics:
        """Start with nothing."""
        return OnTopics()


async def test_what_was_there_at_a_take_over_is_not_counted_again() -> None:
    """Metrics add up over workers; what came after it is counted by the new one."""
    topics = OnTopics()
    await topics.says("open", "registered")
    await topics.revoke("a")
    await topics.says("open", "applied", 1)
    topics._step()
    assert {ProofState.CLOSED: 1} == topics.worker.tally.states

    await topics.restart(saved=False)
    await topics.revoke("b")
    await topics.says("open", "applied", 2)
    topics._step()

    assert {ProofState.CLOSED: 1} == topics.worker.tally.states


async def test_the_end_of_the_receipts_is_asked_for_after_the_cause_was_read() -> None:
    """A guard that registers in between serves from beyond the cause."""
    settings = KafkaSettings()
    waiting: list[int] = []
    nobody: Any = None
    partition = Partition()
    rules = Rules(DEADLINE, SECOND, GuardKeys({}), lambda: 0)
    stage = ClosureStage(settings, WorkerSettings(), nobody, lambda: NOW, rules)
    stage.followed[0] = partition.of

    async def ends(_: str, numbers: Collection[int]) -> dict[int, int]:
        waiting.append(partition.of.waiting)
        list(partition.of.step(NOW))
        waiting.append(partition.of.waiting)
        return dict.fromkeys(numbers, 0)

    asking: Any = SimpleNamespace(ends=ends)
    stage._asking = asking
    await stage._read({0: [cause(7)]})
    assert waiting == [1, 1]
    list(partition.of.step(NOW))
    assert partition.of.waiting == 0


def members_before_the_end(patch: pytest.MonkeyPatch) -> None:
    """Fix the members by what was heard so far."""
    right = ClosurePartition.ask
    patch.setattr(ClosurePartition, "ask", lambda of, _: right(of, of.heard))


def applied_by_the_cause_itself(patch: pytest.MonkeyPatch) -> None:
    """Count a receipt whose offset is the cause's."""
    right = KafkaGuardRegistry.take

    def take(roll: KafkaGuardRegistry, offset: int, receipt: Any, now: int) -> None:
        right(roll, offset, attrs.evolve(receipt, applied=receipt.applied + 1), now)

    patch.setattr(KafkaGuardRegistry, "take", take)


BUGS: dict[Callable[[pytest.MonkeyPatch], None], Callable[[], None]] = {
    members_before_the_end: (
        test_the_members_are_those_below_the_end_that_was_asked_for_afterwards
    ),
    applied_by_the_cause_itself: test_a_cause_is_applied_by_a_larger_offset_alone,
}


@pytest.mark.parametrize("plant", BUGS, ids=lambda bug: bug.__name__)
def test_a_wrong_line_is_caught(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """An assertion of the test fails, and nothing else."""
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        BUGS[plant]()


@pytest.mark.parametrize("status", ["applied", "registered"])
def test_a_guard_whose_registration_was_compacted_away_is_a_member(status: str) -> None:
    """Its last record lies above the end, but is not its first."""
    guard, partition = Guard(mode=Mode.FAIL_OPEN), Partition()
    guard.says("registered", 3)
    identity = partition.read(cause(7), end=5)
    partition.hear(guard.says(status, 9, applied=2))
    assert partition.state(identity) == (ProofState.PENDING, 0, ("g",))


def test_a_guard_that_is_not_heard_is_fenced_and_named() -> None:
    """After 1.1 leases from the reading; one that fails open never."""
    partition = Partition()
    partition.hear(Guard("shut").says("registered", 0))
    partition.hear(Guard("edge", Mode.FAIL_OPEN).says("registered", 1))
    identity = partition.read(cause(7))
    partition.now = 11 * LEASE // 10 - 1
    assert partition.state(identity)[2] == ("edge", "shut")
    partition.now += 1
    assert partition.state(identity) == (ProofState.PENDING, 0, ("edge",))
    partition.now = 40 * LEASE
    (episode,) = partition.of.step(NOW)
    assert "edge (at api, mail)" in episode.finding.message
    assert partition.state(identity)[0] is ProofState.PARTIAL
    assert list(partition.of.step(NOW)) == []


def test_a_fence_counts_as_the_time_that_it_took() -> None:
    """An outage looks as slow as it was, not fast."""
    partition = Partition()
    partition.hear(Guard("shut").says("registered", 0))
    identity = partition.read(cause(7))
    partition.now = 2 * LEASE
    assert partition.state(identity)[0] is ProofState.CLOSED

    (told,) = partition.tally.propagation.collect()
    (count,) = (s.value for s in told.samples if s.name.endswith("_count"))
    assert 1 == count


def test_the_finding_on_a_late_revocation_says_who_ended_it_and_why() -> None:
    """Without the table: the cause itself tells it."""
    edge, partition = Guard("edge", Mode.FAIL_OPEN), Partition()
    partition.hear(edge.says("registered", 0))
    partition.read(cause(7, actor="sam@acme.example", reason="INC-77"))
    partition.read(cause(8))
    partition.now = 40 * SECOND
    told = [each.finding for each in partition.of.step(NOW)]

    assert [("sam@acme.example", "a", "INC-77"), (None, "a", None)] == [
        (finding.ended_by, finding.authority, finding.reason) for finding in told
    ]
    text = "\n".join(wording.lines(told[0]))
    assert (
        "revoked at 2023-11-14 22:13:20 UTC by sam@acme.example (authority: a)." in text
    )
    assert "Owner: unknown (none is named, or was not looked up" in text


def test_who_takes_a_partition_up_ends_what_its_last_owner_told_of() -> None:
    """Also what was settled between; not before it has read what is open."""
    edge, before = Guard("edge", Mode.FAIL_OPEN), Partition()
    registered = edge.says("registered", 0)
    before.hear(registered)
    before.of.read([cause(7), cause(8)])
    before.of.ask(before.of.heard)
    before.now = 40 * SECOND
    kept = [_lying(finding_record(each, 1)) for each in before.of.step(NOW)]
    other = a_finding(kind=FindingKind.LEAK)
    assert episode_of(_lying(finding_record(Episode(other, 0, NOW), 1))) is None

    after = Partition()
    after.of.target, after.of.awaited = 9, 1
    after.of.restore(filter(None, map(episode_of, kept)))
    after.of.read([cause(7)])
    after.of.ask(1)
    assert list(after.of.step(NOW)) == []
    after.hear(registered)
    after.of.position = 9
    (gone,) = after.of.step(NOW)
    assert (gone.finding.presented.value, gone.open) == ("c8", False)
    after.hear(edge.says("applied", 1, applied=8))
    (over,) = after.of.step(NOW)
    assert (over.finding.presented.value, over.open, over.revision) == ("c7", False, 2)

    # The next one is another finding.
    after.of.read([attrs.evolve(cause(7), offset=12)])
    after.of.ask(after.of.heard)
    after.now = 80 * SECOND
    (new,) = after.of.step(NOW)
    assert (new.reopened, new.finding.id == over.finding.id) == (1, False)
    assert episode_of(_lying(finding_record(new, 1))) == new


def _lying(record: Any) -> Any:
    """Give a record as it lies in findings."""
    return SimpleNamespace(**attrs.asdict(record), timestamp=NOW // 10**6)


def test_two_processes_of_one_name_speak_for_nobody() -> None:
    """Until one of them is silent for ten leases, or says goodbye."""
    one, two = Guard(mode=Mode.FAIL_OPEN), Guard(mode=Mode.FAIL_OPEN, instance="j")
    partition = Partition()
    partition.hear(one.says("registered", 0), two.says("registered", 1))
    identity = partition.read(cause(7))
    partition.hear(one.says("applied", 2, applied=8))
    assert partition.state(identity) == (ProofState.PENDING, 0, ("g",))
    assert partition.tally.refused["name_in_use"] == 1
    partition.hear(two.says("goodbye", 3), one.says("applied", 4, applied=8))
    assert partition.state(identity) == (ProofState.CLOSED, 1, ())


def test_a_restart_without_goodbye_is_heard_after_ten_leases() -> None:
    """Nobody can tell it from a second process before."""
    partition = Partition()
    partition.hear(Guard(mode=Mode.FAIL_OPEN).says("registered", 0))
    again = Guard(mode=Mode.FAIL_OPEN, instance="j")
    partition.hear(again.says("registered", 1))
    identity = partition.read(cause(7))
    partition.now = 10 * LEASE - 1
    partition.hear(again.says("applied", 2, applied=8))
    assert partition.state(identity)[0] is ProofState.PENDING
    partition.now += 1
    partition.hear(again.says("applied", 3, applied=8))
    assert partition.state(identity) == (ProofState.CLOSED, 1, ())


def test_receipts_that_were_said_before_or_speak_of_another_log_do_not_count() -> None:
    """Nor one that cannot be read, which becomes a dead letter."""
    guard, partition = Guard(mode=Mode.FAIL_OPEN), Partition()
    partition.hear(guard.says("registered", 0))
    old = guard.says("applied", 1, applied=9)
    partition.hear(guard.says("applied", 2, applied=7))
    identity = partition.read(cause(7))
    partition.hear(attrs.evolve(old, offset=3))
    partition.hear(guard.says("applied", 4, applied=9, genesis="another"))
    partition.hear(Raw(5, b"default/g", b"poison"), attrs.evolve(old, key=b"default/h"))
    assert partition.state(identity) == (ProofState.PENDING, 0, ("g",))
    assert partition.tally.refused == {"repeated": 1, "other_log": 1, "unreadable": 2}
    assert len(partition.of.poison) == 2


def test_a_guard_with_a_key_proves_nothing_without_it() -> None:
    """It is waited for all the same: it may be the guard, with a wrong key."""
    key, wrong = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    for each in (None, wrong):
        partition = Partition(keys={"g": key.public_key()})
        guard = Guard(mode=Mode.FAIL_CLOSED, key=each)
        partition.hear(guard.says("registered", 0))
        identity = partition.read(cause(7))
        partition.hear(guard.says("applied", 1, applied=20), guard.says("goodbye", 2))
        assert partition.state(identity) == (ProofState.PENDING, 0, (DOUBTFUL,))
        partition.now = 11 * LEASE // 10
        assert partition.state(identity) == (ProofState.CLOSED, 0, ())


@pytest.mark.parametrize("lease", [LEASE, DAY])
def test_who_has_not_the_key_does_nothing_to_the_guard_that_has(lease: int) -> None:
    """No word of it counts for the guard, and none of the guard's is passed over."""
    key = Ed25519PrivateKey.generate()
    for named in ("g", "g*"):
        partition = Partition(keys={named: key.public_key()})
        real = Guard(mode=Mode.FAIL_CLOSED, key=key)
        other = Guard(mode=Mode.FAIL_OPEN, instance="j", lease=lease)
        partition.hear(real.says("registered", 0), other.says("registered", 1))
        identity = partition.read(cause(7))
        partition.hear(other.says("applied", 2, applied=20))
        assert partition.state(identity) == (ProofState.PENDING, 0, ("g", DOUBTFUL))
        partition.hear(real.says("applied", 3, applied=8))
        assert partition.state(identity) == (ProofState.PENDING, 1, (DOUBTFUL,))
        partition.hear(other.says("goodbye", 4))
        assert partition.of.realms[REALM].roll.closure.guards["g"].heard == 0

        partition.now = 11 * CEILING // 10

        partition.hear(real.says("applied", 5, applied=8))
        assert partition.state(identity) == (ProofState.CLOSED, 1, ())
        assert partition.tally.refused["unproven"] == 3
        assert partition.tally.refused["name_in_use"] == 0


def test_a_key_says_nothing_for_a_name_that_is_not_its_own() -> None:
    """The name itself goes before a pattern."""
    key, orders = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    keys = {"*": key.public_key(), "orders": orders.public_key()}
    for name, proven in (("orders", False), ("edge", True)):
        partition = Partition(keys=keys)
        partition.hear(Guard(name, key=key).says("registered", 0))
        expected = name if proven else f"{name}{UNPROVEN}"
        assert [expected] == [*partition.of.realms[REALM].roll.closure.guards]


@pytest.mark.parametrize("mode", [Mode.FAIL_CLOSED, Mode.FAIL_OPEN])
def test_a_phantom_with_a_lease_of_a_day_is_waited_for_to_the_ceiling(
    mode: Mode,
) -> None:
    """It proved nothing, however often it speaks; then it leaves."""
    partition, phantom = Partition(), Guard("phantom", mode, lease=DAY)
    partition.hear(phantom.says("registered", 0, genesis=""))
    identity = partition.read(cause(7))
    partition.now = 11 * CEILING // 10 - 1
    partition.hear(phantom.says("registered", 1, genesis=""))
    assert partition.state(identity) == (ProofState.PARTIAL, 0, ("phantom",))
    partition.now += 1
    assert partition.state(identity) == (ProofState.CLOSED, 0, ())
    assert partition.tally.refused["lease_too_long"] == 1
    partition.now += 10 * CEILING
    list(partition.of.step(NOW))
    assert not partition.of.realms[REALM].roll.closure.guards


@pytest.mark.parametrize("status", ["registered", "applied"])
def test_a_guard_that_fails_open_and_proved_something_is_waited_for(
    status: str,
) -> None:
    """Also where compaction left nothing but its last receipt."""
    partition, guard = Partition(), Guard(mode=Mode.FAIL_OPEN)
    guard.says("applied", 0)
    partition.hear(guard.says(status, 1, applied=3))
    identity = partition.read(cause(7))
    partition.now = DAY
    assert partition.state(identity) == (ProofState.PARTIAL, 0, ("g",))


def test_one_key_has_so_many_guards_and_no_more() -> None:
    """Each further name is refused, and a name that left makes room."""
    partition = Partition(most=2)
    several = [Guard(f"g{number}") for number in range(3)]
    partition.hear(*(g.says("registered", n) for n, g in enumerate(several)))
    guards = partition.of.realms[REALM].roll.closure.guards
    assert sorted(guards) == ["g0", "g1"]
    assert partition.tally.refused["too_many_names"] == 1
    partition.hear(several[0].says("goodbye", 3), several[2].says("registered", 4))
    assert sorted(guards) == ["g1", "g2"]


def test_where_all_must_sign_a_guard_without_a_key_proves_nothing() -> None:
    """As the settings say."""
    partition, guard = Partition(required=True), Guard()
    partition.hear(guard.says("registered", 0))
    partition.read(cause(7))
    partition.hear(guard.says("applied", 1, applied=8))
    assert [DOUBTFUL] == [*partition.of.realms[REALM].roll.closure.guards]


def test_a_finding_names_the_guard_in_whose_name_somebody_spoke() -> None:
    """Once a minute; the next owner goes on with the same finding."""
    partition = Partition(keys={"g": Ed25519PrivateKey.generate().public_key()})
    guard = Guard()
    partition.hear(*(guard.says("registered", number) for number in range(3)))
    (episode,) = partition.of.step(NOW)
    finding = episode.finding
    assert (finding.kind, finding.presented) == (
        FindingKind.UNAUTHORISED,
        Identifier("guard", "g"),
    )
    assert "guard_keys" in finding.message
    assert episode_of(_lying(finding_record(episode, 1))) == episode
    partition.hear(guard.says("registered", 3))
    assert list(partition.of.step(NOW)) == []
    partition.now = 60 * SECOND
    partition.hear(guard.says("registered", 4))
    (again,) = partition.of.step(NOW)
    assert (again.finding.id, again.finding.count) == (finding.id, 2)


def test_no_guard_can_be_called_as_one_that_proved_nothing() -> None:
    """Else what it applied would speak for that."""
    partition = Partition()
    partition.hear(Guard(DOUBTFUL).says("registered", 0))
    assert not partition.of.realms
    assert len(partition.of.poison) == 1


def test_a_byte_of_a_signed_receipt_cannot_be_changed() -> None:
    """Whatever it stands in."""
    key = Ed25519PrivateKey.generate()
    value = Guard(key=key).says("applied", 0, applied=5).value
    assert value is not None
    for place in range(len(value)):
        partition = Partition(keys={"g": key.public_key()})
        spoilt = value[:place] + bytes([value[place] ^ 1]) + value[place + 1 :]
        partition.hear(Raw(0, b"default/g", spoilt))
        members = (
            partition.of.realms[REALM].roll.closure.guards
            if (REALM in partition.of.realms)
            else {}
        )
        assert all(each.applied == 0 for each in members.values())


def test_the_next_owner_reads_from_the_first_open_cause() -> None:
    """And from what was settled a short while ago, so that it can be asked for."""
    guard, partition = Guard(mode=Mode.FAIL_OPEN), Partition()
    partition.hear(guard.says("registered", 0))
    for offset in (3, 5, 9):
        partition.read(cause(offset))
    assert partition.of.floor(NOW) == 3
    partition.hear(guard.says("applied", 1, applied=4))
    list(partition.of.step(NOW))
    assert partition.of.floor(NOW) == 3
    assert partition.of.floor(NOW + 3600 * SECOND) == 5
    partition.hear(guard.says("applied", 2, applied=10))
    list(partition.of.step(NOW))
    assert partition.of.floor(NOW + 3600 * SECOND) == 10


def test_an_id_is_that_of_the_fact() -> None:
    """What the answer to a revocation gives."""
    partition = Partition()
    record = cause(7)
    identity = partition.read(record)
    fact = Cause(
        authority="a", version=NOW, received_at=NOW, ingress_key="k",
        target=Identifier("jwt.jti", "c7"), effect=Effect.REVOKE, at=NOW,
    )  # fmt: skip
    assert identity == fact_id(fact).hex()
    assert partition.state(identity)[0] is ProofState.UNKNOWN
