"""What the benchmarks count with."""

from __future__ import annotations

import pytest

from bench.fanout_parts import DELTA, Seen, Subscriber
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
