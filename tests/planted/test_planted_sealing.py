"""Facts that are lost, doubled or changed where they are packed are caught."""

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
    "tests/contract",
    "tests/integration",
    "tests/property",
)
ROWS: Final = "streams/engines/embedded/fact_rows.py"
SEALED: Final = "streams/engines/embedded/sealed_facts.py"
ENTRIES: Final = "streams/engines/embedded/chain_entries.py"
FOLDER: Final = "streams/engines/embedded/data_folder.py"
BUGS: Final = {
    "blocks behind the last that was read are passed over": Change(
        ROWS, "        seen = min(seen, last + len(ids) // ID)", "        pass"
    ),
    "copies of what is packed are written": Change(
        SEALED, "if each in taken and self._holds(key, each)", "if False"
    ),
    "a print stands for its fact": Change(
        SEALED, "if fact is not None and fact.key == key:", "if fact is not None:"
    ),
    "the last fact is packed": Change(
        SEALED, '    " AND c.fact < (SELECT max(offset) FROM recent_facts)"\n', ""
    ),
    "what takes back is packed": Change(SEALED, " and key[0] not in _STAY", ""),
    "entries with heads are dropped": Change(SEALED, "row.head is None", "True"),
    "a mark is not compared": Change(ENTRIES, "!= fact.mark:", "== b'':"),
    "an earlier version finds an empty log": Change(
        FOLDER, "        db.execute(_REFUSAL)\n", ""
    ),
}  # fmt: skip
CHANGES: Final = tuple(BUGS.values())
QUICK: Final = ("blocks behind the last that was read are passed over",)


@pytest.mark.parametrize("name", some(BUGS, QUICK))
def test_a_fact_that_is_lost_or_doubled_is_caught(
    repository: Path, tmp_path: Path, name: str
) -> None:
    """A test fails on the changed copy, by what it asserts."""
    copied(repository, tmp_path, *COPIED)
    plant(tmp_path, BUGS[name])

    tests = ("tests/integration/test_sealing.py", "tests/property/test_sealed_log.py")
    assert caught(run_tests(tmp_path, *tests, "-x"))
