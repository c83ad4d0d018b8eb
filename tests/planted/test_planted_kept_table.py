"""Checks of the table beside the log that are left out are caught by its tests."""

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
    "tests/integration",
)
FILE: Final = "streams/pipeline/table_file.py"
KEPT: Final = "streams/engines/embedded/kept_table.py"
BUGS: Final = {
    "the checksum is not compared": Change(
        FILE, "if data[:start] != MAGIC + _digest(genesis, [content]):", "if 0:"
    ),
    "the version is not compared": Change(
        FILE, 'if head["fits"] != _fits(genesis, vocabulary):', "if 0:"
    ),
    "the entry of the chain is not compared": Change(
        KEPT, "== [(last, position - 1)]", "!= []"
    ),
    "what was pruned is not compared": Change(
        KEPT, 'about["pruned"] != self._pruned', "False"
    ),
    "what was pruned below the table is passed over": Change(
        KEPT,
        '"pruned": self._pruned}',
        '"pruned": (await self._store.read(_PRUNED))[0][0]}',
    ),
    "where facts were taken back is forgotten": Change(FILE, 'realm["rebuilt"]', "0"),
    "what is to be built anew is kept": Change(
        KEPT, "return named and idle and not registry.needs_rebuild", "return idle"
    ),
    "what was not listed is passed over": Change(
        KEPT, "min(self.position, facts.relist)", "self.position"
    ),
}  # fmt: skip
CHANGES: Final = tuple(BUGS.values())
QUICK: Final = ("the entry of the chain is not compared",)


@pytest.mark.parametrize("name", some(BUGS, QUICK))
def test_a_check_that_is_left_out_is_caught(
    repository: Path, tmp_path: Path, name: str
) -> None:
    """A test fails on the changed copy, by what it asserts."""
    copied(repository, tmp_path, *COPIED)
    plant(tmp_path, BUGS[name])

    assert caught(run_tests(tmp_path, "tests/integration/test_kept_table.py", "-x"))
