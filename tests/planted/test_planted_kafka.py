"""Bugs planted into the engine on Kafka are caught by the crash test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from attrs import frozen

from streams.observability.failpoints import WORKER_POINTS
from tests.campaigns import some
from tests.integration.kafka_cluster import kafka, kafka_launcher
from tests.planted.copies import PRODUCT, copied, plant, run

if TYPE_CHECKING:
    from pathlib import Path

    from streams.devkafka.broker import Cluster

__all__ = ["kafka", "kafka_launcher"]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

RUNS: Final = 10
# Their scripts end with the revocations: nothing after makes good what one lost.
TAKE_OVERS: Final = ["7118", "7119", "7120", "7121"]


@frozen
class Bug:
    """A wrong line, and the failpoint where it matters; none for a take-over.

    Attributes:
        first: of the runs that end there, where the script is one that shows it.
    """

    module: str
    right: str
    wrong: str
    point: str
    first: int = 0


BUGS: Final = {
    "commit before ack": Bug(
        "facts/registry",
        "            await self._publish(listed, poison)\n",
        "            for partition, each in listed:\n"
        "                partition.finish([each])\n"
        "            for partition in ours:\n"
        "                partition.save()\n"
        "            await self._commit(at_once=True)\n"
        "            await self._publish(listed, poison)\n"
        "            listed = []\n",
        "registry.published",
        first=1,
    ),
    "skip when recovered state says revoked": Bug(
        "facts/recovery",
        "        partition.position = max(partition.position, begin)\n",
        "        partition.position = max(partition.position, begin)\n"
        "        partition.relist = partition.target\n",
        "registry.applied",
    ),
    "record key = realm": Bug(
        "ingress/ingress",
        "        key=encoded.key.encode(),\n",
        '        key=f"{realm}/{fact.NAME}".encode(),\n',
        "registry.saved",
    ),
    "a standby lists nothing again that its table knows": Bug(
        "facts/recovery",
        "            relist = int(committed.offset)\n",
        "            relist = partition.position\n",
        "",
    ),
    "remembered uses live in memory only": Bug(
        "sentinel/access_partition",
        "                for key, body in each.uses.items()\n",
        "                for key, body in list(each.uses.items())[:0]\n",
        "sentinel.committed",
        first=3,
    ),
}


# One for each promise, as each costs a campaign of its own.
QUICK: Final = ("commit before ack", "skip when recovered state says revoked")


def seeds(bug: Bug) -> list[str]:
    """Give the runs that end at the point of a bug, or with a take-over."""
    if not bug.point:
        return TAKE_OVERS
    point, points = WORKER_POINTS.index(bug.point), len(WORKER_POINTS)
    return [str(point + points * number) for number in range(bug.first, RUNS)]


@pytest.mark.parametrize("name", some(BUGS, QUICK))
def test_a_wrong_line_is_caught(
    repository: Path, tmp_path: Path, kafka: Cluster, name: str
) -> None:
    """Some run complains of the changed copy."""
    bug = BUGS[name]
    copied(repository, tmp_path, *PRODUCT, "tests/integration")
    plant(tmp_path / f"streams/engines/kafka/{bug.module}.py", bug.right, bug.wrong)
    module = "tests.integration.kafka_crash_suspect"
    done = run(tmp_path, "-m", module, kafka.bootstrap, *seeds(bug))

    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.startswith("seed "), done.stderr
