"""Analysis that goes before what guards wait for is caught by the tests of turns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.planted.copies import (
    PRODUCT,
    Change,
    caught,
    copied_with_shared,
    passed,
    plant,
    run_tests,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.planted, pytest.mark.timeout(120)]

TESTS: Final = "tests/unit/test_right_of_way.py"
COPIED: Final = (*PRODUCT, "pyproject.toml", TESTS)
WAY: Final = "streams/engines/embedded/right_of_way.py"
LOG: Final = "streams/engines/embedded/feed_log.py"
SENDER: Final = "streams/http/fact_sender.py"
BUGS: Final = {
    "analysis goes before the feed": Change(
        "enforcement/turns.py",
        "if loop.before is not None and loop.before.taken():",
        "if False:",
    ),
    "a commit of a cause lets analysis go on": Change(
        LOG,
        "                self._way.take(start + len(facts))",
        "                pass",
    ),
    "analysis goes on before the last guard was sent a cause": Change(
        SENDER, "if not self._awaited and self.handed_on", "if self.handed_on"
    ),
    "a guard that does not read is waited for again and again": Change(
        SENDER, "if now - since < AWAITED_SECONDS", "if since >= 0"
    ),
    "a guard that is gone is waited for": Change(
        SENDER,
        "            connection.ready = False\n            self._reached(connection)\n",
        "            connection.ready = False\n",
    ),
    "analysis rests as long as guards do not read": Change(
        WAY, "self._until > 0.0 and self._clock() < self._until", "self._until > 0.0"
    ),
    "causes without end leave analysis no time": Change(
        WAY, "self._next = until + (until - self._since)", "self._next = until"
    ),
    "a commit of before lets analysis go on": Change(
        WAY, "or end < self._offset or", "or"
    ),
    "analysis begins beside guards that take a cause up": Change(
        WAY, "until = self._clock() + TAKEN_UP", "until = self._clock()"
    ),
}
CHANGES: Final = tuple(BUGS.values())


def test_the_unchanged_copy_passes(repository: Path, tmp_path: Path) -> None:
    """Else failures of the others would say nothing."""
    copied_with_shared(repository, tmp_path, *COPIED)

    assert passed(run_tests(tmp_path, TESTS))


@pytest.mark.parametrize("name", BUGS)
def test_a_wrong_turn_is_caught(repository: Path, tmp_path: Path, name: str) -> None:
    """A test fails on the changed copy, by what it asserts."""
    copied_with_shared(repository, tmp_path, *COPIED)
    plant(tmp_path, BUGS[name])

    assert caught(run_tests(tmp_path, TESTS, "--timeout=20"))
