"""Bugs planted into two guards are caught by the conformance kit.

A copy of a guard gets one wrong line; then the kit plays the group of cases that is
about it, and must find the guard unsafe (or, where it says so, too strict). Without a
wrong line the copy passes those groups.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from conformance.cases import suite
from conformance.drivers import Program
from conformance.levels import run
from conformance.tables import TableDriver
from conformance.verdicts import Gravity
from tests.integration.node_guard import NODE
from tests.planted.copies import GUARD, Change, copied, plant

pytestmark = pytest.mark.planted

FOLDER = "guards/typescript"


class Bug(NamedTuple):
    """A wrong line.

    Attributes:
        file: from the root, or from the folder of the guard in TypeScript.
        group: of the cases that must catch it.
        gravity: of what they find.
    """

    file: str
    right: str
    wrong: str
    group: str
    gravity: Gravity = Gravity.UNSAFE

    @property
    def change(self) -> Change:
        """The wrong line."""
        file = self.file if "/" in self.file else f"{FOLDER}/{self.file}"
        return Change(file, self.right, self.wrong)


OURS = {
    "lease from the arrival of the pong": Bug(
        "enforcement/standing.py",
        "self.lease.pong(seq,",
        "self.lease._sent[seq] = self._clock(); self.lease.pong(seq,",
        "lease",
    ),
    "the server's remaining lease is ignored": Bug(
        "enforcement/lease.py", "min(self.length, remaining)", "self.length", "lease"
    ),
    "a proof of what is not applied yet": Bug(
        "enforcement/lease.py", "if end <= position", "", "lease"
    ),
    "lease by the wall clock": Bug(
        "enforcement/guard.py",
        "and self._clock() < standing",
        "and min(self._clock(), self._clock() + self.time._wall()"
        " - 1767228600 * 10**9) < standing",
        "lease",
    ),
    "gap ignored": Bug(
        "enforcement/replica.py", "if start != self.position:", "if False:", "feed"
    ),
    "gap keeps the lease": Bug(
        "enforcement/standing.py", "isinstance(error, GapError)", "False", "feed"
    ),
    "another log is not noticed": Bug(
        "enforcement/standing.py",
        "        self.meet(genesis)\n",
        "        genesis = replica.genesis or genesis\n",
        "feed",
    ),
    "a log that lost its tail is served": Bug(
        "enforcement/standing.py", "end < replica.position", "False", "feed"
    ),
    "whole with the first chunk": Bug(
        "enforcement/replica.py", "if not more:", "if True:", "feed"
    ),
    "fail open before the first catch-up": Bug(
        "enforcement/conclusion.py",
        "if not standing.caught_up:",
        "if not standing.replica:",
        "modes",
    ),
    "a fact that cannot be read is skipped": Bug(
        "enforcement/replica.py",
        "raise MalformedError(str(error)) from error",
        "continue",
        "unreadable",
    ),
    "a correction is proven before the rebuild": Bug(
        "enforcement/replica.py",
        "min(self.position, self._corrected_at)",
        "self.position",
        "corrections",
    ),
    "one ping proves twice": Bug(
        "enforcement/lease.py", "_sent.pop(seq, None)", "_sent.get(seq)", "lease"
    ),
    "a successor in force while it is behind": Bug(
        "enforcement/standing.py", "replica.position < current", "False", "corrections"
    ),
    "a successor that does not settle": Bug(
        "enforcement/replica.py",
        "self.corrections[fact] = None\n            if self",
        "if self",
        "copies",
        Gravity.FULL,
    ),
    "a table with a gap is not kept beside another log": Bug(
        "enforcement/standing.py",
        "not self._gone and genesis",
        "self.sound and genesis",
        "gone",
    ),
    "pongs of a log that is gone count": Bug(
        "enforcement/standing.py",
        "            return self.sound\n",
        "            return True\n",
        "gone",
        Gravity.FULL,
    ),
    "pongs of a successor prove below": Bug(
        "enforcement/standing.py", "current is None or end >= current", "True", "gone"
    ),
    "what a log that is gone narrowed expires": Bug(
        "enforcement/judging.py", "now=UNEXPIRED", "now=now", "gone"
    ),
    "a token one too early": Bug(
        "enforcement/standing.py", "token.offset <=", "token.offset <= 1 +", "token"
    ),
    "only own causes": Bug(
        "agents_registry/endings.py",
        "hits = [hit for hit in self._subtree if hit.node in rank]",
        "hits = [h for h in self._subtree if h.node in self._closure.presented]",
        "basics",
    ),
    "reach self cuts the edge": Bug(
        "agents_registry/endings.py",
        "hits = [hit for hit in self._subtree if hit.node in rank]",
        "hits = [h for h in self._subtree if h.node in rank and not self._selves]",
        "basics",
    ),
    "reach self reaches everything": Bug(
        "agents_registry/endings.py",
        "elif cause.reach is Reach.SUBTREE:",
        "elif cause.reach:",
        "basics",
        Gravity.FULL,
    ),
    "an alias is one way": Bug(
        "agents_registry/registry.py",
        "self.lineage.join(first, second)",
        "self._edge(Edge(child=fact.first, parent=fact.second, authority='',"
        " version=0, received_at=0))",
        "basics",
    ),
    "not_before spares what was issued at its time": Bug(
        "agents_registry/endings.py", "<= h.cause.mark", "< h.cause.mark", "basics"
    ),
    "a lift of the same time ends a suspend": Bug(
        "agents_registry/causes.py",
        "bisect_right(versions, cause.version + near)",
        "bisect_left(versions, cause.version + near)",
        "basics",
    ),
    "a narrow of what an owner has limits nothing": Bug(
        "agents_registry/verdict.py",
        "(*required, *closure.beside(rank))",
        "(*required,)",
        "conditions",
    ),
    "a label makes known": Bug(
        "agents_registry/verdict.py",
        "return bool(flags[node] & KNOWN) and not identifier.kind.startswith(LABEL)",
        "return bool(flags[node] & KNOWN)",
        "labels",
    ),
    "unknown credentials pass": Bug(
        "agents_registry/verdict.py", 'kind, "deny")', 'kind, "allow_and_report")',
        "basics",
    ),
    "times are doubles": Bug(
        "conformance/reference.py",
        "json.loads(frame)",
        "json.loads(frame, parse_int=lambda text: int(float(text)))",
        "numbers",
    ),
}  # fmt: skip

FOREIGN = {
    "lease from the arrival of the pong": Bug(
        "guard.ts", "until: sent + least(", "until: sent && now + least(", "lease"
    ),
    "the server's remaining lease is ignored": Bug(
        "guard.ts", "least(remaining, this.lease)", "this.lease", "lease"
    ),
    "gap ignored": Bug(
        "guard.ts", "natural(from) === this.position", "natural(from) >= 0n", "feed"
    ),
    "the lease outlives a snapshot of another log": Bug(
        "guard.ts",
        "    if (this.position !== null) this.forget(); // the",
        "    if (this.position !== null) this.position = this.genesis = null; // the",
        "feed",
    ),
    "times are doubles": Bug( # the clocks too: what is rounded alike is denied
        "wire.ts", "BigInt(at.source)", "BigInt(value)", "numbers", Gravity.CORE
    ),
    "an alias is one way": Bug(
        "table.ts", "new Set<string>([subject, f.second ?? subject])",
        "new Set<string>([subject])",
        "basics",
    ),
    "not_before spares what was issued at its time": Bug(
        "table.ts", "(t) => t <= mark", "(t) => t < mark", "basics"
    ),
    "only own causes": Bug(
        "table.ts", "for (const node of required) {", "for (const node of [of]) {",
        "basics",
    ),
    "the verified time is that of an owner too": Bug(
        "table.ts", "(dated.has(n) && verified", "(verified", "claims"
    ),
    "half a snapshot is served": Bug(
        "guard.ts", "if (!more) this.complete", "this.complete", "feed"
    ),
    "what a log that is gone denied is forgotten": Bug(
        "guard.ts", "this.kept.push(last.table)", "last.table", "gone"
    ),
    "a log that lost its end is the same": Bug(
        "guard.ts", "this.cut || last.genesis", "last.genesis", "gone"
    ),
    "labels are not required": Bug(
        "table.ts",
        '...this.newest("label_set", n).flatMap((f) => f.labels), ',
        "",
        "labels",
    ),
    "what an owner has is not looked for": Bug(
        "table.ts", "of owners(required)) {", "of []) {", "conditions"
    ),
    "a label is met by a node's own alone": Bug(
        "table.ts", ": reach(m, up).has(name)", ': this.newest("label_set", m)'
        ".some((f) => f.labels.includes(name))",
        "conditions",
    ),
    "a suspend ends by a clock that is ahead": Bug(
        "table.ts", "now < f.until + AHEAD", "now < f.until", "limits-of-causes"
    ),
    "a cause of kinds acts on its own target alone": Bug(
        "table.ts", "|| isOf(m, kinds))", "|| isOf(node, kinds))",
        "limits-of-causes",
    ),
    "a new field is passed over": Bug(
        "wire.ts", "for (const name of Object.keys(fact))", "for (const name of [])",
        "unreadable", Gravity.CORE,
    ),
}  # fmt: skip

FROM_TABLES = {
    "the further parents of a table are passed over": Bug(
        "columns.ts",
        'of read["lineage.more_parents"])',
        "of [])",
        "rule-revoke",
    ),
    "a copy that lowers a version is taken as it is": Bug(
        "table.ts", "!this.merged || !lost", "true", "corrections"
    ),
    "what a table distrusts is passed over": Bug(
        "columns.ts", "of read.distrusts)", "of [])", "corrections"
    ),
    "the labels of a table are passed over": Bug(
        "columns.ts",
        'yield register("label_set"',
        'if (!labels) yield register("label_set"',
        "labels",
    ),
    "the end of a cause in a table is passed over": Bug(
        "columns.ts",
        "until, kinds, where, not_before",
        "kinds, where, not_before",
        "limits-of-causes",
        Gravity.CORE,
    ),
    "other names of a table are passed over": Bug(
        "columns.ts", "if (ring[n] !== n)", "if (false)", "basics"
    ),
}

CHANGES: Final = [
    bug.change for bugs in (OURS, FOREIGN, FROM_TABLES) for bug in bugs.values()
]


def found(command: list[str], *groups: str, tables: bool = False) -> set[Gravity]:
    """Give how grave the problems are that the kit finds."""
    with Program(command) as driver:
        tally = run(TableDriver(driver) if tables else driver, suite(list(groups)))
    return {problem.gravity for problem in tally.problems}


@pytest.fixture
def copy(
    repository: Path,
    tmp_path: Path,
    unmeasured: None,
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """Copy our guard to `tmp_path`; give the command that drives the copy."""
    copied(repository, tmp_path, *GUARD, "conformance")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return [sys.executable, "-P", "-m", "conformance.reference"]


def test_the_copy_of_our_guard_passes(copy: list[str]) -> None:
    """A copy that fails anyway would catch every bug."""
    assert set() == found(copy, *sorted({bug.group for bug in OURS.values()}))


@pytest.mark.parametrize("name", OURS)
def test_a_bug_in_our_guard_is_caught(
    name: str, copy: list[str], tmp_path: Path
) -> None:
    """The kit plays against the copy, not against the guard that is installed."""
    bug = OURS[name]
    plant(tmp_path, bug.change)

    assert bug.gravity in found(copy, bug.group)


@pytest.mark.parametrize("name", FOREIGN)
def test_a_bug_in_a_foreign_guard_is_caught(
    name: str, repository: Path, tmp_path: Path
) -> None:
    """The guard in TypeScript shares no line with the kit."""
    bug = FOREIGN[name]
    plant(copied(repository, tmp_path, FOLDER), bug.change)

    assert bug.gravity in found([NODE, str(tmp_path / FOLDER / "driver.ts")], bug.group)


@pytest.mark.parametrize("name", FROM_TABLES)
def test_a_bug_in_a_reader_of_tables_is_caught(
    name: str, repository: Path, tmp_path: Path
) -> None:
    """With tables in place of snapshots, and with nothing else."""
    bug = FROM_TABLES[name]
    plant(copied(repository, tmp_path, FOLDER), bug.change)
    command = [NODE, str(tmp_path / FOLDER / "driver.ts")]

    assert bug.gravity in found(command, bug.group, tables=True)
    assert bug.gravity not in found(command, bug.group)
