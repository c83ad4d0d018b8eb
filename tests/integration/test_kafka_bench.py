"""The benchmarks on Kafka run; their peers are left to a person who measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench import kafka_recovery, kafka_throughput

if TYPE_CHECKING:
    from streams.kafka.broker import Cluster

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def test_throughput_gives_a_row(kafka: Cluster) -> None:
    """A worker works off what is written, and its CPU time is told."""
    (row,) = kafka_throughput.measured(kafka.bootstrap, "tiny", peers=False)

    assert row.value.endswith("/s of CPU")


def test_recovery_gives_rows(kafka: Cluster) -> None:
    """A worker gets ready from nothing, and again from its files."""
    rows = kafka_recovery.measured(kafka.bootstrap, "tiny")

    assert ["cold", "warm"] == [row.what[:4] for row in rows]
