"""Tests of the guard's tests: each planted bug must be caught.

A copy of the guard gets one wrong line; then its unit tests run on the copy and must
fail. The copy without a wrong line must pass, else the failures would say nothing.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.unit


class Bug(NamedTuple):
    """A wrong line."""

    module: str
    right: str
    wrong: str


BUGS = {
    "lease from the time of the pong": Bug(
        "standing",
        "self.lease.pong(seq,",
        "self.lease._sent[seq] = self._clock(); self.lease.pong(seq,",
    ),
    "lease longer than the server's": Bug(
        "lease", "min(self.length, remaining)", "self.length"
    ),
    "lease before the proven end is applied": Bug("lease", "if end <= position", ""),
    "one ping proves twice": Bug("lease", "_sent.pop(seq, None)", "_sent.get(seq)"),
    "lease by the wall clock": Bug(
        "guard", "now = self._clock()", "now = self._wall() - 900 * SECOND"
    ),
    "gap check skipped": Bug("replica", "if start != self.position:", "if False:"),
    "gap keeps the lease": Bug("standing", "isinstance(error, GapError)", "False"),
    "genesis of the pong ignored": Bug(
        "standing", "        self.meet(genesis)\n", "        genesis = 'g1'\n"
    ),
    "shorter log served": Bug("standing", "end < replica.position", "False"),
    "caught up with another log": Bug(
        "standing", "self.caught_up and not forget", "self.caught_up"
    ),
    "complete with the first chunk": Bug("replica", "if not more:", "if True:"),
    "position before the facts": Bug(
        "replica",
        "        yield from self._merge((yield from _read(facts)), at=start)\n",
        "        self.position = end\n"
        "        yield from self._merge((yield from _read(facts)), at=start)\n",
    ),
    "unreadable fact skipped": Bug(
        "replica", "raise MalformedError(str(error)) from error", "continue"
    ),
    "correction proven before the rebuild": Bug(
        "replica", "min(self.position, self._corrected_at)", "self.position"
    ),
    "successor without its corrections": Bug(
        "replica", "self.genesis, tuple(self.corrections)", "self.genesis"
    ),
    "successor in force while behind": Bug(
        "standing", "replica.position < current", "False"
    ),
    "token one too early": Bug("standing", "token.offset <=", "token.offset <= 1 +"),
    "miss means allow": Bug("guard", "not judged.allowed\n", "judged.cause\n"),
    "snapshot counts as catch-up": Bug(
        "guard", "if not self.standing.caught_up:", "if not self.standing.replica:"
    ),
    "fail open asks no token": Bug(
        "guard", "if at_least is not None:", "if at_least and mode.value < 'fail_o':"
    ),
    "no lease, no denial": Bug("guard", "if stale and mode is not", "if mode is"),
    "a log that is gone is not asked": Bug(
        "guard", "if not earlier.allowed and earlier", "if False and earlier"
    ),
    "observe denies": Bug(
        "guard", "allowed=observed or not refused", "allowed=not refused"
    ),
}


@pytest.fixture
def copy(tmp_path: Path, repository: Path) -> Path:
    """Give a copy of the guard and of its unit tests."""
    for package in ("agents_registry", "enforcement"):
        shutil.copytree(
            repository / package,
            tmp_path / package,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    tests = tmp_path / "tests" / "unit"
    tests.mkdir(parents=True)
    for test in (repository / "tests" / "unit").glob("test_lease*.py"):
        shutil.copy(test, tests)
    shutil.copy(repository / "tests" / "unit" / "test_replica.py", tests)
    shutil.copy(repository / "tests" / "conftest.py", tests.parent)
    shutil.copy(repository / "pyproject.toml", tmp_path)
    return tmp_path


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the unit tests of a copy up to their first failure."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "tests"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


def test_the_guard_as_it_is_passes(copy: Path) -> None:
    """A copy that fails anyway would catch every bug."""
    result = run(copy)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(copy: Path, name: str) -> None:
    """The tests run (no import error) and one of them fails."""
    bug = BUGS[name]
    module = copy / "enforcement" / f"{bug.module}.py"
    source = module.read_text()
    assert source.count(bug.right) == 1, f"the line of {name!r} has changed"
    module.write_text(source.replace(bug.right, bug.wrong))
    result = run(copy)

    assert result.returncode == 1, result.stdout
    assert "1 failed" in result.stdout
