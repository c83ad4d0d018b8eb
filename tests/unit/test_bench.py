"""The benchmarks run; what they measure is for a person to read."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import pytest

from bench.__main__ import EMBEDDED
from bench.fanout_parts import DELTA, Seen, Subscriber
from bench.report import show
from bench.rounds import Rounds
from tests.campaigns import some

if TYPE_CHECKING:
    from bench.report import Row

pytestmark = [pytest.mark.unit, pytest.mark.timeout(180)]

# The others start servers or fill tables for seconds; one of those shows their parts.
QUICK = ("check", "memory", "hunt", "enforced")


@pytest.mark.parametrize("name", some(EMBEDDED, QUICK))
def test_each_benchmark_gives_rows(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """At a tiny size each benchmark ends, and its table shows every line."""
    rows: list[Row] = importlib.import_module(f"bench.{name}").rows("tiny")

    show(name, rows, judged=False)

    printed = capsys.readouterr().out
    assert rows
    assert all(row.value and row.value.split()[0] in printed for row in rows)


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
