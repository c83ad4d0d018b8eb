"""Tests in processes forked from one: all run, once, and all that fails is told."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

TESTS = """
import os, pathlib, signal
import pytest

NOTES = pathlib.Path(__file__).with_name("notes")

def note(text):
    with NOTES.open("a") as file:
        file.write(text + chr(10))

@pytest.fixture(scope="session")
def server():
    yield
    note("ended")

@pytest.fixture(scope="module")
def begun():
    note("begun")

def test_kills_its_process():
    os.kill(os.getpid(), signal.SIGKILL)

@pytest.mark.parametrize("number", range(9))
def test_passes(number, begun, server, tmp_path):
    assert f"popen-{os.environ['PYTEST_XDIST_WORKER']}" in str(tmp_path)
    note(f"ran {number}")

def test_fails():
    print("what it printed")
    raise AssertionError("what was wrong")

def test_is_skipped():
    pytest.skip("for a reason")

@pytest.fixture
def ends_badly():
    yield
    raise ValueError("what ended badly")

def test_whose_fixture_ends_badly(ends_badly):
    pass
"""


def run(folder: Path, *more: str) -> tuple[str, list[str]]:
    """Run these tests; give what was printed, and their notes."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_some.py").write_text(TESTS)
    # fmt: off
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-c", folder / "pytest.ini",
            "-p", "tests.forks", "-p", "no:cacheprovider", "-p", "no:randomly",
            "-W", "ignore", "--forks", "2",
            "--basetemp", folder / "temporary", *more, folder,
        ],
        capture_output=True, text=True, check=False,
    )
    # fmt: on
    return done.stdout + done.stderr, (folder / "notes").read_text().splitlines()


def test_all_run_once_and_what_fails_is_told(tmp_path: Path) -> None:
    """Also of a process that dies, and what it had not run yet."""
    printed, notes = run(tmp_path)

    assert sorted(note for note in notes if "ran" in note) == [
        f"ran {number}" for number in range(9)
    ]
    assert "ended" in notes
    assert re.search("2 failed, 10 passed, 1 skipped, 1 error", printed), printed
    for text in (
        "what it printed", "what was wrong", "what ended badly",
        "exit code -9 of the process that ran it",
    ):  # fmt: skip
        assert text in printed


def test_the_first_failure_ends_a_run_where_so_asked(tmp_path: Path) -> None:
    """The fixtures of the others end first."""
    printed, notes = run(tmp_path, "-x", "-k", "passes or fails")

    assert "1 failed" in printed
    assert "stopping after 1 failures" in printed
    assert "ended" in notes
