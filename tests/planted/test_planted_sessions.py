"""Tests of the tests of live sessions: each planted bug must be caught."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.planted.copies import GUARD, Change, caught, copied, passed, plant, run_tests

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.planted

TEST: Final = "tests/unit/test_sessions.py"
COMMIT: Final = "tests/unit/test_commit.py"
IMPATIENT: Final = Change(TEST, "PATIENCE = 20", "PATIENCE = 3")

BUGS = {
    "ends with the identifier that the cause names, not with its ancestors": Change(
        "agents_registry/verdict_dependencies.py",
        "claims_of(registry, presented)).nodes:",
        "claims_of(registry, presented)).presented:",
    ),
    "a lost lease ends what fails open": Change(
        "enforcement/sessions.py",
        "and session.mode in modes",
        "and session.mode is not Mode.OBSERVE",
    ),
    "a commit takes a proof that is older": Change(
        "enforcement/awaiting.py", "enough = self._clock() + ", "enough = 0 * "
    ),
    "a commit without a proof passes": Change(
        "enforcement/guard.py", "Mode.FAIL_CLOSED and not proven:", "not mode:"
    ),
    "a callback that raises stops the others": Change(
        "enforcement/sessions.py",
        "except Exception as error:",
        "except ZeroDivisionError as error:",
    ),
}

CHANGES: Final = (IMPATIENT, *BUGS.values())


@pytest.fixture
def copy(tmp_path: Path, repository: Path) -> Path:
    """Give a copy of the guard and of the tests of its sessions."""
    copied(repository, tmp_path, *GUARD, "pyproject.toml", TEST, COMMIT)
    plant(tmp_path, IMPATIENT)
    return tmp_path


def test_the_sessions_as_they_are_pass(copy: Path) -> None:
    """A copy that fails anyway would catch every bug."""
    assert passed(run_tests(copy, "tests"))


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(copy: Path, name: str) -> None:
    """The tests run (no import error) and one of them fails."""
    plant(copy, BUGS[name])

    assert caught(run_tests(copy, "tests"))
