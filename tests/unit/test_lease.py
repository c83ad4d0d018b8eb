"""The lease: what a pong proves, and until when."""

from __future__ import annotations

import pytest

from enforcement.lease import NO_LEASE, Lease

pytestmark = pytest.mark.unit

SECOND = 1_000_000_000
LONG = 60 * SECOND


@pytest.fixture
def lease() -> Lease:
    """Give a lease of one second."""
    return Lease(SECOND)


def test_there_is_none_before_a_pong(lease: Lease) -> None:
    """Nothing is proven by asking."""
    lease.sent(1, 5 * SECOND)

    assert lease.deadline(1_000) == NO_LEASE
    assert not lease.holds(1_000, 5 * SECOND)


def test_runs_from_the_time_the_ping_was_sent(lease: Lease) -> None:
    """A pong that took 0.9 s leaves 0.1 s; arrival never enters."""
    lease.sent(1, 5 * SECOND)
    lease.pong(1, end=10, remaining=LONG)

    assert lease.deadline(10) == 6 * SECOND
    assert lease.holds(10, 6 * SECOND - 1)
    assert not lease.holds(10, 6 * SECOND)


def test_a_pong_later_than_a_lease_proves_nothing_usable(lease: Lease) -> None:
    """The answer to an old question is over when it arrives."""
    lease.sent(1, 5 * SECOND)
    lease.pong(1, end=10, remaining=LONG)

    assert not lease.holds(10, 7 * SECOND)


def test_the_server_may_vouch_for_less(lease: Lease) -> None:
    """A server that lives on a lease itself passes on only what remains of it."""
    lease.sent(1, 5 * SECOND)
    lease.pong(1, end=10, remaining=SECOND // 4)

    assert lease.holds(10, 5 * SECOND + SECOND // 4 - 1)
    assert not lease.holds(10, 5 * SECOND + SECOND // 4)


def test_a_server_with_nothing_left_proves_nothing(lease: Lease) -> None:
    """Remaining zero is no lease at all."""
    lease.sent(1, 5 * SECOND)

    assert not lease.pong(1, end=10, remaining=0)
    assert not lease.holds(10, 5 * SECOND)


@pytest.mark.parametrize(("position", "held"), [(9, False), (10, True), (11, True)])
def test_holds_once_everything_below_the_end_is_applied(
    lease: Lease, position: int, held: bool
) -> None:
    """A replica behind the proven end may lack the fact that denies."""
    lease.sent(1, 5 * SECOND)
    lease.pong(1, end=10, remaining=LONG)

    assert held == lease.holds(position, 5 * SECOND)


def test_an_older_proof_counts_while_the_newer_is_not_yet_applied(
    lease: Lease,
) -> None:
    """A burst of facts costs the lease only what the older proof does not cover."""
    lease.sent(1, 5 * SECOND)
    lease.sent(2, 5 * SECOND + SECOND // 4)
    lease.pong(1, end=10, remaining=LONG)
    lease.pong(2, end=20, remaining=LONG)

    assert lease.deadline(10) == 6 * SECOND
    assert lease.deadline(20) == 6 * SECOND + SECOND // 4


def test_pongs_may_arrive_out_of_order(lease: Lease) -> None:
    """A late pong never shortens a lease."""
    lease.sent(1, 5 * SECOND)
    lease.sent(2, 5 * SECOND + 1)
    lease.pong(2, end=10, remaining=LONG)
    lease.pong(1, end=10, remaining=LONG)

    assert lease.deadline(10) == 6 * SECOND + 1


def test_a_pong_to_an_unknown_ping_is_ignored(lease: Lease) -> None:
    """Nobody knows when such a ping was sent."""
    assert not lease.pong(7, end=10, remaining=LONG)
    assert not lease.holds(10, 0)


def test_a_second_pong_to_one_ping_is_ignored(lease: Lease) -> None:
    """A repeated frame must not prove a later end with an older time, or renew."""
    lease.sent(1, 5 * SECOND)
    lease.pong(1, end=10, remaining=SECOND // 2)

    assert not lease.pong(1, end=10, remaining=LONG)
    assert lease.deadline(10) == 5 * SECOND + SECOND // 2


@pytest.mark.parametrize("seq", [0, 1])
def test_a_number_is_used_once(lease: Lease, seq: int) -> None:
    """Else a pong to the first would be timed by the second."""
    lease.sent(1, 5 * SECOND)

    with pytest.raises(ValueError, match="comes after"):
        lease.sent(seq, 6 * SECOND)


def test_dropping_forgets_proofs_and_pings(lease: Lease) -> None:
    """After a change of the log neither old answers nor old questions count."""
    lease.sent(1, 5 * SECOND)
    lease.sent(2, 5 * SECOND)
    lease.pong(1, end=10, remaining=LONG)
    lease.drop()

    assert not lease.pong(2, end=10, remaining=LONG)
    assert lease.deadline(10) == NO_LEASE


def test_old_pings_and_proofs_do_not_pile_up(lease: Lease) -> None:
    """A server that answers half of the pings for an hour costs no memory."""
    for seq in range(1, 10_000):
        lease.sent(seq, seq * SECOND // 4)
        if seq % 2:
            lease.pong(seq, end=seq, remaining=LONG)

    assert len(lease._sent) <= 4
    assert len(lease._proofs) <= 4


@pytest.mark.parametrize("length", [0, -1])
def test_a_lease_has_a_length(length: int) -> None:
    """A lease of nothing is a mistake in the settings, not a mode."""
    with pytest.raises(ValueError, match="longer than nothing"):
        Lease(length)
