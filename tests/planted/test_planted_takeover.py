"""A standby that serves before it has all is caught by the take-over test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.engines.kafka.facts.recovery import Loader
from tests.integration import test_kafka_takeover as suite
from tests.integration.kafka_cluster import kafka, kafka_launcher
from tests.integration.test_kafka_pipeline import KEY

if TYPE_CHECKING:
    from pathlib import Path

    from streams.devkafka.broker import Cluster
    from streams.engines.kafka.client.group_consumer import GroupConsumer
    from streams.engines.kafka.facts.partition import Partition

__all__ = ["kafka", "kafka_launcher"]

pytestmark = [pytest.mark.planted, pytest.mark.timeout(300)]


async def test_a_table_that_is_served_too_early_is_caught(
    tmp_path: Path, kafka: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the log's end as its target a take-over counts as done at once."""
    promote = Loader._promote

    async def early(self: Loader, member: GroupConsumer, partition: Partition) -> None:
        await promote(self, member, partition)
        partition.target = 0

    monkeypatch.setattr(Loader, "_promote", early)
    with pytest.raises(BaseExceptionGroup) as caught:
        await suite.test_a_standby_that_is_behind_serves_nothing_until_it_is_not(
            tmp_path, kafka, monkeypatch
        )

    assert caught.group_contains(AssertionError, match=KEY)
