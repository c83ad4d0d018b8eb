"""The lease on Kafka: what ends and heartbeats prove, and until when."""

from __future__ import annotations

import pytest

from enforcement.kafka.lease import EndLease
from enforcement.lease import NO_LEASE

pytestmark = pytest.mark.unit

SECOND = 1_000_000_000


@pytest.fixture
def lease() -> EndLease:
    """Give a lease of one second."""
    return EndLease(SECOND)


def test_an_end_without_a_heartbeat_is_no_lease(lease: EndLease) -> None:
    """A leader that was cut off answers, too."""
    lease.ended(5 * SECOND, 10)

    assert lease.deadline(10) == NO_LEASE


def test_a_heartbeat_without_an_end_is_no_lease(lease: EndLease) -> None:
    """Nobody knows how long it was on its way."""
    lease.beat(10)

    assert lease.deadline(11) == NO_LEASE


def test_counts_from_the_question_for_the_end(lease: EndLease) -> None:
    """Neither the answer's arrival nor the heartbeat's enters."""
    lease.ended(5 * SECOND, 10)
    lease.beat(10)

    assert lease.deadline(11) == 6 * SECOND


def test_a_heartbeat_below_the_end_proves_nothing(lease: EndLease) -> None:
    """It may have been written long before the question."""
    lease.ended(5 * SECOND, 10)
    lease.beat(9)

    assert lease.deadline(10) == NO_LEASE


@pytest.mark.parametrize(("position", "held"), [(9, False), (10, True), (11, True)])
def test_everything_below_the_end_must_be_applied(
    lease: EndLease, position: int, held: bool
) -> None:
    """A heartbeat says that the log lives, not that the replica knows it."""
    lease.ended(5 * SECOND, 10)
    lease.beat(12)

    assert held == (lease.deadline(position) == 6 * SECOND)


def test_the_older_of_the_two_proofs_counts(lease: EndLease) -> None:
    """Applied up to the newer end, but the last heartbeat is older than that."""
    lease.ended(5 * SECOND, 10)
    lease.beat(10)
    lease.ended(5 * SECOND + 7, 11)

    assert lease.deadline(11) == 6 * SECOND
    lease.beat(11)
    assert lease.deadline(10) == 6 * SECOND
    assert lease.deadline(11) == 6 * SECOND + 7


def test_a_heartbeat_may_be_read_before_the_answer(lease: EndLease) -> None:
    """Two connections are two queues."""
    lease.beat(10)
    lease.ended(5 * SECOND, 10)

    assert lease.deadline(11) == 6 * SECOND


def test_answers_may_arrive_out_of_order(lease: EndLease) -> None:
    """A late answer never shortens a lease, nor lengthens it."""
    lease.ended(5 * SECOND, 10)
    lease.ended(4 * SECOND + 1, 10)
    lease.ended(3 * SECOND, 8)
    lease.beat(10)

    assert lease.deadline(10) == 6 * SECOND


def test_dropping_forgets_everything(lease: EndLease) -> None:
    """Offsets of another log have nothing in common with these."""
    lease.ended(5 * SECOND, 10)
    lease.beat(10)
    lease.drop()

    assert lease.deadline(10) == NO_LEASE
    lease.ended(6 * SECOND, 3)
    assert lease.deadline(3) == NO_LEASE


def test_old_answers_do_not_pile_up(lease: EndLease) -> None:
    """An hour without a heartbeat costs no memory."""
    for number in range(10_000):
        lease.ended(number * SECOND // 4, number)

    assert len(lease._ends) <= 5


@pytest.mark.parametrize("length", [0, -1])
def test_a_lease_has_a_length(length: int) -> None:
    """A lease of nothing is a mistake in the settings, not a mode."""
    with pytest.raises(ValueError, match="longer than nothing"):
        EndLease(length)
