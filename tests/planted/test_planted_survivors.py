"""Bugs that lived through the tests of their area once, planted again.

Each is caught by a test that was written for its class. Those of the guard are in
`test_planted_guard`, those of the core in `bugs`.
"""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from agents_registry.facts import Cause, Edge, Fact, OwnerSet, fact_id
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.verdict import Judgement, judge
from streams.engines.embedded import reading
from streams.engines.embedded.transaction import Transaction
from streams.model.findings import Severity
from streams.stages.access.index import AccessIndex
from streams.stages.ingest import entitlement
from streams.stages.ingest.entitlement import Grant
from streams.stages.notify import retry
from streams.stages.notify.draft import Draft
from streams.stages.sentinel import node_bits, revocation_offsets
from streams.stages.sentinel.liveness_index import LivenessIndex
from streams.stages.sentinel.revocation_offsets import Accepted
from tests.contract import test_guard_feed_faults as faults
from tests.contract.feed_server import ScriptedFeed
from tests.contract.guard_cases import FAMILY, connect, until
from tests.integration import test_power_loss, test_store
from tests.integration.power_loss import seen_from_here
from tests.unit import test_dead_bits as bits
from tests.unit import test_entitlement as rights
from tests.unit import test_ingress as ingress
from tests.unit import test_inventory as inventory
from tests.unit import test_notify as notify
from tests.unit import test_presented_names as names
from tests.unit import test_remembered as remembered
from tests.unit import test_sentinel as joins

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agents_registry.identifiers import Identifier
    from streams.stages.notify.draft import FindingChange

pytestmark = pytest.mark.planted

Patch = pytest.MonkeyPatch


def judges_two_names(patch: Patch) -> None:
    """Pass over what is presented third and later."""

    def judged(table: Registry, presented: Presented, **more: Any) -> Judgement:
        first = attrs.evolve(presented, identifiers=presented.identifiers[:2])
        return judge(table, first, **more)

    patch.setattr("tests.unit.test_presented_names.judge", judged)


def believes_the_last_to_arrive(patch: Patch) -> None:
    """Have the last empty set of owners count, whatever its version."""
    patch.setattr(Registry, "_latest", lambda _, fact, __: fact.effective_version)


def finds_its_qualifier_anywhere(patch: Patch) -> None:
    """Let whoever chooses the end of a name say whose it is."""

    def covers(grant: Grant, name: Identifier) -> bool:
        return grant.qualifier in name.value and name.kind.startswith(grant.kind[:-1])

    patch.setattr(Grant, "covers", covers)


def entitles_an_edge_by_its_parent(patch: Patch) -> None:
    """Let anybody hang what is another's below a thing of his own."""
    right = entitlement.targets

    def targets(fact: Fact) -> tuple[Identifier, ...] | None:
        return (fact.parent,) if isinstance(fact, Edge) else right(fact)

    patch.setattr(entitlement, "targets", targets)


def lets_anybody_name_owners(patch: Patch) -> None:
    """Ask for no right where an owner is set."""

    def entitled(fact: Fact, *grants: Any, **role: Any) -> bool:
        return isinstance(fact, OwnerSet) or entitlement.entitled(fact, *grants, **role)

    patch.setattr("streams.stages.ingest.admission.entitled", entitled)


def counts_the_last_copy(patch: Patch) -> None:
    """Have a cause be accepted when it was repeated."""

    def note(accepted: dict[str, Accepted], fact: Fact, offset: int) -> None:
        if isinstance(fact, Cause):
            accepted[fact_id(fact).hex()] = Accepted(fact.received_at, offset)

    patch.setattr(revocation_offsets, "note_acceptance", note)


def passes_over_owners(patch: Patch) -> None:
    """Leave a node quiet that gets other owners."""
    touched = {k: v for k, v in node_bits._TOUCHED.items() if k is not OwnerSet}
    patch.setattr(node_bits, "_TOUCHED", touched)


def passes_over_holders(patch: Patch) -> None:
    """Leave those quiet that hold an attribute which is ended."""
    right = LivenessIndex._undo
    patch.setattr(LivenessIndex, "_undo", lambda bits, nodes: right(bits, nodes[:1]))


def forgets_with_the_oldest_row(patch: Patch) -> None:
    """Drop a piece as soon as one of its rows is old."""
    right = AccessIndex.forget

    def forget(uses: AccessIndex, before: int) -> int:
        for piece in uses:
            piece.newest = piece.oldest
        return right(uses, before)

    patch.setattr(AccessIndex, "forget", forget)


def comes_back_when_it_likes(patch: Patch) -> None:
    """Take no notice of what a receiver asks for."""
    right = retry.wait
    patch.setattr(retry, "wait", lambda key, attempts, _: right(key, attempts))


def tells_of_more_uses_alone(patch: Patch) -> None:
    """Keep to itself what changes at the same count."""
    right = Draft.take

    def take(draft: Draft, change: FindingChange) -> None:
        known = draft.state.announced.get(change.finding.id)
        if known is None or change.finding.count > known.count:
            right(draft, change)

    patch.setattr(Draft, "take", take)


BUGS: list[tuple[Callable[[Patch], None], Callable[[], None]]] = [
    (
        judges_two_names,
        lambda: names.test_one_dead_name_among_many_denies("itself", 4),
    ),
    (
        believes_the_last_to_arrive,
        lambda: inventory.test_ownerless_is_the_same_in_every_order((0, 3, 2, 1)),
    ),
    (
        finds_its_qualifier_anywhere,
        lambda: rights.test_a_qualifier_is_what_a_value_begins_with(
            f"{rights.THEIRS.value}/{rights.MINE.value}"
        ),
    ),
    (
        entitles_an_edge_by_its_parent,
        rights.test_a_child_is_not_entitled_by_its_parent,
    ),
    (
        lets_anybody_name_owners,
        lambda: ingress.test_each_fact_of_a_record_is_entitled(
            {"owners": (ingress.USER,)}, []
        ),
    ),
    (
        counts_the_last_copy,
        lambda: joins.test_a_cause_was_accepted_with_its_earliest_copy((0, 1, 2)),
    ),
    (
        passes_over_owners,
        lambda: bits.test_whatever_ends_it_last_undoes_its_bit("a dead owner"),
    ),
    (
        passes_over_holders,
        lambda: bits.test_whatever_ends_it_last_undoes_its_bit(
            "a cause on what it holds"
        ),
    ),
    (
        forgets_with_the_oldest_row,
        remembered.test_a_piece_stays_as_long_as_its_newest_row,
    ),
    (
        comes_back_when_it_likes,
        lambda: notify.test_waits_whatever_the_answer_that_asks_for_it(500),
    ),
    (
        tells_of_more_uses_alone,
        lambda: notify.test_tells_what_changes_without_another_use(
            {"severity": Severity.CRITICAL}
        ),
    ),
]


@pytest.mark.parametrize(
    ("plant", "test"), BUGS, ids=[plant.__name__ for plant, _ in BUGS]
)
def test_a_planted_bug_is_caught(
    plant: Callable[[Patch], None],
    test: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The test that knows the rule passes without the bug, and fails with it."""
    test()
    plant(monkeypatch)

    with pytest.raises((AssertionError, ValueError)):
        test()


@seen_from_here
async def test_a_commit_that_is_not_synced_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut takes what a server answered that only wrote."""

    def connect(path: Path) -> sqlite3.Connection:
        db = reading.connect(path)
        db.execute("PRAGMA synchronous = NORMAL")
        return db

    monkeypatch.setattr("streams.engines.embedded.store.connect", connect)
    with pytest.raises((AssertionError, sqlite3.Error)):
        await test_power_loss.test_a_power_cut_takes_nothing_that_was_answered(
            tmp_path, monkeypatch, moving=False
        )


async def test_a_failed_job_whose_facts_are_told_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guard would apply what no log holds."""
    right = Transaction.back_to

    def back_to(tx: Transaction, mark: Any) -> None:
        written = list(tx.log.written)
        right(tx, mark)
        tx.log.written = written

    monkeypatch.setattr(Transaction, "back_to", back_to)
    with pytest.raises(AssertionError):
        await test_store.test_a_failing_request_leaves_its_group_alone(tmp_path)


async def test_a_snapshot_of_another_log_that_is_not_met_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A guard would answer from the table of a log that is gone."""
    monkeypatch.setattr("enforcement.standing.AnyStanding.meet", lambda *_: None)
    monkeypatch.setattr(faults, "until", partial(until, within=0.5))
    scripted = ScriptedFeed(log=list(FAMILY))
    async with scripted.listening() as server, connect(server) as guard:
        assert await guard.ready(5)
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            await faults.test_another_logs_snapshot_is_met_at_once(server, guard)
