"""Tests of the tests: a reader of a shared table that says something else is seen."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.planted.copies import (
    GUARD as GUARD_SOURCES,
)
from tests.planted.copies import (
    Change,
    caught,
    copied,
    passed,
    plant,
    run,
    run_tests,
)

if TYPE_CHECKING:
    from pathlib import Path

SEED = 5
MOST = 4_000  # steps

WRITING = "enforcement/shared/writing.py"
CLEARING = "enforcement/shared/clearing.py"
VIEWING = "enforcement/shared/viewing.py"
JUDGING = "enforcement/shared/judging.py"
GUARD = "enforcement/shared/guard.py"
AGENT = "enforcement/shared/agent.py"
FINDING = "enforcement/shared/finding.py"
PUBLISHING = "enforcement/shared/publishing.py"
LAYOUT = "enforcement/shared/layout.py"

COPIED = (
    *GUARD_SOURCES,
    "pyproject.toml",
    "tests/conftest.py",
    "tests/unit/test_shared_standing.py",
    "tests/unit/test_shared_table.py",
)
BUGS = {
    "a fact is not written": Change(PUBLISHING, "writer.applied(fact)", "pass"),
    "a row is not written": Change(
        WRITING, "                self._write(node, fact)", "                pass"
    ),
    "what few nodes have is not written": Change(
        WRITING, 'columns["row"][node] = self._row(node, fact)', "pass"
    ),
    "what was taken back stands": Change(
        WRITING, "names = met_at(fact.target)", "names = ()"
    ),
    "the horizon stays": Change(
        WRITING,
        "words[HORIZON] = NO_HORIZON if horizon is None else horizon",
        "pass",
    ),
    "a name is found before its row is there": Change(
        WRITING,
        "in enumerate(names, first):\n",
        "in [*enumerate(names, first)][-1:]:\n",
    ),
    "a fact undoes nothing": Change(
        CLEARING, "found = super()._hanging(touched)", "found = []"
    ),
    "a generation ends for the agent alone": Change(
        CLEARING,
        "            self.values = self._known\n"
        "        self._words[GENERATION] = self.generation\n",
        "            self.values = self._known\n",
    ),
    "values of another generation count": Change(
        GUARD, "value & _CLEAR == words[GENERATION] | NAMED", "value & NAMED"
    ),
    "a value counts for ever": Change(GUARD, "value > wall | FINE", "1"),
    "a lift is not read": Change(VIEWING, 'plain.get("lifts", ())', "()"),
    "a row stands alone": Change(VIEWING, 'rows[-1].get("before", 0)', "0"),
    "attributes are not read": Change(VIEWING, 'plain.get("attributes", ())', "()"),
}
# Seen by one test each: what stands at no moment, and which lease counts.
NARROW = {
    "a row does not say when it changed": Change(
        WRITING, 'columns["changed"][node] = self.file.words[CHANGES]', "pass"
    ),
    "a change does not say that it begins": Change(
        WRITING,
        "words[CHANGES] += 1\n        if self.complete and",
        "if self.complete and",
    ),
    "rows may change meanwhile": Change(
        JUDGING, "not table.is_unchanged(rests_on, since)", "False"
    ),
    "a row under way counts": Change(
        VIEWING, "return changes - changes % 2", "return changes + changes % 2"
    ),
    "what is clear counts for a clock that went back": Change(
        GUARD, "and wall >= words[SINCE]", "and True"
    ),
    "the lease is read after the table": Change(
        GUARD, "and now < deadline", "and now < words[DEADLINE]"
    ),
    "the lease is read after the table, of several names": Change(
        GUARD,
        "(now := self._clock()) < deadline",
        "(now := self._clock()) < words[DEADLINE]",
    ),
    "the lease is read after the table was walked": Change(
        GUARD,
        "return self._concluded(seen, found, mode",
        "return self._concluded(self._seen()[1], found, mode",
    ),
    "the lease of another boot counts": Change(
        GUARD, "if wanted != _HOST:", "if False:"
    ),
    "the lease of another clock counts": Change(
        GUARD, "and now < deadline <= now + table.lease", "and now < deadline"
    ),
    "the lease of another clock counts, of several names": Change(
        GUARD,
        "< deadline <= now + table.lease\n            ):",
        "< deadline\n            ):",
    ),
    "the lease of another clock counts, where the table is walked": Change(
        GUARD, "if deadline > self._clock() + table.lease:", "if False:"
    ),
    "the value of another name of the bucket counts": Change(
        FINDING,
        "if names[start : start + size] == name:\n                    if is_kept:",
        "if True:\n                    if is_kept:",
    ),
    "the number of another name is kept": Change(
        FINDING, "known[text] = number", "known[text] = number ^ 1"
    ),
    "any file beside the table is a leftover": Change(
        LAYOUT, "if ours.fullmatch(file.name):", "if True:"
    ),
    "anybody's table counts": Change(LAYOUT, "_require_trust(path, stat)", "pass"),
    "fail open against the agent's word": Change(
        GUARD, "self._opens and Mode", "False and Mode"
    ),
    "a token of another log": Change(GUARD, ") == self.log and", ") and"),
    "a table that is not written keeps its lease": Change(
        PUBLISHING, "    writer.fail()", "    pass"
    ),
    "a narrow of what an owner has limits nothing": Change(
        "agents_registry/verdict.py",
        "(*required, *closure.beside(rank))",
        "(*required,)",
    ),
    "what is gone is not read": Change(VIEWING, 'plain.get("gone", ())', "()"),
    "a ring has no end": Change(VIEWING, "self.left -= 1", "self.left -= 0"),
}
NARROW |= {
    "a next file that lacks a fact is put in force": Change(
        PUBLISHING, "if build.writer.failed:", "if False:"
    ),
    "a file that failed is written to": Change(
        PUBLISHING, "is self.registry and not writer.failed:", "is self.registry:"
    ),
    "what a file lacks is applied for those who wait": Change(
        PUBLISHING, "        if writer.failed:\n", "        if False:\n"
    ),
    "what a file lacks is applied for the server": Change(
        PUBLISHING, "return None if self.replica.failed else", "return"
    ),
    "a dead file stays before readers": Change(
        PUBLISHING, "if not has_lease(self._path, now):", "if False:"
    ),
    "a file that cannot be put is in force": Change(
        PUBLISHING,
        "if not self.wants(replica) or not self._is_put(replica.writers[0], gone):",
        "self._is_put(replica.writers[0], gone)\n        if not self.wants(replica):",
    ),
    "a probe asks the agent alone": Change(
        AGENT, "return judged is None or judged.allowed", "return super()._allows(name)"
    ),
    "memory that is not reserved is touched": Change(
        CLEARING, "size: int = self._words[NAMES]", "size = len(self.values)"
    ),
    "the lease of a dead agent stays": Change(
        LAYOUT, "os.pwrite(table, bytes(8), 8 * DEADLINE)", "pass"
    ),
    "two agents of one name": Change(PUBLISHING, '.get("agent") == name', " is None"),
    "what a log that is gone denied is forgotten": Change(
        PUBLISHING, "(before.writers if keeps else ())", "()"
    ),
    "the old file keeps its lease": Change(
        PUBLISHING,
        "        for writer in before.writers:\n            writer.retire(",
        "        for writer in ():\n            writer.retire(",
    ),
    "a condemned table keeps its lease": Change(
        PUBLISHING, "0 if writer.failed else self.deadline", "1 << 62"
    ),
}
CHANGES = [*BUGS.values(), *NARROW.values()]
TOPICS = {
    "the horizon stays": ("horizon",),
    "a lift is not read": ("lifts",),
    "attributes are not read": ("attributes",),
    "a value counts for ever": ("expiry",),
    "what was taken back stands": ("distrust",),
}

pytestmark = [pytest.mark.planted, pytest.mark.timeout(300)]


def examine(folder: Path, root: Path, *topics: str) -> dict[str, Any]:
    """Take steps in a process that finds the guard in this folder first."""
    path = os.pathsep.join([str(folder), str(root)])
    arguments = ("-m", "tests.property.shared_tables", str(SEED), str(MOST), *topics)
    done = run(folder, *arguments, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["core"].startswith(str(folder)), "the changed guard was not loaded"
    return report


@pytest.mark.parametrize("bug", BUGS)
def test_a_reader_that_says_something_else_is_seen(
    bug: str, tmp_path: Path, repository: Path, record_property: Any
) -> None:
    """The rules say something else."""
    copied(repository, tmp_path, "enforcement")
    plant(tmp_path, BUGS[bug])

    report = examine(tmp_path, repository, *TOPICS.get(bug, ()))
    record_property("steps", report["steps"])
    assert report["complaint"], f"not seen in {MOST} steps"


@pytest.mark.parametrize("bug", NARROW)
def test_a_moment_that_never_was_is_seen(
    bug: str, tmp_path: Path, repository: Path
) -> None:
    """The tests run (no import error) and one of them fails."""
    copied(repository, tmp_path, *COPIED)
    plant(tmp_path, NARROW[bug])

    assert caught(run_tests(tmp_path, "tests"))


def test_the_tests_of_moments_pass(tmp_path: Path, repository: Path) -> None:
    """A copy that fails anyway would catch every bug."""
    copied(repository, tmp_path, *COPIED)
    assert passed(run_tests(tmp_path, "tests"))


def test_the_table_as_it_is_says_what_the_rules_say(
    tmp_path: Path, repository: Path
) -> None:
    """Else any complaint would do."""
    copied(repository, tmp_path, "enforcement")
    assert examine(tmp_path, repository)["complaint"] is None
