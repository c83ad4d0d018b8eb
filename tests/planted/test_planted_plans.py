"""Bugs planted into what a plan sees, and into how it is applied, are caught."""

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

WORLDS: Final = "tests/property/test_plans.py"
SERVER: Final = "tests/integration/test_plans.py"
EXAMPLES: Final = "6000"  # within so many worlds each shows
COPIED: Final = (
    *PRODUCT, "pyproject.toml", "tests/conftest.py", "tests/__init__.py",
    "tests/property", "tests/integration",
)  # fmt: skip
FATES, ASSUMED = "streams/stages/plans/fates.py", "streams/stages/plans/assumed.py"
CHANGES_OF, PLANS = "streams/stages/plans/changes.py", "streams/http/plans.py"
# Name to the file, the right line, the wrong one, and the tests that must see it.
BUGS: Final = {
    "counts what is dead already": (
        FATES, "if node in dead_now:", "if node not in via:", WORLDS,
    ),
    "does not look at what is owned": (
        FATES, "in downs(registry, node):", "in registry.lineage.children(node):",
        WORLDS,
    ),
    "forgets the causes that stand": (
        ASSUMED, "chain(self._book.on(node), super().on(node))", "super().on(node)",
        WORLDS,
    ),
    "assumes in the table itself": (
        ASSUMED, "bytearray(registry.lineage.flags)", "registry.lineage.flags", WORLDS,
    ),
    "does not see a narrow": (
        FATES, "(yield from limited(sweep, now)) if narrows else ()", "()", WORLDS,
    ),
    "tells of nothing that went": (
        CHANGES_OF, "    if len(missing):", "    if None:", SERVER,
    ),
    "applies what is another thing": (
        PLANS, 'if changes["changed"]:', "if None:", SERVER,
    ),
    "applies what is void": (
        PLANS, "if plan.expires_at <= self._clock():", "if None:", SERVER,
    ),
    "applies twice": (PLANS, "if plan.applied is not None:", "if None:", SERVER),
}  # fmt: skip


def change(name: str) -> Change:
    """Give the wrong line of a bug."""
    file, right, wrong, _ = BUGS[name]
    return Change(file, right, wrong)


CHANGES: Final = [change(name) for name in BUGS]


@pytest.fixture
def copy(tmp_path: Path, repository: Path) -> Path:
    """Give a copy of the product and of the tests of plans."""
    return copied_with_shared(repository, tmp_path, *COPIED)


def test_the_copy_as_it_is_passes(copy: Path) -> None:
    """Else a bug would seem to be caught."""
    assert passed(run_tests(copy, WORLDS, SERVER))


@pytest.mark.parametrize("name", BUGS)
def test_a_wrong_line_is_caught(copy: Path, name: str) -> None:
    """The tests fail on the changed copy."""
    plant(copy, change(name))

    found = run_tests(copy, BUGS[name][3], RESCIND_EXAMPLES=EXAMPLES)

    assert caught(found)
