"""Tests of the tests of live sessions: each planted bug must be caught."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.planted.copies import GUARD, caught, copied, passed, plant, run_tests

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


PATIENT = "PATIENCE = 20"


class Bug(NamedTuple):
    """A wrong line."""

    module: str
    right: str
    wrong: str


BUGS = {
    "ends with the identifier that the cause names, not with its ancestors": Bug(
        "agents_registry/footing.py",
        "claims_of(registry, presented)).nodes:",
        "claims_of(registry, presented)).presented:",
    ),
    "a lost lease ends what fails open": Bug(
        "enforcement/sessions.py",
        "and session.mode in modes",
        "and session.mode is not Mode.OBSERVE",
    ),
    "a callback that raises stops the others": Bug(
        "enforcement/sessions.py",
        "except Exception as error:",
        "except ZeroDivisionError as error:",
    ),
}


@pytest.fixture
def copy(tmp_path: Path, repository: Path) -> Path:
    """Give a copy of the guard and of the tests of its sessions."""
    test = "tests/unit/test_sessions.py"
    copied(repository, tmp_path, *GUARD, "pyproject.toml", test)
    plant(tmp_path / test, PATIENT, "PATIENCE = 3")
    return tmp_path


def test_the_sessions_as_they_are_pass(copy: Path) -> None:
    """A copy that fails anyway would catch every bug."""
    assert passed(run_tests(copy, "tests"))


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(copy: Path, name: str) -> None:
    """The tests run (no import error) and one of them fails."""
    bug = BUGS[name]
    plant(copy / bug.module, bug.right, bug.wrong)

    assert caught(run_tests(copy, "tests"))
