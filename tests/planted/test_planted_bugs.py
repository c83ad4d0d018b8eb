"""Tests of the tests: every planted bug is caught, and how fast."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.planted.bugs import BUGS, Bug, plant

if TYPE_CHECKING:
    from pathlib import Path

MOST = 10_000  # examples, as in a run of the properties
# The same worlds every time: a bug is caught or it is not, never only mostly.
SEED = os.environ.get("RESCIND_SEED", "1")

pytestmark = [pytest.mark.property, pytest.mark.timeout(300)]


def examine(folder: Path, root: Path) -> dict[str, Any]:
    """Run the properties in a process that finds the core in this folder first."""
    command = [sys.executable, "-m", "tests.planted.suspect", SEED, str(MOST)]
    path = os.pathsep.join([str(folder), str(root)])
    # Lines of a changed copy are no coverage of the core.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**inherited, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["core"].startswith(str(folder)), "the changed core was not loaded"
    return report


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_every_planted_bug_is_caught(
    bug: Bug, tmp_path: Path, repository: Path, record_property: Any
) -> None:
    """The properties complain of the changed core within a few thousand examples."""
    plant(bug, repository / "agents_registry", tmp_path)
    report = examine(tmp_path, repository)
    record_property("examples", report["examples"])
    assert report["complaint"], f"not seen in {MOST} examples, RESCIND_SEED={SEED}"


def test_the_core_as_it_is_gives_no_complaint(tmp_path: Path, repository: Path) -> None:
    """A check that complains of everything would catch every bug."""
    shutil.copytree(repository / "agents_registry", tmp_path / "agents_registry")
    assert examine(tmp_path, repository)["complaint"] is None


def test_a_bug_that_cannot_be_planted_fails_loudly(
    tmp_path: Path, repository: Path
) -> None:
    """Text that is gone from the core is an error, never a bug that was caught."""
    gone = Bug("gone", "scope.py", (("text that is not there", ""),))
    with pytest.raises(LookupError, match="0 times"):
        plant(gone, repository / "agents_registry", tmp_path)
