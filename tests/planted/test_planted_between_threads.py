"""Bugs planted into what threads share without a lock are caught."""

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

NAMES: Final = "agents_registry/names.py"
SEGMENTS: Final = "agents_registry/name_segments.py"
KEEPING: Final = "agents_registry/keeping.py"
CHAINS: Final = "tests/property/test_interned_names.py"
NOTES: Final = "tests/property/test_presented_of_two_tables.py"
COPIED: Final = (
    *PRODUCT, "pyproject.toml", "tests/conftest.py", "tests/__init__.py",
    "tests/property",
)  # fmt: skip
BUGS: Final = {
    "chains count before their heads stand": Change(
        SEGMENTS,
        "        self.heads[:] = heads\n        self.splits[0] = 0\n",
        "        self.splits[0] = 0\n        self.heads[:] = heads\n",
    ),
    "heads stand before the chains": Change(
        SEGMENTS,
        "        self.nexts[1:] = nexts\n        self.splits[1:] = splits\n"
        "        self.heads[:] = heads\n",
        "        self.heads[:] = heads\n"
        "        self.nexts[1:] = nexts\n        self.splits[1:] = splits\n",
    ),
    "two threads make the same chains": Change(
        NAMES,
        "except KeyError:\n            return\n",
        "except KeyError:\n            pass\n",
    ),
    "a name is put into chains that another thread makes": Change(
        NAMES, "if splits[0]:  # another", "if False:  # another"
    ),
    "who was looking meanwhile misses a name": Change(
        NAMES,
        "        if splits[0] or heads[own] != head:\n            return self._missed",
        "        if splits[0]:\n            return self._missed",
    ),
    "the last piece of what was taken up grows": Change(
        NAMES, "        if count % BLOCK:\n", "        if self._blocks:\n"
    ),
    "a verdict is kept of what another table found": Change(
        KEEPING, "for node in found[NODES]:", "for node in presented.found[NODES]:"
    ),
}  # fmt: skip
CHANGES: Final = [*BUGS.values()]


@pytest.fixture
def copy(tmp_path: Path, repository: Path) -> Path:
    """Give a copy of the product and of the tests."""
    return copied_with_shared(repository, tmp_path, *COPIED)


def test_the_copy_as_it_is_passes(copy: Path) -> None:
    """Else a bug would seem to be caught."""
    assert passed(run_tests(copy, CHAINS, NOTES))


@pytest.mark.parametrize("name", BUGS)
def test_a_wrong_line_is_caught(copy: Path, name: str) -> None:
    """The tests fail on the changed copy."""
    plant(copy, BUGS[name])

    assert caught(run_tests(copy, CHAINS, NOTES))
