"""Tests of the tests: a verdict that is kept too long is seen within some steps."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.planted.copies import Change, copied, plant, run

if TYPE_CHECKING:
    from pathlib import Path

SEED = 7
MOST = 100_000  # steps

REGISTRY = "agents_registry/registry.py"
CLEARANCE = "agents_registry/clearance.py"
ANSWERS = "agents_registry/answers.py"
CLEAR = "agents_registry/clear.py"
LIMITS = "agents_registry/limits.py"
CLEARING = "agents_registry/clearing.py"
VERDICT = "agents_registry/verdict.py"
KEPT = "agents_registry/kept.py"
KEEPING = "agents_registry/keeping.py"
GUARD = "enforcement/guard.py"
UNDO = "self.clearance.undo(node)"


# What a fact of each kind has to undo, then how, then what an answer holds for.
BUGS = {
    "node": Change(REGISTRY, "else self.clearance.loosen)", "else hash)"),
    "node after a horizon": Change(
        REGISTRY, "(self.clearance.undo if ends", "(hash if ends"
    ),
    "edge": Change(REGISTRY, "self.clearance.undo(child)", "pass"),
    "alias": Change(
        REGISTRY,
        "self.clearance.undo(first, second, ring[first], ring[second])",
        "pass",
    ),
    "second name of an alias": Change(
        REGISTRY, "(first, second, ring[first], ring[second])", "(first)"
    ),
    "names that others come between": Change(
        REGISTRY, "(first, second, ring[first], ring[second])", "(first, second)"
    ),
    "owner set": Change(
        REGISTRY,
        f"owned.append(node)\n        {UNDO}",
        "owned.append(node)",
    ),
    "earlier expiry": Change(
        REGISTRY, f"< before:\n            {UNDO}", "< before:\n            pass"
    ),
    "renewal": Change(
        REGISTRY,
        f"< before:\n            {UNDO}\n        else:\n"
        "            self.clearance.loosen(node)",
        f"< before:\n            {UNDO}",
    ),
    "scope set": Change(REGISTRY, f"|= SCOPED\n        {UNDO}", "|= SCOPED"),
    "held attribute": Change(
        REGISTRY, f"by the attribute\n        {UNDO}", "by the attribute"
    ),
    "cause": Change(
        REGISTRY, "fact.target)\n        self._causes_changed(node)", "fact.target)"
    ),
    "cause on an attribute": Change(
        REGISTRY, "self.clearance.undo(node, *holders)", UNDO
    ),
    "lift": Change(
        REGISTRY,
        "lift(_id(fact), node, fact)\n        self._causes_changed(node)",
        "lift(_id(fact), node, fact)",
    ),
    "withdraw": Change(
        REGISTRY,
        "fact.fact_id)\n            self._causes_changed(node)",
        "fact.fact_id)",
    ),
    "horizon": Change(
        REGISTRY, "        self.clearance.begin()\n\n    _MERGE", "\n    _MERGE"
    ),
    "other names": Change(CLEARANCE, "(self._lineage.ring[node],),", "(),"),
    "children": Change(CLEARANCE, "self._lineage.children(node),", "(),"),
    "what is owned": Change(CLEARANCE, "self._owned.get(node, ()),", "(),"),
    "marks of what an answer hangs on": Change(
        CLEARANCE, "values[node] = NO_TIME | generation", "pass"
    ),
    "answers of another generation": Change(
        CLEARANCE,
        "        self.answers.drop()\n        self._uncover()",
        "        self._uncover()",
    ),
    "answers beyond what a fact may look at": Change(
        CLEARANCE,
        "is None:\n            self.answers.drop()",
        "is None:\n            pass",
    ),
    "answers of a node that a fact undoes": Change(
        CLEARANCE,
        "del self.covered[node]\n        self.answers.touch(hanging)",
        "del self.covered[node]",
    ),
    "answers of a node that a fact loosens": Change(
        CLEARANCE,
        "else:\n            self.answers.touch(hanging)",
        "else:\n            pass",
    ),
    "answers of the older half": Change(
        ANSWERS,
        "in (self._young.touched, self._old.touched):",
        "in (self._young.touched,):",
    ),
    "a fact after which it was found out again": Change(
        ANSWERS, "touched[node] > made", "touched[node] > made + 1"
    ),
    "values of a table where room is being made": Change(
        CLEARANCE, "        self._is_blank = False\n        while", "        while"
    ),
    "values of another generation": Change(
        CLEAR, "value <= late or value & GENERATION != generation", "value <= late"
    ),
    "values of another generation, of several": Change(
        CLEAR, "value <= late or value & CURRENT != current", "value <= late"
    ),
    "a clock that passes an expiry": Change(
        ANSWERS, "not answer.since <= now < answer.until", "now < answer.since"
    ),
    "a clock that goes back": Change(
        ANSWERS, "not answer.since <= now < answer.until", "now >= answer.until"
    ),
    "an end that passes to a child": Change(
        CLEARING, "if strength >= ENDS or value & OWNERS_END", "if value & OWNERS_END"
    ),
    "the end of an owner": Change(
        CLEARING, "            until = min(until, last)\n", ""
    ),
    "a not_before": Change(
        CLEAR, "return is_young(registry, presented, nodes, mark)", "return True"
    ),
    "a not_before on what is looked at closely": Change(
        LIMITS, "or is_young(registry, presented, nodes, mark)", "or True"
    ),
    "a not_before of a name that tells no time": Change(
        CLEARING, "if limits & MARKED and not flags & CREDENTIAL:", "if False:"
    ),
    "a time that is claimed under a not_before": Change(
        CLEAR, "presented.issued_at is None and len(nodes) == 1", "len(nodes) == 1"
    ),
    "a not_before above one of several": Change(
        CLEAR, "issued_at is None and len(nodes) == 1", "issued_at is None"
    ),
    "a not_before further up": Change(
        CLEARING, "mark = max(mark, self._clearance.marks[up])", "pass"
    ),
    "a credential above that is too old": Change(
        CLEARING, "if self._has_too_old(names, mark):", "if False:"
    ),
    "a credential of a circle that is too old": Change(
        CLEARING, "if self._has_too_old(todo, mark):", "if False:"
    ),
    "a credential without a time of issue": Change(
        CLEARING, "if issued[name] == UNKNOWN_TIME:", "if False:"
    ),
    "the time of issue that is claimed": Change(
        LIMITS, "UNKNOWN_TIME if at is None else at", "UNKNOWN_TIME"
    ),
    "the time of issue that facts tell": Change(
        LIMITS, " and issued[node] < earliest:", " and at is None:"
    ),
    "the time of issue of a principal": Change(
        LIMITS, "node >= 0 and flags[node] & CREDENTIAL and", "node >= 0 and"
    ),
    "the time of issue of an actor": Change(
        LIMITS, "in nodes[: len(presented.identifiers)]:", "in nodes:"
    ),
    "a scope that is declared further up": Change(
        CLEARING, "nearest.add(self._clearance.nearest[up])", "pass"
    ),
    "a scope that another name declares": Change(
        LIMITS, "for up in (lineage.ring[node], *ups):", "for up in ups:"
    ),
    "a scope above what is only marked": Change(
        LIMITS, "return node  # only marked", "return None  # only marked"
    ),
    "a declared scope that does not cover": Change(
        LIMITS, "all(covers(each, scope) for each in sets)", "True"
    ),
    "scopes that were declared since": Change(
        CLEARANCE, "            del self.covered[node]", "            pass"
    ),
    "scopes of another generation": Change(
        CLEARANCE,
        "        self._uncover()\n        self._is_blank",
        "        self._is_blank",
    ),
    "a scope that is not declared": Change(
        CLEAR, "if not is_declared(registry, ~start, scope):", "if False:"
    ),
    "a scope that one set does not cover": Change(
        CLEAR, "if scope not in declared and not covers(declared, scope):", "if False:"
    ),
    "a text of another generation": Change(
        CLEAR, "and bits & _ALONE == clearance.current", ""
    ),
    "a text of what expired": Change(CLEAR, "bits > now | FINE\n        and ", ""),
    "a text and its scope": Change(
        CLEAR, "or _cover(registry, (node,), scope)", "or True"
    ),
    "a text, and a clock that goes back before a cause was over": Change(
        CLEAR, "        and now >= clearance.since\n", ""
    ),
    "scopes of which another one is covered": Change(
        CLEAR, "elif scope not in clearance.covered.get(start, ())", "elif False"
    ),
    "a scope of one of two declared sets": Change(
        LIMITS, "in registry.scopes.of(node):", "in registry.scopes.of(node)[:1]:"
    ),
    "a fact that comes in the middle": Change(
        VERDICT, "key is not None and registry.changes == changes:", "key is not None:"
    ),
    "nodes of a table that is gone": Change(
        CLEAR, "if table is not clearance.token:", "if table is None:"
    ),
    "the scope that is asked for": Change(
        VERDICT, "return (scope, asked) if", "return (0, asked) if"
    ),
    "the time of issue that is presented": Change(
        CLEAR, "(presented.issued_at, nodes, len(names))", "(0, nodes, len(names))"
    ),
    "who is of the chain": Change(
        CLEAR, "issued_at, nodes, len(names))", "issued_at, nodes)"
    ),
    "the scope of a text": Change(
        VERDICT, "((scope, node), now)", "((None, node), now)"
    ),
    "label set": Change(
        REGISTRY, "of(node)))\n        self.clearance.undo(node)", "of(node)))"
    ),
    "the end of a cause": Change(VERDICT, "min(until, life.until)", "until"),
    "the end of a cause, and a clock that goes back": Change(
        VERDICT, "max(since, life.since)", "since"
    ),
    "a clock that goes back before a cause was over": Change(
        CLEAR, "if now < clearance.since:\n", "if False:\n"
    ),
    "a clock that goes back, of several": Change(
        CLEAR, "if now < clearance.since or size > SIZE:", "if size > SIZE:"
    ),
    "a cause that is limited to kinds": Change(
        CLEARING,
        "if registry.causes.in_force(cause, now=self._now):",
        "if registry.causes.in_force(cause, now=self._now) and not cause.kinds:",
    ),
    "kept, of a table or a generation that is gone": Change(
        VERDICT, "is registry.clearance.answers.era", "is not None"
    ),
    "kept, of a generation that is gone": Change(
        ANSWERS,
        '"""Keep none any more."""\n        self._begin_era()',
        '"""."""\n        self.seals = kept.Seals(self.era)',
    ),
    "kept, of what a fact touches": Change(ANSWERS, "self.seals.end(nodes)", "pass"),
    "kept, of seals that made room": Change(
        ANSWERS,
        "            self._begin_era()",
        "            self.seals = kept.Seals(self.era)",
    ),
    "kept, beyond an expiry": Change(
        VERDICT, "and since <= now < until", "and since <= now"
    ),
    "kept, and a clock that goes back": Change(
        VERDICT, "and since <= now < until", "and now < until"
    ),
    "kept, of another scope": Change(
        VERDICT, "asked is NO_SCOPE if scope is None else asked == scope", "True"
    ),
    "kept, of no scope": Change(
        VERDICT,
        "asked is NO_SCOPE if scope is None else asked == scope",
        "asked is NO_SCOPE or asked == scope",
    ),
    "kept, of any scope": Change(
        KEEPING, "_asked(scope) if bits & SCOPES_ABOVE else None", "None"
    ),
    "kept, of two of which a fact touches one": Change(
        VERDICT, "seal.era is others.era is", "seal.era is"
    ),
    "of a guard, of two of which a fact touches one": Change(
        GUARD, "seal.era is others.era\n", "True\n"
    ),
    "kept, of several that a fact touches": Change(
        KEPT, "all(seal.era is first for seal in self._seals)", "True"
    ),
    "kept, of several of which one expires": Change(
        KEEPING, "until = min(until, value)", "until = value"
    ),
    "kept, and a clock that goes back before a cause was over": Change(
        KEEPING, "span = clearance.since,", "span = -(1 << 63),"
    ),
    "kept, a denial beyond its time": Change(
        KEEPING, "answer.since, answer.until", "answer.since, 1 << 62"
    ),
    "kept, a denial before its time": Change(
        KEEPING, "answer.since, answer.until", "-(1 << 63), answer.until"
    ),
    "of a guard, of a table or a generation that is gone": Change(
        GUARD, "seal.era is standing.replica.registry.clearance.answers.era", "seal.era"
    ),
    "of a guard, of what a fact touches": Change(
        GUARD, "seal.era is standing.replica.registry.clearance.answers.era", "True"
    ),
    "of a guard, of another scope": Change(
        GUARD, "asked is NO_SCOPE if scope is None else asked == scope", "True"
    ),
    "of a guard, of no scope": Change(
        GUARD,
        "asked is NO_SCOPE if scope is None else asked == scope",
        "asked is NO_SCOPE or asked == scope",
    ),
    "of a guard, beyond an expiry": Change(
        GUARD, "since <= self.time.at(clock) < until", "since <= self.time.at(clock)"
    ),
    "of a guard, and a clock that goes back": Change(
        GUARD, "since <= self.time.at(clock) < until", "self.time.at(clock) < until"
    ),
    "of a guard, a denial": Change(GUARD, "if kept is LIVES:", "if kept:"),
}  # fmt: skip
CHANGES = list(BUGS.values())
# The worlds in which some are seen soon; the others are seen in any.
TOPICS = {
    "node after a horizon": ("horizon",),
    "names that others come between": ("aliases",),
    "renewal": ("expiry",),
    "cause on an attribute": ("attributes",),
    "lift": ("lifts",),
    "the time of issue that is presented": ("watermarks",),
    "nodes of a table that is gone": ("distrust",),
    "marks of what an answer hangs on": ("lineage",),
    "a credential of a circle that is too old": ("watermarks",),
    "a scope above what is only marked": ("lifts",),
    "node": ("watermarks",),
    "a fact that comes in the middle": ("self",),
    "a time that is claimed under a not_before": ("watermarks",),
    "a scope of one of two declared sets": ("copies",),
    "a not_before above one of several": ("watermarks",),
    "label set": ("labels",),
    "the scope of a text": ("scopes",),
    "scopes of another generation": ("scopes",),
    "answers beyond what a fact may look at": ("lineage",),
    "a text, and a clock that goes back before a cause was over": ("ends",),
    "the end of a cause": ("ends",),
    "the end of a cause, and a clock that goes back": ("ends",),
    "a clock that goes back before a cause was over": ("ends",),
    "a clock that goes back, of several": ("ends",),
    "a cause that is limited to kinds": ("kinds",),
    "kept, and a clock that goes back before a cause was over": ("ends",),
    "kept, a denial before its time": ("ends",),
}

pytestmark = [pytest.mark.planted, pytest.mark.timeout(300)]


def examine(folder: Path, root: Path, *topics: str) -> dict[str, Any]:
    """Take steps in a process that finds the core in this folder first."""
    path = os.pathsep.join([str(folder), str(root)])
    arguments = ("-m", "tests.property.clearings", str(SEED), str(MOST), *topics)
    done = run(folder, *arguments, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["core"].startswith(str(folder)), "the changed core was not loaded"
    return report


@pytest.mark.parametrize("bug", BUGS)
def test_a_verdict_that_is_kept_too_long_is_seen(
    bug: str, tmp_path: Path, repository: Path, record_property: Any
) -> None:
    """The walk over everything says something else."""
    copied(repository, tmp_path, "agents_registry", "enforcement")
    plant(tmp_path, BUGS[bug])

    report = examine(tmp_path, repository, *TOPICS.get(bug, ()))
    record_property("steps", report["steps"])
    assert report["complaint"], f"not seen in {MOST} steps"


def test_the_core_as_it_is_keeps_none(tmp_path: Path, repository: Path) -> None:
    """Else any complaint would do."""
    copied(repository, tmp_path, "agents_registry", "enforcement")
    assert examine(tmp_path, repository)["complaint"] is None
