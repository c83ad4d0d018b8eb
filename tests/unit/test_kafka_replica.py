"""The replica that is read from Kafka: records in, one table and its position out."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import define

from agents_registry.facts import (
    Cause,
    Distrust,
    Edge,
    Effect,
    Fact,
    Node,
    fact_key,
)
from agents_registry.identifiers import VOCABULARY, Identifier, NodeClass
from agents_registry.life import Reason
from agents_registry.presentation import Presented
from agents_registry.verdict import judge
from enforcement.kafka.replica import Beat, LogReplica
from enforcement.replica import SLICE, PastEndError
from schemas.codec import bundled, encode_fact

pytestmark = pytest.mark.unit

NOW = 1_700_000_000 * 10**9
KEY = Identifier("vault.accessor", "k1")
OTHER = Identifier("vault.accessor", "k2")
SAID: dict[str, Any] = {
    "authority": "vault",
    "version": NOW,
    "received_at": NOW,
    "ingress_key": "i1",
}
UNKNOWN_ID = b"\0\0\0\xff\xffnewer"


@define
class Record:
    """A record as the client gives it."""

    offset: int
    key: bytes | None
    value: bytes | None


def node(identifier: Identifier) -> Node:
    """Say that an identifier exists."""
    return Node(**SAID, node=identifier, issued_at=NOW)


def revoke(identifier: Identifier) -> Cause:
    """Say that an identifier is revoked."""
    return Cause(**SAID, target=identifier, effect=Effect.REVOKE, at=NOW)


def record(offset: int, fact: Fact, realm: str = "acme") -> Record:
    """Give a fact as it lies in the topic."""
    return Record(offset, fact_key(realm, fact).encode(), encode_fact(fact))


def beat(offset: int, genesis: str = "g1") -> Record:
    """Give a heartbeat as it lies in the topic."""
    said = {
        "genesis": genesis, "partition": 0, "writer": "w", "sequence": 1, "sent_at": 1
    }  # fmt: skip
    return Record(offset, b"heartbeat/w", bundled().encode("heartbeat", said))


def begun(target: int = 0, start: int = 0, **options: Any) -> LogReplica:
    """Give a replica that is to be read up to a target."""
    made = LogReplica("acme", **options)
    made.begin("g1", start, target)
    return made


def take(replica: LogReplica, *records: Record, end: int | None = None) -> int:
    """Apply records; give the number of slices."""
    behind = records[-1].offset + 1 if end is None else end
    return sum(1 for _ in replica.take(records, behind))


def reason(replica: LogReplica, identifier: Identifier = KEY) -> Reason:
    """Judge an identifier."""
    return judge(replica.registry, Presented((identifier,)), now=NOW).reason


def test_is_complete_once_all_is_applied_that_was_there() -> None:
    """Until then it must not answer, since what denies may come yet."""
    replica = begun(target=3)
    take(replica, record(1, node(KEY)))
    assert (None, -1) == (replica.position, replica.proven)

    take(replica, record(2, revoke(KEY)))

    assert (3, 3) == (replica.position, replica.proven)
    assert reason(replica) is Reason.REVOKED


def test_an_empty_log_is_complete_at_once() -> None:
    """There is nothing to read."""
    assert begun(target=0).complete
    assert begun(start=5, target=5).position == 5
    assert not LogReplica("acme").complete


def test_offsets_that_compaction_took_are_passed_over() -> None:
    """The end is the client's position, not the last record's."""
    replica = begun(target=9)
    take(replica, record(1, node(KEY)), end=9)

    assert replica.position == 9
    take(replica, end=12)
    assert replica.position == 12


def test_a_position_does_not_go_back() -> None:
    """Whoever reads below what is applied reads another log."""
    replica = begun()
    take(replica, record(1, node(KEY)))

    with pytest.raises(PastEndError):
        take(replica, end=1)
    assert replica.position == 2


def test_facts_of_other_realms_are_not_ours() -> None:
    """A partition holds many realms, and one may name what another names."""
    replica = begun()
    take(replica, record(1, node(KEY)), record(2, revoke(KEY), "umbrella"))

    assert reason(replica) is Reason.LIVES


def test_a_fact_under_a_key_of_the_log_is_no_fact() -> None:
    """No realm is named like this."""
    replica = begun()
    value = encode_fact(revoke(KEY))
    take(replica, record(1, node(KEY)), Record(2, b"genesis/x", value))

    assert reason(replica) is Reason.LIVES
    assert replica.unreadable == 1


def test_heartbeats_are_noted() -> None:
    """With their offsets and their genesis, whichever that is."""
    replica = begun()
    take(replica, beat(1), record(2, node(KEY)), beat(3, "g2"))

    assert replica.beats == [Beat("g1", 1), Beat("g2", 3)]


@pytest.mark.parametrize(
    "value", [b"", b"\0poi", b"poison", b"\0\0\0\0\x01\xff", b"\1" * 100]
)
def test_a_damaged_record_stops_nothing(value: bytes) -> None:
    """What is denied stays denied, and what comes after it is applied."""
    replica = begun()
    take(
        replica,
        record(1, revoke(KEY)),
        Record(2, b"acme/cause/x/1/k", value),
        record(3, revoke(OTHER)),
    )

    assert reason(replica) is reason(replica, OTHER) is Reason.REVOKED
    assert (1, 4) == (replica.unreadable, replica.proven)
    assert replica.fault


def test_beyond_a_newer_record_nothing_is_proven() -> None:
    """It may be a revocation, in words that this guard does not have."""
    replica = begun()
    key = fact_key("acme", revoke(KEY)).encode()
    take(replica, record(1, node(KEY)), Record(2, key, UNKNOWN_ID))
    take(replica, Record(3, key, UNKNOWN_ID), record(4, node(OTHER)))
    assert (5, 2) == (replica.position, replica.proven)

    take(replica, Record(5, key, encode_fact(revoke(KEY))))

    assert replica.proven == 6
    assert reason(replica) is Reason.REVOKED


@pytest.mark.parametrize(
    "key", [None, b"", b"umbrella/cause/x/1/k", b"acme/stray", b"heartbeat/w"]
)
def test_a_newer_record_of_others_is_theirs(key: bytes | None) -> None:
    """Nothing of this realm can be in it."""
    replica = begun()
    take(replica, Record(1, key, UNKNOWN_ID), end=2)

    assert replica.proven == 2


def test_a_tombstone_takes_nothing_back() -> None:
    """What was pruned from the log may stay in a table."""
    replica = begun()
    key = fact_key("acme", revoke(KEY)).encode()
    take(replica, record(1, revoke(KEY)), Record(2, key, None))

    assert reason(replica) is Reason.REVOKED


def test_many_records_are_applied_in_slices() -> None:
    """The event loop must breathe, and no position is told before its facts."""
    many = [
        record(n, node(Identifier("vault.accessor", f"n{n}")))
        for n in range(1, 2 * SLICE + 2)
    ]
    replica = begun()
    slices = replica.take([*many, record(900, revoke(KEY))], 901)
    positions = {replica.position for _ in slices}

    assert positions == {0}
    assert replica.position == 901


def test_a_successor_knows_the_corrections_and_the_options() -> None:
    """It is read from the start, with what takes facts back merged first."""
    vocabulary = {**VOCABULARY, "robot.arm": NodeClass.CREDENTIAL}
    replica = begun(vocabulary=vocabulary)
    edge = Edge(**SAID, child=KEY, parent=OTHER)
    said = SAID | {"authority": "operators"}
    distrust = Distrust(
        **said, suspect="x", suspect_key="i9", received_from=NOW, received_to=NOW
    )
    take(replica, record(1, node(KEY)), record(2, edge), record(3, distrust))
    assert replica.needs_successor
    assert replica.urgent
    assert replica.proven < 4

    fresh = replica.successor()
    fresh.begin("g1", 0, 4)
    take(fresh, record(1, node(KEY)), record(2, edge), record(3, distrust))

    assert not fresh.needs_successor
    assert fresh.proven == 4
    arm = Identifier("robot.arm", "1")
    take(fresh, record(4, Node(**SAID | {"ingress_key": "i2"}, node=arm)))
    assert reason(fresh, arm) is Reason.LIVES
