"""Tests of the tests of live sessions: each planted bug must be caught."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.unit.test_guard_planted import run

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
        "for node in closure.nodes:",
        "for node in (closure.claims.node,):",
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
    for package in ("agents_registry", "enforcement"):
        shutil.copytree(
            repository / package,
            tmp_path / package,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    tests = tmp_path / "tests" / "unit"
    tests.mkdir(parents=True)
    source = (repository / "tests" / "unit" / "test_sessions.py").read_text()
    assert PATIENT in source
    (tests / "test_sessions.py").write_text(source.replace(PATIENT, "PATIENCE = 3"))
    shutil.copy(repository / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_sessions_as_they_are_pass(copy: Path) -> None:
    """A copy that fails anyway would catch every bug."""
    result = run(copy)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(copy: Path, name: str) -> None:
    """The tests run (no import error) and one of them fails."""
    bug = BUGS[name]
    module = copy / bug.module
    source = module.read_text()
    assert source.count(bug.right) == 1, f"the line of {name!r} has changed"
    module.write_text(source.replace(bug.right, bug.wrong))
    result = run(copy)

    assert result.returncode == 1, result.stdout
    assert "1 failed" in result.stdout
