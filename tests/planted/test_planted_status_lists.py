"""Bugs planted into status lists are caught by their unit tests.

A copy gets one wrong line; then the tests run on the copy and must fail. The copy as
it is must pass, else the failures would say nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

pytestmark = [pytest.mark.unit, pytest.mark.timeout(300)]

MODULE: Final = "streams/stages/status_list.py"
TEST: Final = "tests/unit/test_status_list.py"
COPIED: Final = (
    "pyproject.toml",
    "streams/__init__.py",
    "streams/stages/__init__.py",
    MODULE,
    "tests/conftest.py",
    TEST,
)
JUDGED: Final = "verdict = judge(registry, presented, now=now, policy=policy)"
OWN: Final = """node = registry.lineage.find(name)
        if node >= 0:
            registry.lineage.parent[node] = -1
        """
# Name to the right line, the wrong one, and the tests that must see it.
BUGS: Final = {
    "bits from the most significant on": (
        "place, shift = divmod(index * self.bits, 8)",
        "place, shift = divmod(index * self.bits, 8); shift = 8 - self.bits - shift",
        "examples_of_the_draft",
    ),
    "only the credential's own causes": (JUDGED, OWN + JUDGED, "revoked_ancestor"),
    "the last name decides": (
        "worst = _worse(worst, verdict.cause)",
        "worst = _worse(Status.VALID, verdict.cause)",
        "worst_of_an_entrys_names",
    ),
    "what may be lifted is for good": (
        "{Effect.SUSPEND, Effect.NARROW}",
        "()",
        "can_be_lifted",
    ),
}


@pytest.fixture
def copy(tmp_path: Path, repository: Path) -> Path:
    """Give a copy of the lists, of the core and of their tests."""
    skip = shutil.ignore_patterns("__pycache__")
    core = "agents_registry"
    shutil.copytree(repository / core, tmp_path / core, ignore=skip)
    for name in COPIED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository / name, tmp_path / name)
    return tmp_path


def run(folder: Path, tests: str) -> subprocess.CompletedProcess[str]:
    """Run tests of a copy up to their first failure."""
    # Lines of a changed copy are no coverage of the product.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", TEST, "-k", tests],
        cwd=folder,
        env={**inherited, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )


def test_the_lists_as_they_are_pass(copy: Path) -> None:
    """A copy that fails anyway would catch every bug."""
    tests = " or ".join(test for _, _, test in BUGS.values())
    result = run(copy, tests)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(copy: Path, name: str) -> None:
    """The tests run (no import error) and one of them fails."""
    right, wrong, tests = BUGS[name]
    path = copy / MODULE
    source = path.read_text("utf-8")
    assert source.count(right) == 1, f"the line of {name!r} has changed"
    path.write_text(source.replace(right, wrong), "utf-8")
    result = run(copy, tests)

    assert result.returncode == 1, result.stdout
    assert "1 failed" in result.stdout
