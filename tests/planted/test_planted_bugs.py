"""Tests of the tests: every planted bug is caught, and how fast."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.planted.bugs import BUGS, Bug
from tests.planted.copies import copied, plant, run

if TYPE_CHECKING:
    from pathlib import Path

# The same worlds every time: a bug is caught or it is not, never only mostly.
OWN = os.environ.get("RESCIND_SEED")
MOST = 10_000 if OWN else 1_000  # examples

pytestmark = [pytest.mark.planted, pytest.mark.timeout(300)]


def examine(folder: Path, root: Path, seed: int, *topics: str) -> dict[str, Any]:
    """Run the properties in a process that finds the core in this folder first."""
    path = os.pathsep.join([str(folder), str(root)])
    done = run(
        folder,
        "-m",
        "tests.planted.suspect",
        OWN or str(seed),
        str(MOST),
        *topics,
        PYTHONPATH=path,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["core"].startswith(str(folder)), "the changed core was not loaded"
    return report


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_every_planted_bug_is_caught(
    bug: Bug, tmp_path: Path, repository: Path, record_property: Any
) -> None:
    """The properties complain of the changed core within a thousand examples."""
    copied(repository, tmp_path, "agents_registry")
    plant(tmp_path, *bug.changes)
    report = examine(tmp_path, repository, bug.seed, *bug.topics)
    record_property("examples", report["examples"])
    assert report["complaint"], f"not seen in {MOST} examples"


@pytest.mark.parametrize(
    ("seed", "topics"), sorted({(bug.seed, bug.topics) for bug in BUGS})
)
def test_the_core_as_it_is_gives_no_complaint(
    tmp_path: Path, repository: Path, seed: int, topics: tuple[str, ...]
) -> None:
    """In the worlds in which the bugs are caught; else any complaint would do."""
    copied(repository, tmp_path, "agents_registry")
    assert examine(tmp_path, repository, seed, *topics)["complaint"] is None


def test_a_bug_that_cannot_be_planted_fails_loudly(
    tmp_path: Path, repository: Path
) -> None:
    """Text that is gone from the core is an error, never a bug that was caught."""
    copied(repository, tmp_path, "agents_registry")
    gone = BUGS[0].changes[0]._replace(right="text that is not there")
    with pytest.raises(LookupError, match="0 times"):
        plant(tmp_path, gone)
