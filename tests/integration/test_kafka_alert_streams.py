"""I6 on a real Kafka: each planted re-use is alerted, once per id, and nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.integration.alert_truth import Tally
from tests.integration.kafka_cluster import settings_of
from tests.integration.killed_alert_stream import play

if TYPE_CHECKING:
    from pathlib import Path

    from streams.devkafka.broker import Cluster
    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

REALMS = 10
RUNS = 20


@pytest.mark.long
async def test_every_reuse_is_alerted_and_nothing_else(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Each process is killed in the middle; its receiver does what receivers do."""
    tally = Tally()

    wrong = await play(1, tmp_path, kafka_settings, tally, realms=2, size=10, kills=1)

    print(tally)  # noqa: T201 - what a run showed, for `pytest -s`
    assert [] == wrong
    assert tally.planted > 3
    assert tally.kills


@pytest.mark.campaign
@pytest.mark.timeout(0)
async def test_hundreds_of_streams(tmp_path: Path, kafka: Cluster) -> None:
    """Ten realms at a time; prints where it stands."""
    first = int(os.environ.get("RESCIND_ALERT_SEED", "0"))
    runs = int(os.environ.get("RESCIND_ALERT_RUNS", str(RUNS)))
    print(f"\nRESCIND_ALERT_SEED={first} RESCIND_ALERT_RUNS={runs}")  # noqa: T201
    tally, wrong = Tally(), []
    for seed in range(first, first + runs):
        folder = tmp_path / str(seed)
        folder.mkdir()
        own = settings_of(kafka)
        wrong += await play(seed, folder, own, tally, realms=REALMS)
        print(tally, *wrong, sep="\n", flush=True)  # noqa: T201
    assert [] == wrong
