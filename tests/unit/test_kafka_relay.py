"""What a relay holds of a log, how long it vouches for that, and whom it registers."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import orjson
import pytest
from attrs import define, field
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agents_registry.facts import Cause, Effect, Node
from agents_registry.identifiers import Identifier
from enforcement import turns
from schemas.codec import bundled
from streams.engines.kafka.client.batcher import NotAckedError
from streams.engines.kafka.records.codec import fact_record
from streams.engines.kafka.records.receipts import read_receipt
from streams.engines.kafka.relay.fed_log import RelayedLog
from streams.engines.kafka.relay.fed_replica import FedReplica
from streams.engines.kafka.relay.relayed_roll import RelayedRoll, Signing
from streams.model.times import SECOND
from streams.services.feed_frames import delta
from streams.services.intake import NotWrittenError
from streams.services.spread_tail import SpreadTail
from streams.settings.kafka import KafkaSettings
from streams.stages.closure.closure import GuardMode, Registration
from streams.stages.closure.guard_names import (
    Bearer,
    GuardKeys,
    NameRefusedError,
    SettledNames,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.engines.kafka.records.codec import Outgoing

pytestmark = pytest.mark.unit

MS = SECOND // 1000
LEASE = 1.0
KAFKA = KafkaSettings(partitions=1)
GENESIS = "g1"
PAY = Bearer("pay", ("pay-*",))


def fact(number: int, effect: Effect | None = None) -> Node | Cause:
    """Give a fact on a name of its own."""
    name = Identifier("vault.accessor", f"n{number}")
    said: dict[str, Any] = {"authority": "vault", "version": 1, "received_at": 1}
    if effect is not None:
        return Cause(target=name, effect=effect, at=1, **said)
    return Node(node=name, **said)


@define
class Raw:
    """A record as the client gives it."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def raw(offset: int, realm: str = "default", **more: Any) -> Raw:
    """Give a fact where it lies."""
    record = fact_record(realm, fact(offset, **more), 1)
    return Raw(offset, record.key, record.value)


@define
class Follower:
    """Stands for the feed."""

    watched: bool = True
    woken: int = 0
    restarts: int = 0

    def wake(self) -> None:
        """Count."""
        self.woken += 1

    def restart(self) -> None:
        """Count."""
        self.restarts += 1


@define
class Relayed:
    """A log that a test reads out by hand, on a clock of its own."""

    now: int = 1000 * SECOND
    log: RelayedLog = field(init=False)
    follower: Follower = field(factory=Follower)

    def __attrs_post_init__(self) -> None:
        """Follow an empty log."""
        pieces: Any = None
        self.log = RelayedLog(KAFKA, "default", LEASE, pieces, lambda: self.now)
        self.log.follow(self.follower)
        self.begin(GENESIS)

    @property
    def replica(self) -> FedReplica:
        """Replica that is read."""
        return self.log.replica

    def begin(self, genesis: str, target: int = 0) -> None:
        """Begin to read a log anew."""
        standing = self.log.standing
        standing.identify(genesis)
        replica = standing.begin()
        replica.begin(genesis, 0, target)
        standing.offer(replica)

    def read(self, end: int, *records: Raw) -> None:
        """Read up to an offset."""
        for _ in self.replica.take(records, end):
            pass

    def prove(self, sent: int, end: int) -> None:
        """Take the answer to a question that left then, and a later heartbeat."""
        self.log.standing.lease.ended(sent, end)
        self.log.standing.lease.beat(end)
        self.log.standing.refresh()

    def follow(self, position: int) -> list[dict[str, Any]]:
        """Give what a guard at a position is sent from the tail."""
        sent = []
        while position < self.log.end:
            frame = self.log.frame(position)
            if frame is None:
                break
            assert position == frame.start < frame.end <= self.log.end
            sent.append(orjson.loads(frame.text))
            position = frame.end
        return sent


def offsets(frames: Iterable[dict[str, Any]]) -> list[int]:
    """Give which facts the frames bring, by their offsets."""
    names = [each["node"] for frame in frames for each in frame["facts"]]
    return [int(str(name[-1] if isinstance(name, list) else name).rpartition("n")[2])
            for name in names]  # fmt: skip


def test_every_position_leads_to_the_end_over_shared_frames() -> None:
    """Offsets without facts of the realm are passed over, and none is ahead."""
    relayed = Relayed()
    relayed.read(5, raw(1), raw(3), raw(4, realm="other"))
    relayed.read(9)
    relayed.read(14, raw(9), raw(12))

    for position in (0, 1, 5, 6, 9, 13, 14):
        told = [at for at in (1, 3, 9, 12) if at >= position]
        assert told == offsets(relayed.follow(position)), position
    assert 1 == len({id(relayed.log.frame(9)), id(relayed.log.frame(9))})
    assert relayed.log.frame(2) is None  # amid a frame: read anew
    assert 2 == relayed.follower.woken


def test_who_has_every_fact_need_not_go_on_over_heartbeats() -> None:
    """What lies behind the last fact of the realm says nothing to its guards."""
    relayed = Relayed()
    assert 0 == relayed.log.end_from(0)
    relayed.read(5, raw(1))
    relayed.read(9, raw(7, realm="other"))

    assert [9, 9, 2, 7, 9] == [relayed.log.end_from(at) for at in (0, 1, 2, 7, 9)]


def test_a_frame_beyond_what_is_proven_is_not_sent() -> None:
    """A record of a newer schema is waited for; what follows it stays here."""
    relayed = Relayed()
    record = raw(5)
    assert record.value is not None
    newer = Raw(5, record.key, record.value[:1] + b"\xff" * 4 + record.value[5:])
    relayed.read(9, raw(1), newer, raw(7))

    assert 5 == relayed.log.end
    assert relayed.log.frame(1) is None  # it would reach to 8
    assert [] == offsets(relayed.follow(0))


def test_the_tail_forgets_the_oldest_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A guard that fell behind reads the log."""
    monkeypatch.setattr("streams.services.spread_tail.TAIL", 2)
    tail = SpreadTail(0)
    for start in (1, 4, 8):
        tail.append(delta(start, start + 2))

    assert tail.at(1, 10) is None
    assert (3, 4) == (tail.at(3, 10) or ())[:2]
    assert (4, 6) == (tail.at(4, 10) or ())[:2]


def test_nobody_who_listens_costs_no_memory() -> None:
    """The first guard reads the log itself."""
    relayed = Relayed()
    relayed.follower.watched = False
    relayed.read(5, raw(1))

    assert relayed.log.frame(0) is None
    assert 5 == relayed.log.end


def test_a_pong_carries_what_is_left_of_the_proof() -> None:
    """From when the end was asked for, and never from when it is answered."""
    relayed = Relayed()
    began = relayed.now
    assert 0 == relayed.log.remaining(0, 0)
    relayed.read(3, raw(1))
    relayed.prove(began, 3)

    relayed.now = began + 300 * MS
    assert 700 == relayed.log.remaining(0, 0)
    assert 700 == relayed.log.remaining(began, 0)
    assert 0 == relayed.log.remaining(began + 1, 0)  # it registered after the question
    assert 0 == relayed.log.remaining(None, 0)
    relayed.now = began + SECOND
    assert 0 == relayed.log.remaining(0, 0)


def test_a_shorter_lease_runs_from_the_question_too() -> None:
    """Closure counts such a guard as fenced after its own lease."""
    relayed = Relayed()
    began = relayed.now
    relayed.read(3)
    relayed.prove(began, 3)
    relayed.now = began + 300 * MS

    assert 200 == relayed.log.remaining(0, 500 * MS)
    assert 700 == relayed.log.remaining(0, 60 * SECOND)
    relayed.now = began + 600 * MS
    assert 0 == relayed.log.remaining(0, 500 * MS)


def test_an_end_that_is_not_read_proves_nothing() -> None:
    """Nor does one without a heartbeat behind it."""
    relayed = Relayed()
    relayed.read(3)
    relayed.prove(relayed.now, 4)
    assert 0 == relayed.log.remaining(0, 0)
    relayed.read(4)
    relayed.log.standing.refresh()
    assert 1000 == relayed.log.remaining(0, 0)


async def test_a_position_ahead_is_waited_for_and_a_relay_behind_sends_away() -> None:
    """Only who proves where the log ends may say that it has no such position."""
    relayed = Relayed()
    relayed.read(3)
    assert await relayed.log.reaches(3)
    relayed.log.standing.lease.length = 20 * MS
    with pytest.raises(ConnectionError, match="not read so far"):
        await relayed.log.reaches(4)

    relayed.prove(relayed.now, 3)
    assert not await relayed.log.reaches(4)  # a guard has to begin anew
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(relayed.log.reaches(5))
        await asyncio.sleep(0)
        relayed.read(5)
        relayed.log.feed._tell()
    assert waiting.result()


def test_another_log_ends_every_connection() -> None:
    """Once when it is met, and for who came meanwhile once it is read."""
    relayed = Relayed()
    relayed.read(3, raw(1))
    relayed.prove(relayed.now, 3)
    assert 0 == relayed.follower.restarts

    relayed.log.standing.identify("g2")
    assert 1 == relayed.follower.restarts
    assert not relayed.log.serves
    assert 0 == relayed.log.remaining(0, 0)
    relayed.begin("g2")
    assert 2 == relayed.follower.restarts
    assert ("g2", 0) == (relayed.log.genesis, relayed.log.end)


@define
class Publisher:
    """Keeps what is written, or acknowledges nothing."""

    written: list[Outgoing] = field(factory=list)
    acks: bool = True

    async def publish(self, _: str, groups: Iterable[list[Outgoing]]) -> None:
        """Write, or fail."""
        if not self.acks:
            raise NotAckedError("no ack")
        self.written += [record for group in groups for record in group]

    def statuses(self) -> list[tuple[str, int, int]]:
        """Give status, sequence and position of each receipt."""
        plain = [bundled().decode(each.value).record for each in self.written]
        return [(p["status"], p["sequence"], p["applied"]) for p in plain]


@define
class Registering(Relayed):
    """Guards of such a log."""

    publisher: Publisher = field(factory=Publisher)
    signing: Signing | None = None
    roll: RelayedRoll = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Register nobody yet."""
        super().__attrs_post_init__()
        clocks = (lambda: 7), (lambda: self.now)
        publisher: Any = self.publisher
        names = SettledNames((PAY,))
        self.roll = RelayedRoll(KAFKA, publisher, self.log, names, clocks, self.signing)

    async def register(
        self, name: str = "pay-1", sequence: int = 1, lease: int = SECOND
    ) -> SimpleNamespace:
        """Register a guard; give who sends."""
        terms = Registration(name, lease, GuardMode.FAIL_CLOSED, False, ("all",))
        sender = SimpleNamespace(guard=name, instance="i1", sequence=sequence)
        await self.roll.register(terms, PAY, sender)
        return sender

    async def report(self, sender: SimpleNamespace, position: int) -> None:
        """Report a position, and have it written if it is due."""
        sender.sequence += 1
        self.roll.applied(sender, GENESIS, position, None)
        await self.roll.flush()


async def test_who_registers_counts_from_the_acknowledgement_on() -> None:
    """A name that nothing gives it is refused, and nothing is promised unwritten."""
    on = Registering()
    assert on.roll.since("pay-1") is None
    await on.register()
    assert on.now == on.roll.since("pay-1")
    assert SECOND == on.roll.lease("pay-1")
    assert [("registered", 1, 0)] == on.publisher.statuses()

    with pytest.raises(NameRefusedError, match="list other under guards"):
        await on.register("other")
    on.publisher.acks = False
    with pytest.raises(NotWrittenError):
        await on.register("pay-2")
    assert on.roll.since("pay-2") is None
    assert 0 == on.roll.lease("pay-2")


async def test_receipts_that_are_not_acknowledged_end_the_membership() -> None:
    """After half of what closure waits, and it begins anew with the next one."""
    on = Registering()
    sender = await on.register()
    began = on.now
    on.read(3, raw(1))
    on.publisher.acks = False
    await on.report(sender, 3)
    assert on.roll.failing_since is not None
    on.now = began + 5 * SECOND - 1
    assert began == on.roll.since("pay-1")
    on.now = began + 5 * SECOND
    assert on.roll.since("pay-1") is None

    on.publisher.acks = True
    await on.report(sender, 3)
    assert on.now == on.roll.since("pay-1")
    assert on.roll.failing_since is None


async def test_a_proof_that_lapsed_ends_the_membership_too() -> None:
    """The relay may have slept for longer than closure waits."""
    on = Registering()
    sender = await on.register()
    on.now += MS
    on.log.standing.doubt()
    assert on.roll.since("pay-1") is None
    await on.report(sender, 0)
    assert on.now == on.roll.since("pay-1")


async def test_a_guard_that_connects_anew_stays_the_member_that_it_was() -> None:
    """Under the same terms; under others it counts from then on."""
    on = Registering()
    await on.register()
    began = on.now
    on.now += MS
    await on.register(sequence=5)
    assert began == on.roll.since("pay-1")
    await on.register(sequence=6, lease=2 * SECOND)
    assert on.now == on.roll.since("pay-1")


async def test_receipts_are_written_where_they_cover_facts_or_are_waited_for() -> None:
    """Positions that pass over heartbeats alone go out twice a lease."""
    on = Registering()
    sender = await on.register()
    on.read(3, raw(1))
    await on.report(sender, 3)
    on.read(9)
    await on.report(sender, 9)
    assert [("registered", 1, 0), ("applied", 2, 3)] == on.publisher.statuses()

    on.now += SECOND // 2
    await on.report(sender, 9)
    on.roll.applied(sender, "another log", 9, None)
    on.roll.applied(sender, GENESIS, 10, None)  # beyond the end
    await on.roll.flush()
    on.roll.leave(SimpleNamespace(guard="pay-1", instance="i1", sequence=8))
    await on.roll.flush()
    assert [("applied", 4, 9), ("goodbye", 8, 0)] == on.publisher.statuses()[2:]
    assert on.roll.since("pay-1") is None


async def receipts_of_many() -> int:
    """Write receipts of many guards; give how many turns others of the loop had."""
    on, many = Registering(), 50
    senders = [await on.register(f"pay-{number}") for number in range(many)]
    on.read(1, raw(0))
    turns_ = 0

    async def other() -> None:
        nonlocal turns_
        while True:
            turns_ += 1
            await asyncio.sleep(0)

    for sender in senders:
        sender.sequence = 2
        on.roll.applied(cast("Any", sender), GENESIS, 1, None)
    beside = asyncio.create_task(other())
    await on.roll.flush()
    beside.cancel()
    assert 2 * many == len(on.publisher.written)
    return turns_


def test_receipts_of_very_many_guards_are_made_in_turns() -> None:
    """All of them apply the same fact at the same time, and each receipt is signed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns, "TURN_SECONDS", 0.0)
        assert asyncio.run(receipts_of_many()) >= 50


async def test_who_would_not_report_for_long_is_asked_to_come_anew() -> None:
    """And who is gone is forgotten."""
    on = Registering()
    told: list[str] = []
    on.roll.departed.append(told.append)
    sender = await on.register("pay-1", lease=60 * SECOND)
    await on.register("pay-2")
    on.read(3, raw(1))
    await on.report(sender, 3)
    on.log.standing.doubt()
    on.roll.parted("pay-2")
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(on.roll.run())
        await asyncio.sleep(0)
        running.cancel()

    assert ["pay-1", "pay-2"] == sorted(told)
    assert 0 == on.roll.lease("pay-1") == on.roll.lease("pay-2")


@pytest.mark.parametrize(
    ("name", "named", "proven"),
    [
        ("relay", ("relay",), True), ("relay", (), False), ("other", ("relay",), False),
    ],
)  # fmt: skip
async def test_a_relays_key_vouches_for_its_guards(
    name: str, named: tuple[str, ...], proven: bool
) -> None:
    """Under its name in the settings, and no other."""
    key = Ed25519PrivateKey.generate()
    on = Registering(signing=Signing(name, key.sign))
    await on.register()
    (written,) = on.publisher.written
    keys = GuardKeys({}, True, dict.fromkeys(named, key.public_key()))

    receipt = read_receipt(written.key, written.value, keys)
    assert proven is receipt.proven
    assert ("pay-1", "i1", ("all",)) == (
        receipt.terms.guard, receipt.instance, receipt.terms.routes,
    )  # fmt: skip


async def test_a_relays_key_counts_for_a_guard_with_a_key_of_its_own() -> None:
    """What it signed towards the relay is not what lies in the topic."""
    relay, guard = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    on = Registering(signing=Signing("relay", relay.sign))
    await on.register()
    (written,) = on.publisher.written
    own = {"pay-*": guard.public_key()}
    for relays, proven in (({"relay": relay.public_key()}, True), ({}, False)):
        keys = GuardKeys(own, True, relays)
        assert proven is read_receipt(written.key, written.value, keys).proven
