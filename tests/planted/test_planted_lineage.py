"""Bugs planted into a neighbourhood and its picture are caught."""

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

pytestmark = [pytest.mark.planted, pytest.mark.timeout(300)]

TABLE: Final = "tests/property/test_lineages.py"
PICTURE: Final = "tests/property/test_console_graph.py"
COPIED: Final = (
    *PRODUCT, "pyproject.toml", "tests/conftest.py", "tests/__init__.py",
    "tests/property",
)  # fmt: skip
STAGE, CONSOLE = "streams/stages/lineage", "streams/console/graph"
# Name to the file, the right line, the wrong one, and the tests that must see it.
BUGS: Final = {
    "answers that a dead node lives": (
        f"{STAGE}/answer.py", '"allowed": verdict.allowed,', '"allowed": True,', TABLE,
    ),
    "draws a dead node as living": (
        f"{CONSOLE}/states.py", "    if allowed:\n", "    if allowed or reason:\n",
        PICTURE,
    ),
    "leaves something out and does not count it": (
        f"{STAGE}/ranking.py", "in range(len(around)):",
        "in range(len(around) - 1):", TABLE,
    ),
    "counts what is left out at the wrong node": (
        f"{CONSOLE}/neighbourhood.py", 'below=LeftOut.read(plain["below"])',
        'below=LeftOut.read(plain["above"])', PICTURE,
    ),
    "does not see a use since the end": (
        f"{STAGE}/ranking.py", "if ended is not None and used > ended:",
        "if ended is not None and used < ended:", TABLE,
    ),
    "draws an edge to nothing": (
        f"{STAGE}/answer.py", "if other in there and other != place:",
        "if other != place:", TABLE,
    ),
    "keeps an owner that was replaced": (
        f"{STAGE}/walk.py", "yield owned if any(name in some for some in owners",
        "yield owned if any(some for some in owners", TABLE,
    ),
    "shows more than its limit": (
        f"{STAGE}/ranking.py", "if len(way) + len(self.shown) >= self._limit:",
        "if len(way) >= self._limit:", TABLE,
    ),
    "draws two boxes at one place": (
        f"{CONSOLE}/layout.py", "            free += 1\n",
        "            free += len(below)\n", PICTURE,
    ),
    "puts a name into the picture as it is": (
        f"{CONSOLE}/svg.py", "return escape(clean if len(clean) <= TOLD",
        "return (clean if len(clean) <= TOLD", PICTURE,
    ),
}  # fmt: skip


def change(name: str) -> Change:
    """Give the wrong line of a bug."""
    file, right, wrong, _ = BUGS[name]
    return Change(file, right, wrong)


CHANGES: Final = [change(name) for name in BUGS]


@pytest.fixture
def copy(tmp_path: Path, repository: Path) -> Path:
    """Give a copy of the product and of the tests of neighbourhoods."""
    return copied_with_shared(repository, tmp_path, *COPIED)


def test_the_copy_as_it_is_passes(copy: Path) -> None:
    """Else a bug would seem to be caught."""
    assert passed(run_tests(copy, TABLE, PICTURE))


@pytest.mark.parametrize("name", BUGS)
def test_a_wrong_line_is_caught(copy: Path, name: str) -> None:
    """The tests fail on the changed copy."""
    plant(copy, change(name))

    assert caught(run_tests(copy, BUGS[name][3], RESCIND_EXAMPLES="2000"))
