"""Bugs planted into how poison and another log are met are caught by their tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.campaigns import some
from tests.integration.kafka_cluster import kafka, kafka_launcher
from tests.planted.copies import PRODUCT, caught, copied, plant, run_tests
from tests.planted.kafka_bugs import INPUT

if TYPE_CHECKING:
    from pathlib import Path

    from streams.devkafka.broker import Cluster

__all__ = ["kafka", "kafka_launcher"]

pytestmark = [pytest.mark.planted, pytest.mark.timeout(300)]

COPIED: Final = (
    *PRODUCT,
    "pyproject.toml",
    "tests/conftest.py",
    "tests/integration",
)

# One for poison, one for another log; each starts a suite of its own.
QUICK: Final = ("a dead letter is left out", "genesis is not compared")


@pytest.mark.parametrize("name", some(INPUT, QUICK))
def test_a_wrong_line_is_caught(
    repository: Path, tmp_path: Path, kafka: Cluster, name: str
) -> None:
    """The test fails on the changed copy, by what it asserts."""
    bug = INPUT[name]
    copied(repository, tmp_path, *COPIED)
    plant(tmp_path, bug.change)
    file, _, test = bug.test.partition("::")

    assert caught(
        run_tests(
            tmp_path, f"tests/integration/{file}", "-m", "", "-k", test,
            RESCIND_TEST_KAFKA_AT=kafka.bootstrap,
        )
    )  # fmt: skip
