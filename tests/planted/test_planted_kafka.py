"""Bugs planted into the engine on Kafka are caught by the crash test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from streams.observability.failpoints import WORKER_POINTS
from tests.campaigns import some
from tests.integration.kafka_cluster import kafka, kafka_launcher
from tests.planted.copies import PRODUCT, copied, plant, run
from tests.planted.kafka_bugs import CRASHES, CrashBug

if TYPE_CHECKING:
    from pathlib import Path

    from streams.devkafka.broker import Cluster

__all__ = ["kafka", "kafka_launcher"]

pytestmark = [pytest.mark.planted, pytest.mark.timeout(600)]

RUNS: Final = 10
# Their scripts end with the revocations: nothing after makes good what one lost.
TAKE_OVERS: Final = ["7118", "7119", "7120", "7121"]


# One for each promise, as each costs a campaign of its own.
QUICK: Final = ("commit before ack", "skip when recovered state says revoked")


def seeds(bug: CrashBug) -> list[str]:
    """Give the runs that end at the point of a bug, or with a take-over."""
    if not bug.point:
        return TAKE_OVERS
    point, points = WORKER_POINTS.index(bug.point), len(WORKER_POINTS)
    return [str(point + points * number) for number in range(bug.first, RUNS)]


@pytest.mark.parametrize("name", some(CRASHES, QUICK))
def test_a_wrong_line_is_caught(
    repository: Path, tmp_path: Path, kafka: Cluster, name: str
) -> None:
    """Some run complains of the changed copy."""
    bug = CRASHES[name]
    copied(repository, tmp_path, *PRODUCT, "tests/integration")
    plant(tmp_path, bug.change)
    module = "tests.integration.kafka_crash_suspect"
    done = run(tmp_path, "-m", module, kafka.bootstrap, *seeds(bug))

    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.startswith("seed "), done.stderr
