"""Wrong lines in what the console says of the fleet are caught by its tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.planted.copies import (
    PRODUCT,
    Change,
    caught,
    copied,
    passed,
    plant,
    run_tests,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.planted, pytest.mark.timeout(300)]

COPIED: Final = (
    *PRODUCT, "pyproject.toml", "tests/conftest.py", "tests/planted/copies.py",
    "tests/property/test_audit_chain.py", "tests/unit",
)  # fmt: skip
CHECK: Final = "streams/services/chain_check.py"
ROWS: Final = "streams/services/inventory_rows.py"
TAKEN: Final = "self._verifier.take(line)"
HELD: Final = "self.end, self.state = self._verifier.end(), CheckState.HOLDS"
# Name to the file, the right line, the wrong one, and the module that must see it.
BUGS: Final = {
    "says verified of a link that was not read": (
        CHECK, TAKEN, f"{TAKEN} if self.lines % 2 else None",
        "tests/unit/test_chain_check.py",
    ),
    "says verified of a chain without its end": (
        CHECK, HELD, "self.end, self.state = self.head, CheckState.HOLDS",
        "tests/unit/test_chain_check.py",
    ),
    "leaves the head out that the check began with": (
        CHECK, "decode_fact, [last, *known], behind", "decode_fact, known, behind",
        "tests/unit/test_chain_check.py",
    ),
    "saves a cell that a spreadsheet computes": (
        "streams/console/text.py", "if text.startswith(_COMPUTED):", "if not text:",
        "tests/unit/test_console_fleet_pages.py",
    ),
    "saves a part of a list as the whole": (
        "streams/console/pages/inventory.py",
        "if answer.problem is not None:\n            told =",
        "if answer.problem is not None:\n            return\n            told =",
        "tests/unit/test_console_fleet_pages.py",
    ),
    "waits for ever for a browser that takes nothing": (
        "streams/console/downloads.py", "asyncio.timeout(WRITE_SECONDS)",
        "asyncio.timeout(None)", "tests/unit/test_console_fleet_pages.py",
    ),
    "goes on one row too far": (
        ROWS, "yield place + 1, row", "yield place + 2, row",
        "tests/unit/test_inventory_rows.py",
    ),
    "leaves out what expires together": (
        ROWS, "key[:2] <= after", "key[0] <= after[0]",
        "tests/unit/test_inventory_rows.py",
    ),
}  # fmt: skip


def change(name: str) -> Change:
    """Give the wrong line of a bug."""
    file, right, wrong, _ = BUGS[name]
    return Change(file, right, wrong)


CHANGES: Final = [change(name) for name in BUGS]


@pytest.fixture
def copy(tmp_path: Path, repository: Path) -> Path:
    """Give a copy of the product and of the tests of these pages."""
    return copied(repository, tmp_path, *COPIED)


def test_the_copy_as_it_is_passes(copy: Path) -> None:
    """Else each failure below would say nothing."""
    for module in sorted({each[3] for each in BUGS.values()}):
        assert passed(run_tests(copy, module))


@pytest.mark.parametrize("name", BUGS)
def test_a_wrong_line_is_caught(copy: Path, name: str) -> None:
    """By the tests that are there for it."""
    plant(copy, change(name))
    assert caught(run_tests(copy, BUGS[name][3]))
