"""Bugs planted into the guard that reads Kafka are caught by its tests without Kafka.

A copy gets its wrong lines; then the unit and property tests run on the copy and must
fail. The copy as it is must pass, else the failures would say nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.planted.copies import GUARD, Change, caught, copied, passed, plant, run_tests

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.planted, pytest.mark.timeout(300)]

COPIED: Final = (
    *GUARD,
    "schemas",
    "pyproject.toml",
    "tests/conftest.py",
    "tests/property/test_kafka_lease.py",
    "tests/unit/test_kafka_lease.py",
    "tests/unit/test_kafka_replica.py",
    "tests/unit/test_kafka_standing.py",
)
PROPERTY: Final = "tests/property/test_kafka_lease.py"

# Name to the changes (module, right, wrong), and the tests that must complain.
BUGS: Final[dict[str, tuple[tuple[tuple[str, str, str], ...], str]]] = {
    "heartbeat newer than the lease judged at receipt": (
        (
            (
                "standing",
                "self.lease.beat(beat.offset)",
                "self.lease.beaten_at = self._clock()",
            ),
            (
                "lease",
                "min(self._until(position), self._until(self._beat))",
                "min(self._until(position), vars(self).get('beaten_at', 0) + 100)",
            ),
        ),
        PROPERTY,
    ),
    "the answer counts from its arrival": (
        (
            (
                "standing",
                "self.lease.ended(question.sent, end)",
                "self.lease.ended(self._clock(), end)",
            ),
        ),
        PROPERTY,
    ),
    "no heartbeat needed": (
        (
            (
                "lease",
                "min(self._until(position), self._until(self._beat))",
                "self._until(position)",
            ),
        ),
        PROPERTY,
    ),
    "a heartbeat of another log counts": (
        (("standing", "if beat.genesis == self.genesis:", "if beat.genesis:"),),
        "tests/unit",
    ),
    "a log that lost its tail is served": (
        (("standing", "end < question.position", "False"),),
        "tests/unit",
    ),
    "the log is not identified after a lapse": (
        (("standing", "self._held and not self.holds()", "False"),),
        "tests/unit",
    ),
    "a newer record is passed over": (
        (("replica", "if error.code in NEWER and self._ours(key):", "if False:"),),
        "tests/unit",
    ),
    "complete before the end": (
        (("replica", "end >= self._target", "True"),),
        "tests/unit",
    ),
}


def changes(name: str) -> list[Change]:
    """Give the wrong lines of a bug."""
    return [
        Change(f"enforcement/kafka/{module}.py", right, wrong)
        for module, right, wrong in BUGS[name][0]
    ]


CHANGES: Final = [change for name in BUGS for change in changes(name)]


@pytest.fixture
def copy(tmp_path: Path, repository: Path) -> Path:
    """Give a copy of the guard and of its tests."""
    return copied(repository, tmp_path, *COPIED)


def test_the_guard_as_it_is_passes(copy: Path) -> None:
    """A copy that fails anyway would catch every bug."""
    assert passed(run_tests(copy, "tests"))


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(copy: Path, name: str) -> None:
    """The tests run (no import error) and one of them fails."""
    plant(copy, *changes(name))

    assert caught(run_tests(copy, BUGS[name][1]))
