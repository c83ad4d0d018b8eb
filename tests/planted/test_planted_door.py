"""Bugs planted into what processes pass on to each other are caught by its tests."""

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

TEST: Final = "tests/integration/test_door.py"
COPIED: Final = (*PRODUCT, "pyproject.toml", "tests/conftest.py", "tests/integration")
DOOR, ANSWERS = "streams/http/door.py", "streams/http/fleet_answers.py"
PEERS: Final = "streams/clients/peers.py"
HOPPED: Final = "HOPS in request.headers"
HOP: Final = f"if {HOPPED}:\n                return await"
# Name to the file, the right line, the wrong one, and the test that must see it.
BUGS: Final = {
    "asks one of two that believe to have it": (
        ANSWERS, "if len(found) == 1:", "if found:", "two_that_believe",
    ),
    "joins parts that changed hands": (
        ANSWERS, "if about != digest_of(", "if None and (", "parts_are",
    ),
    "names partitions that it lost meanwhile": (
        DOOR, "if stage and before ==", "if stage or before ==", "parts_are_joined",
    ),
    "passes on what was passed on": (DOOR, HOP, HOP.replace(HOPPED, "None"), "once"),
    "sends an order twice": (
        ANSWERS, "if error.sent and not route.again:", "if None:", "not_sent_twice",
    ),
    "works for strangers": (
        DOOR, 'if route.proof == "token":', "if None:", "stranger",
    ),
    "follows a redirect": (
        PEERS, "allow_redirects=False", "allow_redirects=True", "redirect",
    ),
    "waits for who hangs": (
        PEERS, "while missed < MOST_SILENT:", "while True:", "who_hangs",
    ),
}  # fmt: skip


def change(name: str) -> Change:
    """Give the wrong line of a bug."""
    file, right, wrong, _ = BUGS[name]
    return Change(file, right, wrong)


CHANGES: Final = [change(name) for name in BUGS]


@pytest.fixture
def copy(tmp_path: Path, repository: Path) -> Path:
    """Give a copy of the product and of the tests of the door."""
    return copied(repository, tmp_path, *COPIED)


def test_the_copy_as_it_is_passes(copy: Path) -> None:
    """Else each failure below would say nothing."""
    assert passed(run_tests(copy, TEST))


@pytest.mark.parametrize("name", BUGS)
def test_a_wrong_line_is_caught(copy: Path, name: str) -> None:
    """By the test that is there for it."""
    plant(copy, change(name))

    assert caught(run_tests(copy, TEST, "-k", BUGS[name][3]))
