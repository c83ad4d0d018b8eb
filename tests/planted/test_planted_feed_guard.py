"""Tests of the guard's tests: each planted bug must be caught.

A copy of the guard gets one wrong line; then its unit tests run on the copy and must
fail. The copy without a wrong line must pass, else the failures would say nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from tests.planted.copies import GUARD, Change, caught, copied, passed, plant, run_tests

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.planted


class Bug(NamedTuple):
    """A wrong line in a module of the guard."""

    module: str
    right: str
    wrong: str

    @property
    def change(self) -> Change:
        """The wrong line."""
        return Change(f"enforcement/{self.module}.py", self.right, self.wrong)


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
        "conclusion", "now = self._clock()", "now = self.time._wall() - 900 * 10**9"
    ),
    "lease of a kept verdict": Bug(
        "guard",
        "(clock := self._clock()) < standing.deadline",
        "(clock := self._clock()) is not None",
    ),
    "clock of a kept verdict read before the table": Bug(
        "guard",
        "            if read is not None:\n                seal,",
        "            clock = self._clock()\n            if read is not None:\n"
        "                self._clock = lambda clock=clock: clock\n"
        "                seal,",
    ),
    "a kept verdict beside the table of a log that is gone": Bug(
        "guard", "at_least is None and not standing.kept:", "at_least is None:"
    ),
    "a kept verdict for who asks for more": Bug(
        "guard", "if at_least is None and not standing", "if not standing"
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
    "miss means allow": Bug("conclusion", "not judged.allowed\n", "judged.cause\n"),
    "snapshot counts as catch-up": Bug(
        "conclusion",
        "if not standing.caught_up:",
        "if not standing.replica:",
    ),
    "fail open asks no token": Bug(
        "conclusion",
        "if at_least is not None:",
        "if at_least and mode.value < 'fail_o':",
    ),
    "no lease, no denial": Bug("conclusion", "if stale and mode is not", "if mode is"),
    "what a log that is gone denied is forgotten": Bug(
        "standing", "self.kept += (self.replica.registry,)", "pass"
    ),
    "a lost tail is forgotten": Bug(
        "standing", "self._gone or self._is_ahead_of(replica)", "self._gone"
    ),
    "a log that is gone is not asked": Bug(
        "judging", "if not earlier.allowed and earlier", "if False and earlier"
    ),
    "lease that stands still while the machine sleeps": Bug(
        "clocks",
        'getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)',
        "time.CLOCK_MONOTONIC",
    ),
    "successor without the copy that it is due for": Bug(
        "replica",
        "            self.corrections[fact] = None\n            if self._corrected_at",
        "            if self._corrected_at",
    ),
    "observe denies": Bug(
        "conclusion", "allowed=observed or not refused", "allowed=not refused"
    ),
}

CHANGES: Final = [bug.change for bug in BUGS.values()]


@pytest.fixture
def copy(tmp_path: Path, repository: Path) -> Path:
    """Give a copy of the guard and of its unit tests."""
    leases = sorted((repository / "tests/unit").glob("test_lease*.py"))
    return copied(
        repository,
        tmp_path,
        *GUARD,
        "pyproject.toml",
        "tests/conftest.py",
        "tests/unit/test_clocks.py",
        "tests/unit/test_replica.py",
        *(f"tests/unit/{test.name}" for test in leases),
    )


def test_the_guard_as_it_is_passes(copy: Path) -> None:
    """A copy that fails anyway would catch every bug."""
    assert passed(run_tests(copy, "tests"))


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(copy: Path, name: str) -> None:
    """The tests run (no import error) and one of them fails."""
    plant(copy, BUGS[name].change)

    assert caught(run_tests(copy, "tests"))
