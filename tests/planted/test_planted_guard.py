"""Bugs planted into the guard that reads Kafka are caught by its tests without Kafka.

A copy gets its wrong lines; then the unit and property tests run on the copy and must
fail. The copy as it is must pass, else the failures would say nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

pytestmark = [pytest.mark.property, pytest.mark.timeout(300)]

PACKAGES: Final = ("agents_registry", "enforcement", "schemas")
TESTS: Final = (
    "tests/conftest.py",
    "tests/property/test_kafka_lease.py",
    "tests/unit/test_kafka_lease.py",
    "tests/unit/test_kafka_replica.py",
    "tests/unit/test_kafka_standing.py",
)
PROPERTY: Final = "tests/property/test_kafka_lease.py"

# Name to the changes (module, right, wrong), and the tests that must complain.
Change = tuple[str, str, str]
BUGS: Final[dict[str, tuple[tuple[Change, ...], str]]] = {
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
    "what a log that is gone denied is forgotten": (
        (("standing", "self.kept += (gone,)", "pass"),),
        "tests/unit",
    ),
    "a newer record is passed over": (
        (("replica", "if error.code in _NEWER and self._ours(key):", "if False:"),),
        "tests/unit",
    ),
    "complete before the end": (
        (("replica", "end >= self._target", "True"),),
        "tests/unit",
    ),
}


@pytest.fixture
def copy(tmp_path: Path, repository: Path) -> Path:
    """Give a copy of the guard and of its tests."""
    skip = shutil.ignore_patterns("__pycache__")
    for package in PACKAGES:
        shutil.copytree(repository / package, tmp_path / package, ignore=skip)
    for name in TESTS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository / name, tmp_path / name)
    shutil.copy(repository / "pyproject.toml", tmp_path)
    return tmp_path


def run(folder: Path, tests: str) -> subprocess.CompletedProcess[str]:
    """Run tests of a copy up to their first failure."""
    # Lines of a changed copy are no coverage of the guard.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:randomly", tests],
        cwd=folder,
        env={**inherited, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )


def test_the_guard_as_it_is_passes(copy: Path) -> None:
    """A copy that fails anyway would catch every bug."""
    result = run(copy, "tests")

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(copy: Path, name: str) -> None:
    """The tests run (no import error) and one of them fails."""
    changes, tests = BUGS[name]
    for module, right, wrong in changes:
        path = copy / "enforcement" / "kafka" / f"{module}.py"
        source = path.read_text("utf-8")
        assert source.count(right) == 1, f"the line of {name!r} has changed"
        path.write_text(source.replace(right, wrong), "utf-8")
    result = run(copy, tests)

    assert result.returncode == 1, result.stdout
    assert "1 failed" in result.stdout
