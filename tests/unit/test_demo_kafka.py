"""Numbers of the demo on Kafka: every value is in one line of the histogram."""

from __future__ import annotations

import pytest

from streams.demo.kafka_load import BUCKETS, histogram, percentiles

pytestmark = pytest.mark.unit


def test_a_histogram_counts_every_value_once() -> None:
    """Values on an end belong to the line below it; empty ends are left out."""
    found = histogram([-3.0, 0.0, 0.5, 1.0, 4.0])

    assert [
        ("before the 202", 2), ("0 .. 1 ms", 2), ("1 .. 2 ms", 0),
        ("2 .. 3 ms", 0), ("3 .. 5 ms", 1),
    ] == found  # fmt: skip


def test_what_is_above_all_ends_has_a_line_too() -> None:
    """Nothing is left out because it is slow."""
    assert [(f"above {BUCKETS[-1]:g} ms", 1)] == histogram([BUCKETS[-1] + 1])


def test_percentiles_are_of_all_values() -> None:
    """The median of one to a hundred lies between fifty and fifty-one."""
    p50, p99 = percentiles([*map(float, range(1, 101))])

    assert 50.5 == p50
    assert 99 < p99 < 100
