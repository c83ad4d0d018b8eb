"""The replica: snapshot and deltas in, one table and its position out."""

from __future__ import annotations

from typing import Any

import pytest

from agents_registry.facts import (
    Cause,
    Distrust,
    Edge,
    Effect,
    Fact,
    Node,
    Renewal,
    Withdraw,
    fact_id,
    to_plain,
)
from agents_registry.identifiers import Identifier
from agents_registry.life import Reason
from agents_registry.presentation import Presented
from agents_registry.verdict import judge
from enforcement.replica import (
    SLICE,
    GapError,
    GenesisError,
    MalformedError,
    Replica,
)

pytestmark = pytest.mark.unit

SECOND = 1_000_000_000
NOW = 1_000 * SECOND
KEY = Identifier("vault.accessor", "k1")
OTHER = Identifier("vault.accessor", "k2")
ENTITY = Identifier("vault.entity", "e1")
SAID: dict[str, Any] = {
    "authority": "vault",
    "version": NOW,
    "received_at": NOW,
    "ingress_key": "i1",
}


def node(identifier: Identifier) -> Node:
    """Say that an identifier exists."""
    return Node(**SAID, node=identifier, issued_at=NOW)


def revoke(identifier: Identifier) -> Cause:
    """Say that an identifier is revoked."""
    return Cause(**SAID, target=identifier, effect=Effect.REVOKE, at=NOW)


def withdraw(fact: Fact, target: Identifier) -> Withdraw:
    """Take a fact back."""
    said = SAID | {"authority": "operators"}
    return Withdraw(**said, fact_id=fact_id(fact).hex(), kind=fact.NAME, target=target)


def ahead(hours: int, expires_at: int) -> Renewal:
    """Say an expiry with a clock that runs ahead."""
    said = SAID | {"version": NOW + hours * 3600 * SECOND}
    return Renewal(**said, node=KEY, expires_at=expires_at)


def snapshot(
    *facts: Fact,
    genesis: str = "g1",
    offset: int = 10,
    more: bool = False,
    **more_: Any,
) -> dict[str, Any]:
    """Give one chunk of a snapshot."""
    return {
        "type": "snapshot",
        "genesis": genesis,
        "realm": "acme",
        "offset": offset,
        "facts": [to_plain(fact) for fact in facts],
        "more": more,
        **more_,
    }


def delta(start: int, end: int, *facts: Fact) -> dict[str, Any]:
    """Give one delta."""
    plain = [to_plain(fact) for fact in facts]
    return {"type": "delta", "from": start, "to": end, "facts": plain}


def take(replica: Replica, *messages: dict[str, Any]) -> Replica:
    """Let a replica apply messages to their ends."""
    for message in messages:
        apply = replica.snapshot if message["type"] == "snapshot" else replica.delta
        for _ in apply(message):
            pass
    return replica


def reason(replica: Replica, identifier: Identifier = KEY) -> Reason:
    """Judge an identifier with the replica's table."""
    return judge(replica.registry, Presented((identifier,)), now=NOW).reason


def test_is_incomplete_at_first() -> None:
    """An empty table proves nothing, not even an empty log."""
    replica = Replica()

    assert not replica.complete
    assert replica.proven == -1


def test_takes_a_snapshot() -> None:
    """The offset of the last chunk is the position."""
    replica = take(Replica(), snapshot(node(KEY), offset=10))

    assert ("g1", 10, 10) == (replica.genesis, replica.position, replica.proven)
    assert reason(replica) is Reason.LIVES


def test_is_complete_with_the_last_chunk_only() -> None:
    """Half a snapshot knows half of the revocations."""
    replica = take(Replica(), snapshot(node(KEY), more=True, offset=10))

    assert not replica.complete

    take(replica, snapshot(revoke(KEY), offset=12))

    assert replica.position == 12
    assert reason(replica) is Reason.REVOKED


def test_applies_a_delta() -> None:
    """The position moves to the delta's end, gaps of other realms included."""
    replica = take(Replica(), snapshot(node(KEY)), delta(10, 15, revoke(KEY)))

    assert replica.position == 15
    assert reason(replica) is Reason.REVOKED


@pytest.mark.parametrize("start", [9, 11])
def test_refuses_a_delta_that_does_not_start_at_the_position(start: int) -> None:
    """A fact may be missing between the two; nothing of the delta is applied."""
    replica = take(Replica(), snapshot(node(KEY), offset=10))

    with pytest.raises(GapError, match=f"starts at {start}, not at 10"):
        take(replica, delta(start, 20, revoke(KEY)))
    assert replica.position == 10
    assert reason(replica) is Reason.LIVES


def test_refuses_a_delta_before_the_snapshot_is_complete() -> None:
    """There is no position yet that it could start at."""
    replica = take(Replica(), snapshot(node(KEY), more=True))

    with pytest.raises(GapError):
        take(replica, delta(10, 11))


def test_refuses_a_snapshot_on_top_of_a_complete_one() -> None:
    """A new snapshot makes a new table: the old one may hold what no longer stands."""
    replica = take(Replica(), snapshot(node(KEY)))

    with pytest.raises(GapError):
        take(replica, snapshot(node(KEY)))


def test_refuses_chunks_of_two_logs() -> None:
    """Half of one log and half of another is neither."""
    replica = take(Replica(), snapshot(node(KEY), more=True))

    with pytest.raises(GenesisError, match="g1 became g2"):
        take(replica, snapshot(genesis="g2"))


def test_keeps_its_position_until_a_whole_message_is_applied() -> None:
    """Between two slices the table may be ahead of the position, never behind."""
    replica = take(Replica(), snapshot(offset=0))
    facts = [node(Identifier("vault.accessor", str(i))) for i in range(SLICE)]
    steps = replica.delta(delta(0, SLICE + 1, *facts, revoke(KEY)))
    seen = [replica.position for _ in steps]

    assert seen == [0, 0]  # read a slice, merged a slice
    assert replica.position == SLICE + 1
    assert reason(replica) is Reason.REVOKED


def test_stops_often_within_a_message() -> None:
    """A thousand facts at once would hold the event loop for ten milliseconds."""
    facts = [node(Identifier("vault.accessor", str(i))) for i in range(1_000)]
    stops = sum(1 for _ in Replica().snapshot(snapshot(*facts)))

    assert stops >= 10


def test_reads_the_vocabulary_of_the_realm() -> None:
    """A kind that a mapping file declares keeps its class in the guard."""
    team = Identifier("crm.team", "t1")
    vocabulary = {"vault.accessor": "credential", "crm.team": "principal"}
    replica = take(Replica(), snapshot(node(KEY), vocabulary=vocabulary))

    assert judge(replica.registry, Presented((KEY, team)), now=NOW).allowed


def test_keeps_the_peppers_of_the_handshake() -> None:
    """Secrets are hashed in the guard with keys that never touch a disk."""
    replica = take(Replica(), snapshot(peppers={"p1": "c2FsdA=="}))

    assert replica.peppers == {"p1": "c2FsdA=="}
    assert "c2FsdA" not in repr(replica)


@pytest.mark.parametrize(
    "change",
    [
        {"genesis": None},
        {"genesis": ""},
        {"offset": -1},
        {"offset": True},
        {"offset": "10"},
        {"facts": None},
        {"facts": ["node"]},
        {"facts": [{"fact": "blessing"}]},
        {"facts": [{"fact": "node"}]},
        {"more": None},
        {"vocabulary": {"a.b": "angel"}},
        {"vocabulary": 7},
    ],
)
def test_refuses_a_snapshot_that_it_cannot_read(change: dict[str, Any]) -> None:
    """What one guard skips, another one denies by: so nothing is skipped."""
    replica = Replica()

    with pytest.raises(MalformedError):
        take(replica, snapshot(node(KEY)) | change)
    assert not replica.complete


@pytest.mark.parametrize(
    "change",
    [{"from": None}, {"to": 9}, {"to": 1.5}, {"facts": {}}, {"facts": [[]]}],
)
def test_refuses_a_delta_that_it_cannot_read(change: dict[str, Any]) -> None:
    """The position stays, so the delta comes again with the next connection."""
    replica = take(Replica(), snapshot(node(KEY), offset=10))

    with pytest.raises(MalformedError):
        take(replica, delta(10, 11, revoke(KEY)) | change)
    assert replica.position == 10


def test_a_withdrawn_cause_ends_without_a_rebuild() -> None:
    """The common correction costs nothing."""
    cause = revoke(KEY)
    replica = take(Replica(), snapshot(node(KEY), cause))
    take(replica, delta(10, 11, withdraw(cause, KEY)))

    assert reason(replica) is Reason.LIVES
    assert not replica.needs_successor
    assert replica.proven == 11


def test_denies_on_and_proves_nothing_while_a_rebuild_is_due() -> None:
    """Old denials hold; what a correction takes from the living is not yet gone."""
    edge = Edge(**SAID, child=KEY, parent=ENTITY)
    replica = take(Replica(), snapshot(node(KEY), node(ENTITY), edge, revoke(ENTITY)))
    take(replica, delta(10, 11, withdraw(edge, KEY)), delta(11, 12, revoke(OTHER)))

    assert replica.needs_successor
    assert replica.urgent
    assert (replica.position, replica.proven) == (12, 10)
    assert reason(replica) is Reason.REVOKED
    assert reason(replica, OTHER) is Reason.REVOKED


def test_the_successor_knows_the_correction_before_what_it_corrects() -> None:
    """Its table needs no further rebuild, whatever the order in the snapshot."""
    edge = Edge(**SAID, child=KEY, parent=ENTITY)
    facts = [node(KEY), node(ENTITY), edge, revoke(ENTITY)]
    replica = take(Replica(), snapshot(*facts))
    take(replica, delta(10, 11, withdraw(edge, KEY)))

    chunks = [snapshot(*facts, more=True), snapshot(withdraw(edge, KEY), offset=11)]
    successor = take(replica.successor(), *chunks)

    assert reason(successor) is Reason.LIVES
    assert not successor.needs_successor
    assert successor.proven == 11


def test_a_correction_in_the_first_chunk_needs_no_second_snapshot() -> None:
    """A small realm is right at once."""
    lie = node(KEY)
    distrust = Distrust(
        **SAID | {"authority": "operators"},
        suspect="vault",
        suspect_key="i1",
        received_from=0,
        received_to=NOW,
    )
    replica = take(Replica(), snapshot(lie, distrust))

    assert reason(replica) is Reason.UNKNOWN_CREDENTIAL
    assert not replica.needs_successor


def test_a_correction_in_a_later_chunk_asks_for_a_second_snapshot() -> None:
    """Until then the table proves nothing: it holds what was taken back."""
    chunks = [
        snapshot(node(KEY), more=True),
        snapshot(withdraw(node(KEY), KEY), offset=11),
    ]
    replica = take(Replica(), *chunks)

    assert replica.needs_successor
    assert replica.proven == 0

    successor = take(replica.successor(), *chunks)

    assert reason(successor) is Reason.UNKNOWN_CREDENTIAL
    assert not successor.needs_successor


def test_a_copy_with_a_clock_ahead_is_no_reason_to_stop() -> None:
    """One source with a wrong clock must not close every guard."""
    replica = take(Replica(), snapshot(node(KEY)), delta(10, 11, ahead(1, NOW + 1)))

    assert not replica.urgent
    assert replica.proven == 11


def test_the_successor_of_a_clamped_table_is_settled() -> None:
    """Rebuilds converge: the second snapshot asks for no third."""
    chunks = [snapshot(node(KEY), more=True), snapshot(ahead(1, NOW + 1), offset=11)]
    replica = take(Replica(), *chunks)
    successor = take(replica.successor(), *chunks)

    assert not successor.needs_successor


def test_the_successor_knows_a_copy_that_was_received_earlier() -> None:
    """Of a fact that we stamped the earliest copy counts, also when it comes last."""
    late, early = (
        Renewal(
            **SAID | {"version": time, "received_at": time, "stamped": True},
            node=KEY,
            expires_at=None,
        )
        for time in (NOW, NOW - 2 * SECOND)
    )
    between = Renewal(**SAID | {"version": NOW - SECOND}, node=KEY, expires_at=NOW)
    facts = snapshot(node(KEY), late, between, early)
    successor = take(take(Replica(), facts).successor(), facts)

    assert reason(successor) is Reason.EXPIRED
    assert not successor.needs_successor


def test_corrections_of_another_log_are_forgotten() -> None:
    """What one log took back may stand in another."""
    replica = take(Replica(), snapshot(node(KEY), withdraw(node(KEY), KEY)))
    successor = take(replica.successor(), snapshot(node(KEY), genesis="g2"))

    assert reason(replica) is Reason.UNKNOWN_CREDENTIAL
    assert reason(successor) is Reason.LIVES
