"""What the benchmarks count with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from bench import relay_fanout_parts
from bench.fanout_parts import DELTA, Seen, Subscriber
from bench.load_allows import Allows
from bench.load_closures import Answered, unnamed
from bench.load_fleet import Slot, fleet
from bench.rounds import Rounds

pytestmark = pytest.mark.unit


def test_ratios_are_taken_within_a_round() -> None:
    """A ratio is ours by the peer's of the same round; the median is reported."""
    measured = Rounds([2.0, 9.0, 4.0], [1.0] * 3)

    assert (4.0, 2.0, 9.0) == measured.ratio


def test_a_subscriber_counts_each_revocation_of_a_delta() -> None:
    """A busy server sends several at once; a torn message counts once it is whole."""
    seen = Seen(1)
    subscriber = Subscriber(seen, DELTA, b"")

    for piece in (b'x{"type":"delta","from":3,', b'"to":5,"facts":[]}'):
        subscriber.data_received(piece)

    assert {3: 1, 4: 1} == dict(seen.count)


class Wire:
    """A connection that keeps what is sent."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.sent = b""

    def sendall(self, data: bytes) -> None:
        """Keep it."""
        self.sent += data


def test_a_subscriber_of_a_relay_holds_what_is_proven_of_what_it_has() -> None:
    """It counts from its ping, and a pong waits for the facts below its end."""
    told, wire = relay_fanout_parts.Told(), Wire()
    one = relay_fanout_parts.Subscriber(told, "g", 4.0)
    one.connect(cast("Any", wire))
    began = one._sent[1]

    def come(*messages: dict[str, Any]) -> None:
        texts = [orjson.dumps(each) for each in messages]
        one.take(b"".join(bytes((0x81, len(text))) + text for text in texts))

    one.take(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    come({"type": "snapshot", "more": False, "offset": 3, "genesis": "g"})
    come({"type": "pong", "seq": 1, "end": 5, "remaining_ms": 900})
    before = one.deadline
    come({"type": "delta", "from": 3, "to": 5, "facts": []})

    assert 0.0 == before
    assert pytest.approx(began + 0.9) == one.deadline


def test_what_a_guard_allows_a_lease_after_the_acceptance_is_late() -> None:
    """One check of many is enough, whatever the guard says of its lease."""
    allows = Allows(lease=1.0)
    hear = allows.hearer("go")
    asked = {"what": "after", "accepted": 10.0}

    for at in (9.9, 10.5, 10.9, 11.0, 11.3):
        hear(asked, {"at": at, "allowed": ["c1"]})
    hear(asked, {"at": 10.999, "allowed": ["c2"]})
    hear(asked, {"over": True, "revoked": 1, "lapsed": 2})

    ((guard, name, seconds),) = allows.late()
    assert ("go", "c1") == (guard, name)
    assert seconds == pytest.approx(1.3)
    assert allows.guards["go"].last["c2"] == pytest.approx(0.999)
    assert (1, 2) == (allows.guards["go"].proven, allows.guards["go"].lapsed)


def test_allowing_at_the_end_of_all_is_counted_apart() -> None:
    """And before the revocation it only shows that there was something to lose."""
    allows = Allows(lease=1.0)
    hear = allows.hearer("ts")

    hear({"what": "before"}, {"at": 1.0, "allowed": ["p1", "c1"]})
    hear({"what": "end"}, {"at": 99.0, "allowed": ["c1"]})
    hear({"what": "end"}, {"over": True, "revoked": 1, "lapsed": 0})

    said = allows.guards["ts"]
    assert (2, ["c1"], 1) == (said.before, said.lost, said.ended)
    assert [] == list(allows.late())


def _served(name: str, *times: tuple[float, float]) -> Slot:
    slot = Slot("guard", name, (), {}, Path())
    slot.served += times
    return slot


def test_closure_names_each_guard_that_served_at_the_acceptance() -> None:
    """One that was away then, or came a moment before, need not be named."""
    relay = _served("relay", (0.0, 30.0))
    guards = [_served("a", (0.0, 20.0), (80.0, 99.0)), _served("b", (0.0, 99.0))]
    guards[1].above = relay
    both, one = frozenset("ab"), frozenset("b")

    def missing(**said: Any) -> list[tuple[float, str]]:
        told: dict[str, Any] = {"state": "closed", "applied": 2, "listed": both}
        return [*unnamed([Answered(**(told | said))], guards)]

    assert [] == missing(accepted=10.0)
    assert [] == missing(accepted=25.0, applied=1, listed=one)
    assert [] == missing(accepted=82.0, applied=0, listed=frozenset())
    assert [] == missing(accepted=10.0, applied=1, fenced=("a",))
    assert [] == missing(accepted=10.0, applied=1, left=1)
    assert [(10.0, "a")] == missing(accepted=10.0, listed=one)
    assert 1 == len(missing(accepted=10.0, applied=1))
    assert [(10.0, "a"), (10.0, "b")] == missing(accepted=10.0, state="partial")


async def test_a_process_that_is_away_takes_no_connection_from_the_others() -> None:
    """Closures are asked of one by the hundred, while revocations go to the rest."""
    async with fleet([]) as running:
        assert running.session.connector is not None
        assert 0 == running.session.connector.limit
