"""Bugs planted into status lists are caught by their unit tests.

A copy gets one wrong line; then the tests run on the copy and must fail. The copy as
it is must pass, else the failures would say nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.planted.copies import Change, caught, copied, passed, plant, run_tests

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.planted, pytest.mark.timeout(300)]

MODULE: Final = "streams/stages/status/status_list.py"
TEST: Final = "tests/unit/test_status_list.py"
COPIED: Final = (
    "agents_registry",
    "pyproject.toml",
    "streams/__init__.py",
    "streams/stages/__init__.py",
    MODULE,
    "tests/conftest.py",
    TEST,
)
JUDGED: Final = (
    "verdict = yield from judging(registry, entry.presented, now=now, policy=policy)"
)
OWN: Final = """for name in entry.identifiers:
        node = registry.lineage.find(name)
        if node >= 0:
            registry.lineage.parent[node] = -1
    """
# Name to the right line, the wrong one, and the tests that must see it.
BUGS: Final = {
    "bits from the most significant on": (
        "place, shift = divmod(index * self.bits, 8)",
        "place, shift = divmod(index * self.bits, 8); shift = 8 - self.bits - shift",
        "examples_of_the_draft",
    ),
    "only the credential's own causes": (JUDGED, OWN + JUDGED, "revoked_ancestor"),
    "the last name decides": (
        "judging(registry, entry.presented, now",
        "judging(registry, Presented(entry.identifiers[-1:]), now",
        "worst_of_an_entrys_names",
    ),
    "what may be lifted is for good": (
        "{Effect.SUSPEND, Effect.NARROW}",
        "()",
        "can_be_lifted",
    ),
}


def change(name: str) -> Change:
    """Give the wrong line of a bug."""
    right, wrong, _ = BUGS[name]
    return Change(MODULE, right, wrong)


CHANGES: Final = [change(name) for name in BUGS]


@pytest.fixture
def copy(tmp_path: Path, repository: Path) -> Path:
    """Give a copy of the lists, of the core and of their tests."""
    return copied(repository, tmp_path, *COPIED)


def test_the_lists_as_they_are_pass(copy: Path) -> None:
    """A copy that fails anyway would catch every bug."""
    tests = " or ".join(test for _, _, test in BUGS.values())

    assert passed(run_tests(copy, TEST, "-k", tests))


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(copy: Path, name: str) -> None:
    """The tests run (no import error) and one of them fails."""
    plant(copy, change(name))

    assert caught(run_tests(copy, TEST, "-k", BUGS[name][2]))
