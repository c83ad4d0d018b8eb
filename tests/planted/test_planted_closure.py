"""Bugs planted into how engines follow causes are caught by the contract of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.planted.copies import (
    PRODUCT,
    Change,
    caught,
    copied,
    passed,
    plant,
    run_tests,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.planted, pytest.mark.timeout(300)]

SHARED: Final = "streams/pipeline/closure.py"
PARTITION: Final = "streams/engines/kafka/closure/closure_partition.py"
STORED: Final = "streams/engines/embedded/closures.py"
REGISTRY: Final = "streams/engines/embedded/guard_registry.py"
ON_TOPICS: Final = "tests/unit/test_kafka_closure.py"
ON_FILE: Final = "tests/integration/test_closures_engine.py"
TESTS: Final = "TestClosures or counted_again"
COPIED: Final = (
    *PRODUCT, "conformance", "pyproject.toml", "rescind_guard", "tests/__init__.py",
    "tests/conftest.py", "tests/contract", "tests/integration", "tests/unit",
)  # fmt: skip
# Name to the wrong line, and where its test is.
BUGS: Final = {
    "a cause that is late is forgotten once that is saved": (
        Change(SHARED, "offset not in self.open and self.offsets", "self.offsets"),
        ON_FILE,
    ),
    "no finding on a late target ends": (
        Change(SHARED, "self.targets.settle(cause.target)", "False"),
        ON_TOPICS,
    ),
    "a take-over counts again": (
        Change(SHARED, "if cause.offset >= new:", "if new >= 0:"),
        ON_TOPICS,
    ),
    "causes are dated by their deadline": (
        Change(SHARED, "late=late)\n\n    def step", "late=True)\n\n    def step"),
        ON_TOPICS,
    ),
    "the next owner begins behind what is open": (
        Change(PARTITION, "next(iter(each.causes.open), floor)", "floor"),
        ON_TOPICS,
    ),
    "what is open is not saved": (
        Change(STORED, "(*results.values(), *pending)", "(*results.values(),)"),
        ON_FILE,
    ),
    "what is late is saved and not taken up as such": (
        Change(STORED, "each.outcome.state is ProofState.PARTIAL", "False"),
        ON_FILE,
    ),
    "who left comes back with a restart": (
        Change(REGISTRY, "None)\n        self.unsaved.add(guard)", "None)"),
        ON_FILE,
    ),
    "an operator's word holds until a restart": (
        Change(
            REGISTRY, '            tx.stages.put_named("guards", [(guard, None)])\n', ""
        ),
        ON_FILE,
    ),
}  # fmt: skip
CHANGES: Final = [change for change, _ in BUGS.values()]


@pytest.fixture
def copy(tmp_path: Path, repository: Path) -> Path:
    """Give a copy of the product and of the tests."""
    names = (name for name in COPIED if (repository / name).exists())
    return copied(repository, tmp_path, *names)


def test_the_engines_as_they_are_pass(copy: Path) -> None:
    """A copy that fails anyway would catch every bug."""
    assert passed(run_tests(copy, ON_TOPICS, ON_FILE, "-k", TESTS))


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(copy: Path, name: str) -> None:
    """The tests run (no import error) and one of them fails."""
    change, tests = BUGS[name]
    plant(copy, change)

    assert caught(run_tests(copy, tests, "-k", TESTS))
