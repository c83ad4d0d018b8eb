"""The benchmarks on Kafka run; their peers are left to a person who measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench import (
    join,
    kafka_heartbeats,
    kafka_propagation,
    kafka_recovery,
    kafka_takeover,
    kafka_throughput,
    notify_churn,
    relay_fanout,
)
from bench.__main__ import KAFKA

if TYPE_CHECKING:
    from types import ModuleType

    from streams.devkafka.broker import Cluster

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    pytest.mark.no_cover,
    pytest.mark.usefixtures("unmeasured"),
]


@pytest.mark.campaign
@pytest.mark.parametrize(
    "bench", [kafka_propagation, kafka_takeover, notify_churn, relay_fanout]
)
def test_those_with_a_broker_of_their_own_give_rows(bench: ModuleType) -> None:
    """At a tiny size they end, and have something to tell."""
    rows = bench.rows("tiny")

    assert rows
    assert all(row.value for row in rows)


def test_none_is_left_out() -> None:
    """Whatever runs on Kafka is run by one of these tests."""
    run = {
        join, kafka_propagation, kafka_recovery, kafka_takeover, kafka_throughput,
        notify_churn, kafka_heartbeats, relay_fanout,
    }  # fmt: skip

    assert {bench.__name__ for bench in run} == {f"bench.{name}" for name in KAFKA}


@pytest.mark.long
def test_throughput_gives_a_row(kafka: Cluster) -> None:
    """A worker works off what is written, and its CPU time is told."""
    (row,) = kafka_throughput.measured(kafka.bootstrap, "tiny", peers=False)

    assert row.value.endswith("/s of CPU")


@pytest.mark.long
def test_writers_in_turns_write_fewer_heartbeats(kafka: Cluster) -> None:
    """Four of them less than four that always beat."""
    (row,) = kafka_heartbeats.measured(kafka.bootstrap, "tiny")

    assert row.ratio is not None
    assert row.ratio[1] < 1


@pytest.mark.campaign
def test_recovery_gives_rows(kafka: Cluster) -> None:
    """A worker gets ready from nothing, and again from its files."""
    rows = kafka_recovery.measured(kafka.bootstrap, "tiny")

    assert ["cold", "warm"] == [row.what[:4] for row in rows]


@pytest.mark.long
def test_the_join_gives_rows(kafka: Cluster) -> None:
    """A worker judges lines of known credentials, and a bad one is found."""
    speed, alert = join.measured(kafka.bootstrap, "tiny", peers=False)

    assert speed.value.endswith("/s of CPU")
    assert alert.value.startswith("p50 ")
