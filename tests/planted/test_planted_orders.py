"""Bugs planted into orders, and into what keeps them until their time, are caught."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.campaigns import some
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

COPIED: Final = (
    *PRODUCT, "pyproject.toml", "tests/conftest.py", "tests/integration", "tests/unit",
)  # fmt: skip
SCHEDULE: Final = "streams/services/schedule.py"
PARTS: Final = "streams/services/order_parts.py"
ACTS: Final = "streams/stages/ingest/acts.py"
ORDERS: Final = "streams/stages/ingest/ending_orders.py"
APPROVALS: Final = "streams/stages/ingest/approvals.py"
PLANS: Final = "streams/services/plans.py"
BLAST: Final = "streams/stages/ingest/blast.py"
LIMIT: Final = "streams/services/blast_limit.py"
# Name to the file, the right line, the wrong one, and the test that must see it.
BUGS: Final = {
    "the last claim counts": (
        SCHEDULE,
        "if before is None or before.by == claim.by or",
        "if before != claim or before.by == claim.by or",
        "tests/unit/test_schedule.py::test_of_two_claims",
    ),
    "a claim holds for ever": (
        SCHEDULE,
        "claim.at >= before.at + lasts",
        "claim.at >= before.at + 9 * lasts",
        "tests/unit/test_schedule.py::test_who_claimed_and_is_gone",
    ),
    "two processes order one plan": (
        PLANS,
        "return heard if heard is not None and heard.by == self._owner else None",
        "return heard",
        "tests/unit/test_kept_plans.py::test_one_process_alone",
    ),
    "a plan that is taken over is another order": (
        PLANS,
        "claim = claim if heard is None else _taken_over(heard, claim)",
        "self._claims.pop(name, None)",
        "tests/unit/test_kept_plans.py::test_one_process_alone",
    ),
    "a plan of a crash long ago is an order of then": (
        PLANS,
        "if claim.at - before.at > int(SAME_SECONDS * SECOND):",
        "if claim == before:",
        "tests/unit/test_kept_plans.py::test_a_claim_of_long_ago",
    ),
    "a lift of before voids what is approved": (
        APPROVALS,
        "return attrs.evolve(fact, version=max(fact.version, now))",
        "return fact",
        "tests/unit/test_approvals.py::test_a_suspend_is_in_force_once",
    ),
    "what a source suspended outlives its own lift": (
        APPROVALS,
        "if self.authority != OPERATORS:",
        "if not self.authority:",
        "tests/unit/test_approvals.py::test_what_was_proposed_with_a_time",
    ),
    "an order is cancelled and carried out": (
        SCHEDULE,
        "if not await self._is_cancelled(order):",
        "if await self._is_cancelled(order) in (True, False):",
        "tests/unit/test_schedule.py::test_who_has_not_claimed",
    ),
    "one person takes all places": (
        SCHEDULE,
        "if own >= MOST_OF_PERSON and",
        "if own < 0 and",
        "tests/unit/test_schedule.py::test_one_person_cannot",
    ),
    "a selector counts less than it meets": (
        BLAST,
        "meeting = below if meeting is None else meeting & below",
        "meeting = below if meeting is None else meeting - below",
        "tests/unit/test_approvals.py::test_a_selector_counts",
    ),
    "an order comes before its time": (
        SCHEDULE,
        "due = [name for name, at in self._times.items() if at <= now]",
        "due = [name for name, at in self._times.items()]",
        "tests/unit/test_schedule.py::test_an_order_is_carried_out_once",
    ),
    "an order stays after it was carried out": (
        SCHEDULE,
        "also=self._over(order),",
        "also=[],",
        "tests/unit/test_schedule.py::test_an_order_is_carried_out_once",
    ),
    "a cancel comes at the last moment": (
        SCHEDULE,
        "until = (order.due_at or 0) - int(SOON_SECONDS * SECOND)",
        "until = order.due_at or 0",
        "tests/unit/test_schedule.py::test_a_cancelled_order",
    ),
    "a scheduled order passes the limit": (
        SCHEDULE,
        "hold = over.hold and not order.approved",
        "hold = False",
        "tests/unit/test_schedule.py::test_what_reaches_too_much_by_then",
    ),
    "names are not compared with the order": (
        PARTS,
        "not (whole and (yield from digesting(texts)) == order.digest):",
        "not texts:",
        "tests/unit/test_schedule.py::test_an_order_whose_names_are_not_whole",
    ),
    "each copy of an order has facts of its own": (
        ORDERS,
        "version=self.due_at or origin.received_at,",
        "version=origin.received_at,",
        "tests/unit/test_ending_orders.py::test_a_little_ahead_is_now",
    ),
    "a time ahead is now": (
        ACTS,
        "return at if at > now + NOISE else min(at, now)",
        "return min(at, now)",
        "tests/unit/test_ending_orders.py::test_a_little_ahead_is_now",
    ),
    "a revoke takes an end": (
        ORDERS,
        "if EFFECTS[act] not in (Effect.SUSPEND, Effect.NARROW):",
        "if EFFECTS[act] is Effect.NOT_BEFORE:",
        "tests/unit/test_ending_orders.py::test_what_cannot_be_done",
    ),
    "whoever proposed it approves it": (
        APPROVALS,
        "if ours & {_folded(person), _folded(credential)}:",
        "if ours <= {_folded(person), _folded(credential)}:",
        "tests/unit/test_approvals.py::test_nobody_approves",
    ),
    "a lift stands whoever has ordered it": (
        SCHEDULE,
        "if not (ends or order.approved or self._may_lift(order.credential)):",
        "if not (ends or order.approved or order.credential):",
        "tests/unit/test_schedule.py::test_a_lift_of_who",
    ),
    "who has a source's credential approves what it said": (
        "streams/services/approval_queue.py",
        "for proposer in {pending.person, whose}:",
        "for proposer in {pending.person}:",
        "tests/unit/test_approvals.py::test_nobody_approves_what_their",
    ),
    "what has no effect any more is approved": (
        APPROVALS,
        "self.check_effect(now)",
        "",
        "tests/unit/test_approvals.py::test_what_would_have_ended",
    ),
    "a lift ends what other selectors suspended": (
        ACTS,
        "return aspect if where is None else where.aspect_of(aspect)",
        "return aspect",
        "tests/unit/test_ending_orders.py::test_a_selector_is_lifted",
    ),
    "a lift ends what other selectors suspended for the same case": (
        ACTS,
        "return aspect if where is None else where.aspect_of(aspect)",
        'return aspect or ("" if where is None else where.aspect)',
        "tests/unit/test_ending_orders.py::test_an_aspect_lifts",
    ),
    "a condition of a selector is left out": (
        ORDERS,
        'more |= {"where": where} if where else {}',
        "more |= {}",
        "tests/unit/test_ending_orders.py::test_a_selector_is_one_cause",
    ),
    "labels are a source's own whatever it says": (
        "streams/stages/ingest/ingress.py",
        'if record.labels is not None and record.effect in ("issue", None):',
        "if True:",
        "tests/unit/test_generic.py::test_labels_are_read",
    ),
    "what an order names is not counted": (
        LIMIT,
        "if beside > most:",
        "if beside > 9 * most:",
        "tests/unit/test_approvals.py::test_of_a_batch_only",
    ),
}
QUICK: Final = ("the last claim counts", "a time ahead is now")


def change(name: str) -> Change:
    """Give the wrong line of a bug."""
    file, right, wrong, _ = BUGS[name]
    return Change(file, right, wrong)


CHANGES: Final = [change(name) for name in BUGS]


def tried(name: str) -> tuple[str, ...]:
    """Give what runs the test of a bug."""
    file, _, test = BUGS[name][3].partition("::")
    return file, "-k", test


def test_the_orders_as_they_are_pass(tmp_path: Path, repository: Path) -> None:
    """A copy that fails anyway would catch every bug."""
    copied(repository, tmp_path, *COPIED)
    names = sorted({each[3] for each in BUGS.values()})
    files = sorted({name.partition("::")[0] for name in names})
    tests = " or ".join(name.partition("::")[2] for name in names)

    assert passed(run_tests(tmp_path, *files, "-k", tests))


@pytest.mark.parametrize("name", some(BUGS, QUICK))
def test_a_planted_bug_is_caught(tmp_path: Path, repository: Path, name: str) -> None:
    """The tests run (no import error) and one of them fails."""
    copied(repository, tmp_path, *COPIED)
    plant(tmp_path, change(name))

    assert caught(run_tests(tmp_path, *tried(name)))
