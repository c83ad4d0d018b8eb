"""Bugs planted into the guard for threads and into WSGI are caught by their tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.planted.copies import GUARD, Change, caught, copied, passed, plant, run_tests

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.planted, pytest.mark.timeout(300)]

COPIED: Final = (
    *GUARD,
    "schemas",
    "pyproject.toml",
    "tests/conftest.py",
    "tests/unit/test_loop_guard.py",
    "tests/unit/test_parting.py",
    "tests/unit/test_thread_tasks.py",
    "tests/unit/test_threaded_guard.py",
    "tests/unit/test_wsgi.py",
)
THREADS: Final = "enforcement/threads.py"
TASKS: Final = "enforcement/thread_tasks.py"
WSGI: Final = "enforcement/wsgi.py"

BUGS: Final = {
    "a part of a table that somebody holds is emptied": Change(
        "enforcement/parting.py",
        "if _references(parts) > _OURS or not",
        "if not",
    ),
    "a check goes on over facts that came between": Change(
        THREADS, "now = (table, table.changes, standing.kept)", "now = (table,)"
    ),
    "a check goes on over another table": Change(
        THREADS, "seen is not None and seen != now", "seen and seen[1:] != now[1:]"
    ),
    "a check keeps the lock to its end": Change(
        THREADS, "while time.monotonic() < until:", "while until:"
    ),
    "a long check takes the lock again at once": Change(
        THREADS, "        time.sleep(PAUSE_SECONDS)", "        pass"
    ),
    "work of the dead begins": Change(
        TASKS,
        "if not verdict.allowed:\n            raise",
        "if False:\n            raise",
    ),
    "an interruption leaves its signal with a handler": Change(
        TASKS, "signal.signal(WAKE, self._before)", "pass"
    ),
    "a call that waits is not interrupted": Change(
        TASKS, "signal.pthread_kill(self._thread, WAKE)", "pass"
    ),
    "a session that is over ends what its loop does now": Change(
        "enforcement/loops.py",
        "        self.active = False\n        if self._w",
        "        if self._w",
    ),
    "a callback runs in the guard's thread": Change(
        "enforcement/loops.py",
        "loop.call_soon_threadsafe(session.end, verdict)",
        "session.end(verdict)",
    ),
    "a response goes on after the first piece": Change(
        WSGI,
        "                self.demand()\n                begun",
        "                begun",
    ),
    "a write of the old way is not asked about": Change(
        WSGI, "                request.demand()\n", ""
    ),
    "a denial is served": Change(
        WSGI,
        "if not verdict.allowed:\n            return",
        "if False:\n            return",
    ),
    "nothing presented is let through": Change(WSGI, "if names is None:", "if False:"),
}

CHANGES: Final = list(BUGS.values())


@pytest.fixture
def copy(tmp_path: Path, repository: Path) -> Path:
    """Give a copy of the guard and of its tests."""
    return copied(repository, tmp_path, *COPIED)


def test_the_guard_as_it_is_passes(copy: Path) -> None:
    """A copy that fails anyway would catch every bug."""
    assert passed(run_tests(copy, "tests"))


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(copy: Path, name: str) -> None:
    """The tests run (no import error) and one of them fails."""
    plant(copy, BUGS[name])

    assert caught(run_tests(copy, "tests"))
