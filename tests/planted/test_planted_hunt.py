"""Wrong lines where uses are read in batches are caught by the tests of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.campaigns import some
from tests.planted.copies import PRODUCT, Change, caught, copied, plant, run_tests

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.planted, pytest.mark.timeout(120)]

COPIED: Final = (
    *PRODUCT,
    "pyproject.toml",
    "tests/conftest.py",
    "tests/generators",
    "tests/unit",
)
USES: Final = "streams/sources/aws/use_batches.py"
EXCERPTS: Final = "streams/services/hunt_excerpts.py"
LINES: Final = "streams/sources/reading/event_batches.py"
TEST: Final = "tests/unit/test_use_batches.py"
BUGS: Final = {
    "a caller is known by its key alone": Change(
        USES, "if seen != identity:", "if seen is None:"
    ),
    "a digest is a use": Change(USES, "or DIGEST in event", "or False"),
    "a call that failed was allowed": Change(
        USES, 'if event.get("errorCode"):', 'if event.get("errorcode"):'
    ),
    "a caller with a secret is told as it is": Change(
        EXCERPTS, "self._caller(use) if conceal(who) is who else None",
        "self._caller(use)",
    ),
    "a call with a secret is told as it is": Change(
        EXCERPTS, "made if conceal(what) is what else None", "made"
    ),
    "an id that is a secret is told as it is": Change(
        EXCERPTS, "or made is None or not hexed", "or made is None"
    ),
    "what carries events is one": Change(
        LINES, "or not all(map(WRAPPING.isdisjoint, bodies))", ""
    ),
}  # fmt: skip
CHANGES: Final = tuple(BUGS.values())
QUICK: Final = ("a caller is known by its key alone",)


@pytest.mark.parametrize("name", some(BUGS, QUICK))
def test_a_wrong_line_is_caught(repository: Path, tmp_path: Path, name: str) -> None:
    """The tests of batches fail on the changed copy, by what they assert."""
    copied(repository, tmp_path, *COPIED)
    plant(tmp_path, BUGS[name])

    assert caught(run_tests(tmp_path, TEST, "-m", "unit"))
