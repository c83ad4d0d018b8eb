"""Wrong lines where uses are read in batches are caught by the tests of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.campaigns import some
from tests.planted.copies import (
    PRODUCT,
    Change,
    caught,
    copied,
    copied_with_shared,
    plant,
    run_tests,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.planted, pytest.mark.timeout(120)]

COPIED: Final = (
    *PRODUCT,
    "pyproject.toml",
    "tests/conftest.py",
    "tests/generators",
    "tests/unit",
)
TIERS: Final = (
    "examples/openbao", "tests/property", "tests/integration", "tests/samples",
)  # fmt: skip
USES: Final = "streams/sources/aws/use_batches.py"
EXCERPTS: Final = "streams/services/excerpt_writer.py"
LINES: Final = "streams/sources/reading/event_batches.py"
TEST: Final = "tests/unit/test_use_batches.py"
BUGS: Final = {
    "a caller is known by its key alone": Change(
        USES, "if seen != identity:", "if seen is None:"
    ),
    "a digest is a use": Change(USES, "or DIGEST in event", "or False"),
    "a call that changes something is a use": Change(
        USES, "elif idle is None:", "elif False:"
    ),
    "a call that failed was allowed": Change(
        USES, 'if event.get("errorCode"):', 'if event.get("errorcode"):'
    ),
    "a caller with a secret is told as it is": Change(
        EXCERPTS, "self._caller(who) if conceal(who) is who else None",
        "self._caller(who)",
    ),
    "a call with a secret is told as it is": Change(
        EXCERPTS, "self._calls[call] = conceal(bare) is bare",
        "self._calls[call] = True",
    ),
    "an id that is a secret is told as it is": Change(
        EXCERPTS, "and all(made) and not ids.translate(None, _HEX):", "and all(made):"
    ),
    "who used a credential first is told of all of its uses": Change(
        EXCERPTS, "places[DENIED] = who", "places[:] = [who] * len(places)"
    ),
    "what carries events is one": Change(
        LINES, "and all(map(_is_bare, events))", ""
    ),
}  # fmt: skip
PIECES_TEST: Final = "tests/property/test_line_pieces.py"
SHAPES_TEST: Final = "tests/property/test_secret_shapes.py"
LINEAGE_TEST: Final = "tests/property/test_hunt_lineage.py"
WHOLE: Final = "streams/sources/aws/use_lines.py"
LINEAGE: Final = "streams/services/hunt_lineage.py"
DEATHS_TEST: Final = "tests/property/test_deaths.py"
ALIKE_TEST: Final = "tests/property/test_hunt_processes.py"
PROCESSES_TEST: Final = "tests/integration/test_hunt_processes.py"
PROCESSES: Final = "streams/services/hunt_processes.py"
FORKS: Final = "streams/services/hunt_forks.py"
BESIDE: Final = {  # with the test that catches it
    "a time ends where it is known": (PIECES_TEST, Change(
        WHOLE, "if not (call.startswith(_END) and account.startswith(_END)):",
        "if not account.startswith(_END):",
    )),
    "an id has no escapes": (PIECES_TEST, Change(
        WHOLE, 'if b"".join(ids).translate(None, _HEX) or ', "if "
    )),
    "the first of two names counts": (PIECES_TEST, Change(
        WHOLE, "said = before | behind", "said = behind | before"
    )),
    "who calls is all that stands before the time": (PIECES_TEST, Change(
        WHOLE, "said.keys() != _WHO_ALONE", "_WHO not in said"
    )),
    "no request matters": (PIECES_TEST, Change(
        WHOLE, "if uses and caller and self._says_nothing(request):",
        "if uses and caller:",
    )),
    "what envelopes are named by is no name": (PIECES_TEST, Change(
        WHOLE, "if not _CALL.issuperset(said):", "if False:"
    )),
    "a document ends where an event seems to be none": (PIECES_TEST, Change(
        LINES, "                return []\n", "                return found\n"
    )),
    "a document may end in any way": (PIECES_TEST, Change(
        LINES, "document is None or not self.data.endswith(_END)", "document is None"
    )),
    "a lineage hides owners": (LINEAGE_TEST, Change(
        LINEAGE, "and not (record.owners or record.attributes)", ""
    )),
    "a log that issues makes nobody known": (LINEAGE_TEST, Change(
        LINEAGE, "known=origin.issuer_log)", "known=False)"
    )),
    "a secret without a mark of its own": (SHAPES_TEST, Change(
        "agents_registry/secret_shapes.py", ' or "AIza" in text', ""
    )),
    "a suspend lasts": (DEATHS_TEST, Change(
        "agents_registry/deaths.py",
        "self.first + 1 - deaths.inclusive if final else NEVER",
        "self.first + 1 - deaths.inclusive",
    )),
    "a part is read up to its first block": (
        "tests/property/test_log_blocks.py",
        Change(
            "streams/services/log_blocks.py", "            start = behind\n",
            "            return\n",
        ),
    ),
    "the rest of a file is read by nobody": (ALIKE_TEST, Change(
        PROCESSES, "self._waiting.extendleft(reversed(message))", "pass"
    )),
    "a share is judged by nobody": (ALIKE_TEST, Change(
        FORKS, "for share in range(1, shares)", "for share in range(2, shares)"
    )),
    "the last of a share's neighbours is judged by nobody": (ALIKE_TEST, Change(
        "streams/services/hunt.py", "// 2 % shares", "// 2"
    )),
    "forks read by one position of a file": ("tests/unit/test_hunt_uses.py", Change(
        "streams/services/hunt_uses.py", "if self._end > self._most:", "if False:"
    )),
    "a fork that reads holds the pipes of others": (PROCESSES_TEST, Change(
        PROCESSES, "other.close()", "pass"
    )),
    "a fork that judges holds the pipes of others": (PROCESSES_TEST, Change(
        FORKS, "other.close()", "pass"
    )),
    "what a fork lost is judged by nobody": (PROCESSES_TEST, Change(
        FORKS, "return work()", "return []"
    )),
    "what is begun beside is taken by nobody": (
        "tests/integration/test_backtest_processes.py",
        Change("streams/services/backtest.py", "*unknown()", ""),
    ),
    "answers of one share are forgotten": (
        "tests/property/test_backtest_answers.py",
        Change(
            "streams/services/backtest_answers.py",
            "self._ended[target, at] = ended", "pass",
        ),
    ),
}  # fmt: skip
CHANGES: Final = (*BUGS.values(), *(change for _, change in BESIDE.values()))
QUICK: Final = ("a caller is known by its key alone",)


@pytest.mark.parametrize("name", some(BUGS, QUICK))
def test_a_wrong_line_is_caught(repository: Path, tmp_path: Path, name: str) -> None:
    """The tests of batches fail on the changed copy, by what they assert."""
    copied(repository, tmp_path, *COPIED)
    plant(tmp_path, BUGS[name])

    assert caught(run_tests(tmp_path, TEST, "-m", "unit"))


@pytest.mark.parametrize("name", some(BESIDE, ()))
def test_a_wrong_line_beside_it_is_caught(
    repository: Path, tmp_path: Path, name: str
) -> None:
    """In deaths of many uses, and in what processes read, judge and leave behind."""
    copied_with_shared(repository, tmp_path, *COPIED, *TIERS)
    test, change = BESIDE[name]
    plant(tmp_path, change)

    assert caught(run_tests(tmp_path, test, "-m", "not long"))
