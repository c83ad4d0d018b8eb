"""What the sentinel hears of receipts on Kafka, and again after a restart."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from enforcement.verdict import Mode
from streams.engines.kafka.sentinel.receipt_log import KafkaReceiptLog
from streams.model.times import SECOND
from streams.settings.kafka import KafkaSettings
from streams.stages.closure.guard_names import GuardKeys
from streams.stages.sentinel.evidence import PointEvidence
from streams.stages.sentinel.points import LATEST, NOBODY
from tests.unit.test_kafka_closure import GENESIS, LEASE, NOW, REALM, Guard

pytestmark = pytest.mark.unit


class Topic:
    """Receipts of one partition, and who reads them."""

    def __init__(self, keys: Any = None) -> None:
        """Start with no receipt."""
        self.keys = GuardKeys(keys or {})
        self.genesis = GENESIS
        self.now = NOW
        self.records: list[Any] = []
        self.restart(read=False)

    def restart(self, *, read: bool = True) -> None:
        """Read all that is there, as a new process does."""
        self.reader = KafkaReceiptLog(
            KafkaSettings(), self.keys, {}, lambda: self.now, lambda _: self.genesis
        )
        if read:
            self.reader.hear(0, self.records)
            self.reader._expire()

    def put(self, raw: Any, at: int) -> None:
        """Append a record that arrives at a time (s), and read it."""
        stamp = (NOW + at * SECOND) // 1_000_000
        value, key = raw.value, raw.key
        record = SimpleNamespace(
            offset=len(self.records), key=key, value=value, timestamp=stamp
        )
        self.records.append(record)
        self.reader.hear(0, [record])

    def say(self, guard: Guard, status: str, at: int, applied: int = 0) -> None:
        """Have a guard say something at a time (s) that arrives at once."""
        guard.receipts._wall = lambda: NOW + at * SECOND
        self.put(guard.says(status, 0, applied, GENESIS), at)

    def standing(self, at: int, as_of: int = 50, guard: str = "g") -> PointEvidence:
        """Tell what is known of the point of a guard at a time (s)."""
        points = self.reader.points(REALM)
        return points.standing(guard, as_of, NOW + at * SECOND, 0)


def knew(at: int) -> PointEvidence:
    """Give the standing of a point whose guard knew since a time (s)."""
    return PointEvidence(reports=True, knew_at=NOW + at * SECOND)


@pytest.fixture
def topic() -> Topic:
    """Give a guard that registered at 0 s and had applied all below 50 at 5 s."""
    topic, guard = Topic(), Guard()
    topic.say(guard, "registered", 0)
    topic.say(guard, "applied", 5, 50)
    return topic


def test_a_restart_knows_what_the_process_before_knew(topic: Topic) -> None:
    """All of it lies in the topic; nothing is saved."""
    topic.restart()

    assert knew(5) == topic.standing(6)
    assert PointEvidence(reports=True) == topic.standing(6, 51)
    assert NOBODY == topic.standing(-1)
    assert {"g"} == topic.reader.points(REALM).take_news()


def test_compaction_makes_it_known_later_and_never_earlier(topic: Topic) -> None:
    """Of a guard the last record alone may be left."""
    guard = Guard()
    for at in (6, 9):
        topic.say(guard, "applied", at, 60)
    del topic.records[:-1]
    topic.restart()

    assert knew(9) == topic.standing(10)
    assert NOBODY == topic.standing(8)


def test_the_time_is_the_guards_own(topic: Topic) -> None:
    """However long the receipt was under way, within what is believed."""
    guard = Guard(name="slow")
    guard.receipts._wall = lambda: NOW
    topic.put(guard.says("registered", 0), 0)
    topic.put(guard.says("applied", 0, 40), 200)
    topic.put(guard.says("applied", 0, 50), LATEST // SECOND + 1)

    assert knew(0) == topic.standing(1, 40, "slow")
    assert knew(LATEST // SECOND + 1) == topic.standing(1, 50, "slow")


def test_who_leaves_reports_no_more(topic: Topic) -> None:
    """By a goodbye, by an operator's word, or by silence."""
    others = {name: Guard(name=name) for name in ("gone", "silent")}
    for guard in others.values():
        topic.say(guard, "registered", 0)
    topic.put(SimpleNamespace(key=f"{REALM}/gone".encode(), value=None), 10)
    topic.put(SimpleNamespace(key=b"nowhere/gone", value=None), 10)
    again = Guard()
    again.receipts._sequence = 9
    topic.say(again, "goodbye", 10)
    topic.now = NOW + 11 * LEASE
    topic.reader._expire()
    for _ in range(2):
        for name in ("g", "gone", "silent"):
            assert topic.standing(1, guard=name).reports
            assert NOBODY == topic.standing(11 + LEASE // SECOND * 10, 0, name)
        topic.restart()


def test_who_only_observes_is_seen_as_such() -> None:
    """It enforces nothing."""
    topic = Topic()
    topic.say(Guard(mode=Mode.OBSERVE), "registered", 0)

    assert PointEvidence(observes=True) == topic.standing(1)


def test_what_does_not_count_for_closure_proves_nothing(topic: Topic) -> None:
    """Another log, a second process of the name, and what is not signed."""
    signed = Topic({"g": Ed25519PrivateKey.generate().public_key()})
    guard = Guard()
    signed.say(guard, "registered", 0)
    signed.say(guard, "applied", 5, 50)
    assert NOBODY == signed.standing(6)

    topic.say(Guard(instance="other"), "registered", 5)
    first = Guard()
    first.receipts._sequence = 9
    topic.say(first, "applied", 6, 60)
    assert PointEvidence(reports=True) == topic.standing(7, 60)

    topic.genesis = "another"
    third = Guard(name="third")
    topic.say(third, "registered", 7)
    topic.say(third, "applied", 8, 60)
    assert PointEvidence(reports=True) == topic.standing(9, 60, "third")


def test_what_cannot_be_read_is_passed_over(topic: Topic) -> None:
    """Closure puts it into the dead letters."""
    topic.put(SimpleNamespace(key=f"{REALM}/g".encode(), value=b"nonsense"), 6)
    topic.put(SimpleNamespace(key=None, value=None), 6)

    assert knew(5) == topic.standing(7)
    assert 0 == topic.reader.position(0)


def test_another_log_has_offsets_of_its_own(topic: Topic) -> None:
    """Facts were written anew; what a guard applied before says nothing of them."""
    guard = Guard("g")
    topic.say(guard, "registered", 0)
    topic.say(guard, "applied", 1, 100)
    assert topic.standing(5).knew_at is not None
    topic.genesis = "another"
    topic.say(guard, "applied", 2, 101)

    assert PointEvidence(reports=True) == topic.standing(5)
