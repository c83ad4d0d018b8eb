"""Bugs planted into containment are caught by its own tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.planted.copies import PRODUCT, Change, caught, copied, plant, run_tests

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.planted, pytest.mark.timeout(240)]

STAGE = "streams/stages/containment/containment.py"
DECISION = "streams/stages/containment/decision.py"
SUBJECTS = "streams/stages/containment/subjects.py"
WORKER = "streams/services/containment.py"
BACKTEST = "streams/services/backtest.py"
RULES = "tests/property/test_containment.py"
PROCESS = "tests/unit/test_containment_worker.py"
HISTORY = "tests/unit/test_backtest.py"

BUGS = {
    "limit of reach ignored": (
        RULES, Change(STAGE, "if reach > rule.blast_limit:", "if reach < 0:"),
    ),
    "limit of an hour ignored": (
        RULES, Change(STAGE, ">= rule.per_hour:", "< 0:"),
    ),
    "shadow writes": (
        RULES,
        Change(DECISION, "self.mode is ContainmentMode.ENFORCE and self.c", "self.c"),
    ),
    "another principal": (
        RULES,
        Change(SUBJECTS, "if contain is ContainedName.CREDENTIAL:", "if own:"),
    ),
    "any source is believed": (
        "tests/unit/test_containment.py",
        Change(STAGE, "authority is not None and self._speaks", "self._reach or"),
    ),
    "what was withdrawn counts as contained": (
        "tests/unit/test_containment.py",
        Change(STAGE, "return bool(written) and not", "return not written and not"),
    ),
    "a decision is made anew after a crash": (
        PROCESS,
        Change(
            WORKER,
            "        await self._kept.put(KIND, decision.key, decision.dump())\n"
            "        self._undone",
            "        self._undone",
        ),
    ),
    "what is done is not noted": (
        PROCESS, Change(WORKER, "attrs.evolve(decision, done=True)", "decision"),
    ),
    "what could not be written is told as done": (
        PROCESS, Change(WORKER, "if written.dead_letters:", "if written is None:"),
    ),
    "what could not be kept is forgotten": (
        PROCESS,
        Change(
            WORKER,
            "for name in self._unkept.keys() & bodies.keys():",
            "for name in list(self._unkept):",
        ),
    ),
    "rules act on what was there before": (
        PROCESS,
        Change(WORKER, "            await self._begin()\n", "            pass\n"),
    ),
    "a use of what had ended is hit": (
        HISTORY,
        Change(BACKTEST, "and ends(time) is not None:", "and ends is None:"),
    ),
    "what leaked counts as a bystander": (
        HISTORY, Change(BACKTEST, "other, name == about)", "other, named=False)"),
    ),
}  # fmt: skip
CHANGES = [change for _, change in BUGS.values()]


@pytest.mark.parametrize("name", BUGS)
def test_its_tests_catch_it(repository: Path, tmp_path: Path, name: str) -> None:
    """Each in a copy of its own; the same tests pass without it."""
    tests, change = BUGS[name]
    folder = copied(repository, tmp_path, *PRODUCT, "tests", "pyproject.toml")
    plant(folder, change)

    assert caught(run_tests(folder, tests))
