"""Bugs planted into how poison and another log are met are caught by their tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from attrs import frozen

from tests.campaigns import some
from tests.integration.kafka_cluster import kafka, kafka_launcher
from tests.planted.copies import PRODUCT, caught, copied, plant, run_tests

if TYPE_CHECKING:
    from pathlib import Path

    from streams.devkafka.broker import Cluster

__all__ = ["kafka", "kafka_launcher"]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

COPIED: Final = (
    *PRODUCT,
    "pyproject.toml",
    "tests/conftest.py",
    "tests/integration",
)
RECORDS: Final = "test_kafka_poison.py::test_each_bad_record_of_facts"
CRASH: Final = "test_kafka_poison.py::test_a_crash_between"
RAW: Final = "test_kafka_poison.py::test_each_bad_record_of_a_raw"
ANOTHER: Final = "test_kafka_genesis.py::test_a_checkpoint_of_another_log"
HEAD: Final = "test_kafka_genesis.py::test_a_log_without_its_head"
STALE: Final = "test_kafka_genesis.py::test_a_stale_checkpoint"


@frozen
class Bug:
    """A wrong line, and the test that must see it."""

    module: str
    right: str
    wrong: str
    test: str


BUGS: Final = {
    "a dead letter is left out": Bug(
        "facts/registry",
        "letters(topic, partition.number, count, partition.poison)",
        "letters(topic, partition.number, count, partition.poison[1:])",
        RECORDS,
    ),
    "a partition stops at poison": Bug(
        "facts/partition",
        "            if offset >= self.relist:\n",
        "            raise\n            if offset >= self.relist:\n",
        RECORDS,
    ),
    "a dead letter is named by its reader": Bug(
        "records/payloads",
        "place.partition % partitions, str(place))",
        'place.partition % partitions, f"{place}/{id(record)}")',
        CRASH,
    ),
    "a raw record is named by chance": Bug(
        "ingress/ingress",
        "self._fresh_id() if place is None else str(place)",
        "self._fresh_id()",
        RAW,
    ),
    "genesis is not compared": Bug(
        "facts/recovery",
        "        if of != genesis:\n            return False\n",
        "",
        ANOTHER,
    ),
    "any genesis will do, wherever the log begins": Bug(
        "records/genesis",
        "lost = {tp.partition: start for tp, start in starts.items() if start > 0}\n"
        "        left = {tp for tp in parts if ends[tp] > starts[tp] == 0}\n",
        "lost = dict[int, int]()\n"
        "        left = {tp for tp in parts if ends[tp] > starts[tp]}\n",
        HEAD,
    ),
    "a checkpoint is served as it is": Bug(
        "facts/registry", " or not partition.ready:", ":", STALE
    ),
}


# One for poison, one for another log; each starts a suite of its own.
QUICK: Final = ("a dead letter is left out", "genesis is not compared")


@pytest.mark.parametrize("name", some(BUGS, QUICK))
def test_a_wrong_line_is_caught(
    repository: Path, tmp_path: Path, kafka: Cluster, name: str
) -> None:
    """The test fails on the changed copy, by what it asserts."""
    bug = BUGS[name]
    copied(repository, tmp_path, *COPIED)
    plant(tmp_path / f"streams/engines/kafka/{bug.module}.py", bug.right, bug.wrong)
    file, _, test = bug.test.partition("::")

    assert caught(
        run_tests(
            tmp_path, f"tests/integration/{file}", "-k", test,
            RESCIND_TEST_KAFKA_AT=kafka.bootstrap,
        )
    )  # fmt: skip
