"""Bugs planted into the acts of an incident, in the API and the console, are caught."""

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

CONSOLE: Final = "tests/integration/test_console_incident.py"
PAGES: Final = "tests/integration/test_findings_pages.py"
COPIED: Final = (
    *PRODUCT, "pyproject.toml", "tests/conftest.py", "tests/__init__.py",
    "tests/integration",
)  # fmt: skip
CONTAIN = "streams/console/pages/contain.py"
FINDING = "streams/console/pages/findings.py"
FINDINGS = "streams/http/findings.py"
# Name to the file, the right line, the wrong one, and the tests that must see it.
BUGS: Final = {
    "applies a plan whatever changed": (
        CONTAIN, 'form.get("anyway") == "yes"', "True", CONSOLE, "plan_that_changed",
    ),
    "orders twice": (
        "streams/http/plans.py", "if plan.applied is not None:", "if None:", CONSOLE,
        "from_a_finding",
    ),
    "lets a person be the second one": (
        "streams/stages/ingest/approvals.py", "if ours & {_folded(person)",
        "if set() & {_folded(person)", CONSOLE, "second_person",
    ),
    "shows acts to a reader": (
        FINDING, '"may_act": page.person.may("revoker", "restorer"),',
        '"may_act": True,', CONSOLE, "reader",
    ),
    "silences twice": (
        FINDING, '"key": form.get("key") or None,', '"key": None,', CONSOLE,
        "silence_is",
    ),
    "shows a secret that was typed": (
        CONTAIN, "**await _without_secrets(given, page.person.hashed_kinds),",
        "**given,", CONSOLE, "cannot_be_made",
    ),
    "puts text of others out as it is": (
        "streams/console/templates.py", "autoescape=True", "autoescape=False", CONSOLE,
        "second_person",
    ),
    "lets readers acknowledge": (
        FINDINGS, '= ("revoker", "restorer")', '= ("viewer", "revoker", "restorer")',
        PAGES, "acknowledgement",
    ),
    "acknowledges without a line of the audit chain": (
        "streams/services/acknowledgements.py",
        "await self._log.record_act(act, [Put(ACKNOWLEDGEMENT, given.finding, body)])",
        "await self._kept.put(ACKNOWLEDGEMENT, given.finding, body)", PAGES,
        "acknowledgement",
    ),
}  # fmt: skip


def change(name: str) -> Change:
    """Give the wrong line of a bug."""
    file, right, wrong, *_ = BUGS[name]
    return Change(file, right, wrong)


CHANGES: Final = [change(name) for name in BUGS]


@pytest.fixture
def copy(tmp_path: Path, repository: Path) -> Path:
    """Give a copy of the product and of the tests."""
    return copied_with_shared(repository, tmp_path, *COPIED)


def test_the_copy_as_it_is_passes(copy: Path) -> None:
    """Else a bug would seem to be caught."""
    assert passed(run_tests(copy, CONSOLE, PAGES))


@pytest.mark.parametrize("name", BUGS)
def test_a_wrong_line_is_caught(copy: Path, name: str) -> None:
    """The tests fail on the changed copy."""
    plant(copy, change(name))

    found = run_tests(copy, BUGS[name][3], "-k", BUGS[name][4])

    assert caught(found)
