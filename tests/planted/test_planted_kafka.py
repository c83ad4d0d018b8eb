"""Bugs planted into the engine on Kafka are caught by the crash test."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

import pytest

from streams.engines.kafka.checkpoints.uses_file import UsesFile
from streams.observability.failpoints import WORKER_POINTS
from streams.pipeline.unsaved import UnsavedOutputs
from tests.campaigns import some
from tests.integration.kafka_cluster import kafka, kafka_launcher
from tests.planted.copies import PRODUCT, copied, plant, run
from tests.planted.kafka_bugs import CRASHES, CrashBug
from tests.unit import test_beside as beside

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


def test_uses_that_live_in_memory_only_are_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No seed has a use, a kill and its cause in this order: a test of its own does."""
    right = beside.test_a_use_is_remembered_over_a_restart_for_a_cause_that_comes_late
    with closing(UsesFile(tmp_path / "right.db")) as file:
        right(file)
    monkeypatch.setattr(UnsavedOutputs, "uses", lambda _: iter(()))

    found = pytest.raises(AssertionError, match="use_after_revocation")
    with closing(UsesFile(tmp_path / "wrong.db")) as file, found:
        right(file)
