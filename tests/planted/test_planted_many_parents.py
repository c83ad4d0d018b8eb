"""Bugs planted into names with very many parents are caught."""

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

FURTHER: Final = "agents_registry/further_edges.py"
LINEAGE: Final = "agents_registry/lineage.py"
CLOSURE: Final = "agents_registry/closure.py"
SWEEP: Final = "agents_registry/sweep.py"
TEST: Final = "tests/unit/test_many_parents.py"
COPIED: Final = (
    *PRODUCT, "pyproject.toml", "tests/conftest.py", "tests/counted.py", TEST,
)  # fmt: skip
BUGS: Final = {
    "the places of a long list are not known after a start": Change(
        FURTHER, "            if len(edges) > SHORT:\n", "            if not edges:\n"
    ),
    "makers are told twice after a start": Change(
        FURTHER, "            if len(makers) > SHORT:\n", "            if False:\n"
    ),
    "a list that becomes a long one has one place": Change(
        FURTHER, "        if count > SHORT + 1:\n", "        if count > SHORT:\n"
    ),
    "a long list is looked through": Change(
        FURTHER,
        "        if count > SHORT:\n            return self",
        "        if False:\n            return self",
    ),
    "the last relation stays": Change(
        FURTHER, "max(edges[place][1], strength)", "strength"
    ),
    "all parents are looked at": Change(LINEAGE, "[node][:most]", "[node]"),
    "a sweep looks at some parents": Change(
        SWEEP, "lineage.parents(node)]", "lineage.parents(node, 8192)]"
    ),
    "a prune looks at some parents": Change(
        "agents_registry/pruning.py", "lineage.parents(node))",
        "lineage.parents(node, 8192))",
    ),
    "what is kept alone is ended at once": Change(
        SWEEP, "                    if (looks := looks + 1) > STEP:\n"
        "                        looks = 0\n                        yield\n", "",
    ),
    "names are walked, whatever their edges": Change(
        CLOSURE, "looks := looks + 1 + len(parents) // EDGES", "looks := looks + 1"
    ),
    "who expires has its children looked through at once": Change(
        "agents_registry/life.py", "looks := looks + 1 + len(children)",
        "looks := looks + 1",
    ),
    "who is proved is counted, whatever hangs on it": Change(
        "agents_registry/ownership.py", "looks + 1 + len(served) // EDGES",
        "looks + 1",
    ),
    "below a horizon names are counted, whatever their edges": Change(
        "agents_registry/life.py", "looks + 1 + len(closure.parents(node)) // EDGES",
        "looks + 1",
    ),
    "a sweep below a horizon counts names alone": Change(
        SWEEP, "looks + EDGES + len(self._above[node])", "looks + EDGES"
    ),
    "what hangs on some is found at once": Change(
        SWEEP, "                if (looks := looks + 1) > LOOKS:\n"
        "                    looks = 0\n                    yield\n"
        "                if down", "                if down",
    ),
}  # fmt: skip
CHANGES: Final = [*BUGS.values()]


def test_the_copy_as_it_is_passes(repository: Path, tmp_path: Path) -> None:
    """Else a bug would seem to be caught."""
    copied(repository, tmp_path, *COPIED)
    assert passed(run_tests(tmp_path, TEST))


@pytest.mark.parametrize("name", BUGS)
def test_it_is_caught(repository: Path, tmp_path: Path, name: str) -> None:
    """The tests fail on the changed copy, by what they assert."""
    copied(repository, tmp_path, *COPIED)
    plant(tmp_path, BUGS[name])
    assert caught(run_tests(tmp_path, TEST))
