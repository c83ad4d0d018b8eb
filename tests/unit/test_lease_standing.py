"""The standing: which replica answers, and how long it may."""

from __future__ import annotations

from typing import Any

import pytest

from enforcement.lease import NO_LEASE
from enforcement.replica import GapError, GenesisError, PastEndError, Replica
from enforcement.standing import Freshness
from enforcement.token import Token

pytestmark = pytest.mark.unit

SECOND = 1_000_000_000


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        """Start some time after boot."""
        self.now = 100 * SECOND

    def __call__(self) -> int:
        """Give the time (ns)."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Give a clock to move by hand."""
    return Clock()


@pytest.fixture
def standing(clock: Clock) -> Freshness:
    """Give a standing with a lease of one second."""
    return Freshness(SECOND, clock)


def replica(position: int | None = 10, genesis: str = "g1") -> Replica:
    """Give an empty table at a position."""
    made = Replica()
    message: dict[str, Any] = {
        "genesis": genesis,
        "offset": position or 0,
        "facts": [],
        "more": position is None,
    }
    for _ in made.snapshot(message):
        pass
    return made


def answer(
    standing: Freshness, fed: Replica, end: int = 10, genesis: str = "g1"
) -> None:
    """Send a ping and take its pong at once."""
    standing.pong(fed, standing.ping(), genesis, end, remaining_ms=60_000)


def serving(standing: Freshness, position: int = 10) -> Replica:
    """Bring a standing to where it holds a lease."""
    fed = replica(position)
    standing.offer(fed)
    answer(standing, fed, end=position)
    assert standing.holds()
    return fed


@pytest.mark.parametrize("position", [0, 1, 10])
def test_what_is_applied_is_told_from_the_empty_log_on(
    standing: Freshness, position: int
) -> None:
    """A guard of a realm without facts sends receipts, too; one that is unsure none."""
    assert standing.applied() is None
    standing.offer(replica(position))
    assert ("g1", position) == standing.applied()
    standing.condemn(forget=False)
    assert standing.applied() is None


def test_starts_with_nothing(standing: Freshness) -> None:
    """No replica, no lease, and a hello that asks for everything."""
    assert not standing.holds()
    assert not standing.caught_up
    hello = standing.hello(standing.begin())
    assert hello == {"genesis": None, "position": None}


def test_a_snapshot_alone_is_no_catch_up(standing: Freshness) -> None:
    """It may be old by the time that it is complete; a pong proves that it is not."""
    standing.offer(replica())

    assert not standing.caught_up


def test_a_pong_past_the_position_is_no_catch_up(standing: Freshness) -> None:
    """Facts that exist are not applied yet."""
    fed = replica(10)
    standing.offer(fed)
    answer(standing, fed, end=11)

    assert not standing.holds()
    assert not standing.caught_up

    for _ in fed.delta({"from": 10, "to": 11, "facts": []}):
        pass
    standing.refresh()

    assert standing.holds()
    assert standing.caught_up


def test_the_way_of_the_pong_is_part_of_the_lease(
    standing: Freshness, clock: Clock
) -> None:
    """A pong that took 0.9 s leaves 0.1 s."""
    fed = replica()
    standing.offer(fed)
    sent = clock.now
    seq = standing.ping()
    clock.now += 9 * SECOND // 10
    standing.pong(fed, seq, "g1", 10, remaining_ms=60_000)

    assert standing.deadline == sent + SECOND


def test_a_new_connection_goes_on_where_the_replica_stands(standing: Freshness) -> None:
    """A short cut of the line costs no snapshot and, if short enough, no lease."""
    fed = serving(standing)

    assert standing.begin() is fed
    assert standing.hello(fed) == {"genesis": "g1", "position": 10}
    assert standing.holds()


def test_a_gap_ends_the_lease_and_asks_for_a_snapshot(standing: Freshness) -> None:
    """The table stays for fail_open, which was caught up once."""
    fed = serving(standing)
    standing.fail(fed, GapError("hole"))

    assert not standing.holds()
    assert standing.caught_up
    assert standing.hello(fed) == {"genesis": None, "position": None}
    assert standing.begin() is not fed
    assert standing.replica is fed


def test_no_pong_brings_a_lease_back_after_a_gap(standing: Freshness) -> None:
    """Only a new snapshot does."""
    fed = serving(standing)
    standing.fail(fed, GapError("hole"))
    answer(standing, fed)

    assert standing.deadline == NO_LEASE

    standing.offer(replica(10))
    answer(standing, standing.replica)

    assert standing.holds()


def test_a_broken_connection_alone_leaves_the_lease(standing: Freshness) -> None:
    """What was proven stays proven until it runs out."""
    standing.fail(serving(standing), OSError("reset"))

    assert standing.holds()


def test_another_genesis_in_a_pong_ends_everything(standing: Freshness) -> None:
    """Positions of another log say nothing: it must be read before it is served."""
    fed = serving(standing)

    with pytest.raises(GenesisError):
        answer(standing, fed, genesis="g2")
    assert not standing.holds()
    assert not standing.caught_up
    assert standing.served


def test_another_genesis_in_a_snapshot_ends_everything(standing: Freshness) -> None:
    """The server need not have answered a ping before."""
    serving(standing)
    standing.meet("g2")

    assert not standing.holds()
    assert not standing.caught_up


def test_the_new_log_serves_after_its_own_catch_up(standing: Freshness) -> None:
    """A replica of the new log replaces the condemned one, even at a lower position."""
    serving(standing, position=10)
    standing.meet("g2")
    fresh = replica(3, genesis="g2")

    assert standing.offer(fresh)
    assert standing.deadline == NO_LEASE

    answer(standing, fresh, end=3, genesis="g2")

    assert standing.caught_up
    assert standing.holds()


@pytest.mark.parametrize(("genesis", "position"), [("g2", 30), ("g1", 3)])
def test_the_table_of_a_lost_log_is_kept(
    standing: Freshness, genesis: str, position: int
) -> None:
    """A backup may lack a revocation: another log, or the same without its tail."""
    fed = serving(standing, position=10)
    standing.meet(genesis)
    standing.condemn(forget=False)

    assert standing.offer(replica(position, genesis=genesis))
    assert standing.kept == (fed.registry,)


def test_another_log_after_a_hole_ends_everything(standing: Freshness) -> None:
    """The table with the hole denied what a backup may have lost."""
    fed = serving(standing, position=10)
    standing.condemn(forget=False)
    standing.meet("g2")

    assert not standing.caught_up
    assert standing.offer(replica(30, genesis="g2"))
    assert standing.kept == (fed.registry,)
    assert not standing.caught_up


def test_the_table_of_the_same_log_is_not_kept(standing: Freshness) -> None:
    """After a gap the snapshot holds all that the table did, and what came since."""
    serving(standing, position=10)
    standing.condemn(forget=False)

    assert standing.offer(replica(12))
    assert standing.kept == ()


def test_no_pong_of_a_condemned_table_serves_the_new_log(
    standing: Freshness, clock: Clock
) -> None:
    """The connection of the old table may go on while a successor is fed."""
    old = serving(standing, position=10)
    standing.meet("g2")
    clock.now += 5 * SECOND
    answer(standing, old, end=10)
    standing.offer(replica(50, genesis="g2"))

    assert not standing.holds()
    assert not standing.caught_up


def test_no_pong_of_another_log_serves_a_first_table(standing: Freshness) -> None:
    """Two servers may tell of two logs before the first table is complete."""
    answer(standing, replica(None))
    fed = replica(50, genesis="g2")
    standing.offer(fed)

    assert not standing.holds()

    answer(standing, fed, end=50, genesis="g2")
    assert standing.holds()


def test_pongs_of_a_condemned_table_cost_the_new_log_no_proof(
    standing: Freshness,
) -> None:
    """What its own connection proved serves it at once."""
    old = serving(standing, position=10)
    standing.meet("g2")
    fresh = replica(None, genesis="g2")
    answer(standing, fresh, end=50, genesis="g2")
    answer(standing, old, end=10)
    for _ in fresh.snapshot(
        {"genesis": "g2", "offset": 50, "facts": [], "more": False}
    ):
        pass
    standing.offer(fresh)

    assert standing.holds()


def test_a_successor_renews_the_lease_of_the_table_in_force(
    standing: Freshness, clock: Clock
) -> None:
    """It is fed beside it, and its pongs tell of the same log."""
    serving(standing, position=10)
    clock.now += SECOND
    answer(standing, replica(None), end=10)

    assert standing.holds()


def test_a_successor_renews_no_lease_of_a_table_past_its_end(
    standing: Freshness, clock: Clock
) -> None:
    """Its pong is late, or the log lost what the table in force has of it."""
    serving(standing, position=20)
    clock.now += SECOND
    successor = replica(None)
    answer(standing, successor, end=12)

    assert not standing.holds()
    assert standing.sound

    answer(standing, successor, end=20)
    assert standing.holds()


def test_a_proof_of_the_old_log_does_not_serve_the_new(standing: Freshness) -> None:
    """End 10 of one log is not end 10 of another."""
    serving(standing, position=10)
    standing.meet("g2")
    standing.offer(replica(50, genesis="g2"))

    assert not standing.holds()


def test_a_log_shorter_than_the_replica_is_not_served(standing: Freshness) -> None:
    """It lost what the replica has seen, and may lose a denial with it."""
    fed = serving(standing, position=10)

    with pytest.raises(PastEndError):
        answer(standing, fed, end=9)
    assert not standing.holds()
    assert not standing.caught_up
    assert standing.hello(fed) == {"genesis": None, "position": None}


def test_a_pong_before_the_first_chunk_proves_nothing(standing: Freshness) -> None:
    """Which log the connection will bring is not known yet."""
    serving(standing)
    deadline = standing.deadline
    standing.pong(Replica(), standing.ping(), "g1", 10, remaining_ms=60_000)

    assert standing.deadline == deadline


def test_an_unfinished_replica_is_not_put_in_force(standing: Freshness) -> None:
    """The one in force goes on answering."""
    fed = serving(standing)

    assert not standing.offer(replica(None))
    assert standing.replica is fed


def test_a_successor_that_is_behind_waits(standing: Freshness) -> None:
    """Putting it in force would take denials back for a moment."""
    fed = serving(standing, position=10)

    assert not standing.offer(replica(9))
    assert standing.replica is fed
    assert standing.offer(replica(10))


def test_a_pong_to_the_successor_may_lag_behind_the_replica(
    standing: Freshness,
) -> None:
    """Two connections are two queues; that is no shorter log."""
    serving(standing, position=10)
    successor = replica(8)
    answer(standing, successor, end=9)

    assert standing.holds()


def test_a_shorter_log_behind_an_unfinished_successor_is_another_matter(
    standing: Freshness,
) -> None:
    """Only the connection of the replica in force can condemn it."""
    fed = serving(standing, position=10)

    with pytest.raises(PastEndError):
        answer(standing, replica(12), end=11)
    assert standing.holds()
    assert standing.replica is fed


def test_a_long_sleep_ends_the_lease(standing: Freshness, clock: Clock) -> None:
    """The boot clock goes on while the machine sleeps."""
    serving(standing)
    clock.now += 3600 * SECOND

    assert not standing.holds()
    assert standing.caught_up


@pytest.mark.parametrize(
    ("token", "covered"),
    [
        (Token("g1", 0, 10), True),
        (Token("g1", 0, 11), False),
        (Token("g2", 0, 1), False),
        (Token("g1", 1, 1), False),
    ],
)
def test_covers_a_token_once_its_facts_are_applied(
    standing: Freshness, token: Token, covered: bool
) -> None:
    """Position 10 means that everything below it is in."""
    serving(standing, position=10)

    assert covered == standing.covers(token)


def test_a_condemned_replica_covers_nothing(standing: Freshness) -> None:
    """What was applied may not be all of it."""
    fed = serving(standing)
    standing.fail(fed, GapError("hole"))

    assert not standing.covers(Token("g1", 0, 1))


def test_tokens_are_read_from_their_right_end() -> None:
    """A genesis may hold colons."""
    token = Token.parse("urn:log:7:0:42")

    assert token == Token("urn:log:7", 0, 42)
    assert str(token) == "urn:log:7:0:42"


@pytest.mark.parametrize("text", ["", "g1", "g1:0", "g1:0:x", ":0:1", "g1:-1:1"])
def test_what_is_not_a_token_is_refused(text: str) -> None:
    """A mistyped token must not count as applied."""
    with pytest.raises(ValueError, match="not a token"):
        Token.parse(text)


def test_only_a_pong_that_proves_something_tells_the_time(standing: Freshness) -> None:
    """An answer to no ping of ours may be as old as it likes."""
    fed, told = serving(standing), list[int]()
    standing.witness = told.append

    seq = standing.ping()
    standing.pong(fed, seq, "g1", 10, 1000, 5)
    standing.pong(fed, seq, "g1", 10, 1000, 6)
    standing.pong(fed, standing.ping(), "g1", 10, 1000)

    assert told == [5_000_000]
