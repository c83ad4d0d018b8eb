"""The stage closure: each rule of membership and of its ends, at its boundary."""

from __future__ import annotations

import pytest

from streams.model.times import SECOND
from streams.stages.closure.closure import (
    CauseOutcome,
    Closure,
    GuardMode,
    ProofState,
    Registration,
)

pytestmark = pytest.mark.unit

LEASE = 1000
DEADLINE = 30_000


def closure_of(*guards: Registration) -> Closure:
    """Give a stage with registered guards, who have applied nothing."""
    closure = Closure(DEADLINE)
    for each in guards:
        closure.register(each, 0)
    return closure


def guard(
    name: str = "g", mode: GuardMode = GuardMode.FAIL_CLOSED, *, live: bool = False
) -> Registration:
    """Give a registration."""
    return Registration(name, LEASE, mode, live)


def read(closure: Closure, *offsets: int, now: int = 0) -> None:
    """Read causes, and ask for the end of the receipts then."""
    closure.read(offsets, now)
    closure.ask(closure.receipts)


def states(closure: Closure, now: int) -> list[tuple[int, ProofState]]:
    """Give the changes of a step."""
    return [(each.offset, each.state) for each in closure.step(now)]


def test_a_cause_is_applied_by_a_larger_offset_alone() -> None:
    """A receipt says what the next fact will be, not what the last one was."""
    closure = closure_of(guard(mode=GuardMode.FAIL_OPEN))
    read(closure, 7)
    closure.apply("g", 7, 0)
    assert closure.step(0) == []

    closure.apply("g", 8, 0)

    assert closure.step(0) == [CauseOutcome(7, ProofState.CLOSED, applied=1)]


def test_a_receipt_never_goes_back() -> None:
    """Receipts of two connections may cross."""
    closure = closure_of(guard(mode=GuardMode.FAIL_OPEN))
    closure.apply("g", 8, 0)
    closure.apply("g", 3, 0)
    read(closure, 7)

    assert states(closure, 0) == [(7, ProofState.CLOSED)]


@pytest.mark.parametrize(("live", "tenths"), [(False, 11), (True, 21)])
def test_a_silent_guard_is_fenced_when_its_lease_has_surely_lapsed(
    live: bool, tenths: int
) -> None:
    """A tenth later, since clocks differ; with live sessions one lease more."""
    closure = closure_of(guard(live=live))
    read(closure, 7, now=5)
    fenced_at = 5 + tenths * LEASE // 10
    assert closure.step(fenced_at - 1) == []

    assert closure.step(fenced_at) == [
        CauseOutcome(7, ProofState.CLOSED, fenced=("g",))
    ]


def test_nobody_who_does_not_report_is_counted() -> None:
    """No receipt makes a member, and without members nothing is known."""
    closure = closure_of(guard("observer", GuardMode.OBSERVE))
    assert not closure.apply("stranger", 100, 0)
    read(closure, 7)

    assert closure.step(0) == [CauseOutcome(7, ProofState.UNKNOWN)]
    assert closure.look(7, 0) is None


def test_members_are_fixed_once_the_receipts_are_read_up_to_their_end() -> None:
    """A registration that lies below the end counts, though it is not read yet."""
    closure = Closure(DEADLINE)
    closure.read([7], 0)
    closure.ask(1)  # the registration below stands in the log already
    assert closure.step(0) == []

    closure.register(guard(mode=GuardMode.FAIL_OPEN), 0)
    assert closure.step(0) == []

    seen = closure.look(7, 0)
    assert seen is not None
    assert seen.laggards == ("g",)


def test_who_registers_after_the_end_was_asked_for_is_not_waited_for() -> None:
    """It serves from an end beyond the cause."""
    closure = closure_of(guard("early"))
    read(closure, 7)
    closure.register(guard("late"), 0)
    closure.apply("early", 8, 0)

    assert closure.step(0) == [CauseOutcome(7, ProofState.CLOSED, applied=1)]


def test_partial_names_the_laggards_once_and_may_still_close() -> None:
    """At the deadline; what comes later is told as well."""
    closure = closure_of(
        guard("a", GuardMode.FAIL_OPEN), guard("b", GuardMode.FAIL_OPEN)
    )
    read(closure, 7)
    closure.apply("a", 8, 0)
    assert closure.step(DEADLINE - 1) == []

    partial = CauseOutcome(7, ProofState.PARTIAL, applied=1, laggards=("b",))
    assert closure.step(DEADLINE) == [partial]
    assert closure.step(DEADLINE + 1) == []
    assert closure.leave("b")

    assert closure.step(DEADLINE + 2) == [CauseOutcome(7, ProofState.CLOSED, 1, left=1)]


def test_the_silent_leave_after_ten_leases_unless_they_fail_open() -> None:
    """A guard that fails open goes on allowing, however long nothing is heard of it."""
    closed, opened = guard("closed"), guard("open", GuardMode.FAIL_OPEN)
    closure = closure_of(closed, opened)

    assert closure.expire(10 * LEASE - 1) == []
    assert closure.expire(10 * LEASE) == ["closed"]
    assert list(closure.guards) == ["open"]


@pytest.mark.parametrize("first", [False, True])
def test_a_guard_that_had_live_sessions_has_them_until_they_lapsed(first: bool) -> None:
    """Whichever registration named them, a stream may still be open."""
    closure = closure_of(guard(live=first), guard(live=not first))
    read(closure, 7)

    assert closure.step(21 * LEASE // 10 - 1) == []
    assert closure.step(21 * LEASE // 10) == [
        CauseOutcome(7, ProofState.CLOSED, fenced=("g",))
    ]


def test_of_two_leases_the_longer_counts() -> None:
    """A proof under the first may still be in use."""
    closure = closure_of(Registration("g", 2 * LEASE, GuardMode.FAIL_CLOSED))
    closure.register(guard(), 0)
    read(closure, 7)

    assert closure.step(11 * LEASE // 10) == []
    assert states(closure, 22 * LEASE // 10) == [(7, ProofState.CLOSED)]


def test_a_late_cause_of_before_a_restart_is_not_told_again() -> None:
    """Its finding is out."""
    closure = closure_of(guard(mode=GuardMode.FAIL_OPEN))
    closure.read([7], 0, late=True)
    closure.ask(closure.receipts)

    assert closure.step(2 * DEADLINE) == []
    seen = closure.look(7, 0)
    assert seen is not None
    assert seen.state is ProofState.PARTIAL


def test_one_that_left_in_silence_is_missed_for_an_hour_until_it_is_heard() -> None:
    """Cut off it denies everything, and nobody would be told."""
    closure = Closure(DEADLINE)
    for name in ("cut", "back", "removed", "read again"):
        closure.register(Registration(name, LEASE, GuardMode.FAIL_CLOSED), 0)
    for name in ("cut", "back", "removed"):
        closure.apply(name, 1, 10 * LEASE)

    closure.expire(20 * LEASE)

    assert set(closure.missed) == {"cut", "back", "removed"}
    assert closure.standing(20 * LEASE) == {(GuardMode.FAIL_CLOSED, "gone"): 3}
    assert not closure.guards
    assert closure.leave("removed")
    closure.register(Registration("back", LEASE, GuardMode.FAIL_CLOSED), 21 * LEASE)
    assert set(closure.missed) == {"cut"}
    closure.expire(10 * LEASE + 3600 * SECOND)
    assert not closure.missed
