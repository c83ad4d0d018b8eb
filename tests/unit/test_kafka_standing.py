"""The standing of a guard on Kafka: which log it is, and what stays denied."""

from __future__ import annotations

import pytest

from enforcement import Token
from enforcement.kafka.replica import Beat, LogReplica
from enforcement.kafka.standing import LogStanding
from enforcement.lease import NO_LEASE

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
def standing(clock: Clock) -> LogStanding:
    """Give a standing with a lease of one second."""
    return LogStanding(SECOND, LogReplica("acme"), clock)


def replica(end: int = 10, genesis: str = "g1") -> LogReplica:
    """Give an empty table that is applied up to an end."""
    made = LogReplica("acme")
    made.begin(genesis, 0, end)
    move(made, end)
    return made


def move(fed: LogReplica, end: int) -> None:
    """Apply nothing, up to an end."""
    for _ in fed.take((), end):
        pass


def prove(standing: LogStanding, end: int, genesis: str = "g1") -> None:
    """Ask, have the answer, and read a heartbeat that was written after it."""
    standing.ended(standing.ask(), end)
    standing.beat(Beat(genesis, end))
    standing.refresh()


def serving(standing: LogStanding, end: int = 10) -> LogReplica:
    """Bring a standing to where it holds a lease."""
    fed = replica(end)
    standing.identify("g1")
    assert standing.offer(fed)
    prove(standing, end)
    assert standing.holds()
    return fed


def test_nothing_is_proven_of_a_log_that_was_not_identified(
    standing: LogStanding,
) -> None:
    """The same offsets may be those of another log."""
    standing.offer(replica())
    prove(standing, 10)

    assert not standing.holds()
    assert not standing.caught_up


def test_serves_once_both_proofs_are_there(standing: LogStanding) -> None:
    """An end that is applied, and a heartbeat at or above it."""
    standing.identify("g1")
    standing.offer(replica(10))
    standing.ended(standing.ask(), 10)
    assert not standing.holds()

    standing.beat(Beat("g1", 10))
    standing.refresh()

    assert standing.holds()
    assert standing.caught_up
    assert standing.deadline == 101 * SECOND


def test_a_lapse_asks_for_the_log_to_be_identified_anew(
    standing: LogStanding, clock: Clock
) -> None:
    """Whoever slept may wake up before another log of the same name."""
    serving(standing)
    clock.now += 2 * SECOND
    prove(standing, 10)

    assert standing.genesis is None
    assert not standing.holds()

    standing.identify("g1")
    prove(standing, 10)

    assert standing.holds()


def test_another_log_is_not_served_before_it_was_read(standing: LogStanding) -> None:
    """Its end may well lie below our position."""
    serving(standing, 10)
    standing.identify("g2")
    standing.ended(standing.ask(), 10)

    assert not standing.holds()
    assert not standing.caught_up
    assert standing.served

    fresh = standing.replica.successor()
    fresh.begin("g2", 0, 3)
    move(fresh, 3)
    assert standing.offer(fresh)
    prove(standing, 3, "g2")

    assert standing.holds()
    assert standing.caught_up


def test_the_table_of_a_log_that_is_gone_is_kept(standing: LogStanding) -> None:
    """Each of them, however often the log changes."""
    first = serving(standing, 10)
    standing.identify("g2")
    second = replica(3, "g2")
    standing.offer(second)
    standing.identify("g3")
    standing.offer(replica(4, "g3"))

    assert standing.kept == (first.registry, second.registry)


def test_a_successor_in_the_same_log_leaves_nothing_behind(
    standing: LogStanding,
) -> None:
    """It holds all that the replica in force held, and was corrected."""
    serving(standing, 10)
    standing.offer(replica(10))

    assert standing.kept == ()


def test_a_log_that_lost_its_tail_is_read_again(standing: LogStanding) -> None:
    """What was lost may have been a denial; what is held stays denied."""
    fed = serving(standing, 10)
    standing.ended(standing.ask(), 9)

    assert not standing.holds()
    assert not standing.caught_up
    assert not standing.continues(fed, 0, 20)

    standing.identify("g1")
    standing.offer(replica(9))

    assert standing.kept == (fed.registry,)


def test_an_answer_that_took_its_time_is_no_shorter_log(
    standing: LogStanding,
) -> None:
    """What was applied while it was on the way may lie above it."""
    fed = serving(standing, 10)
    question = standing.ask()
    move(fed, 12)
    standing.ended(question, 11)

    assert standing.holds()
    assert standing.sound


def test_a_position_out_of_range_ends_the_lease(standing: LogStanding) -> None:
    """The client said so, before any answer did."""
    fed = serving(standing, 10)
    standing.lost(fed)

    assert not standing.holds()
    assert not standing.continues(fed, 0, 20)


@pytest.mark.parametrize(
    ("start", "end", "goes_on"),
    [(0, 10, True), (0, 9, False), (10, 12, True), (11, 12, False)],
)
def test_reads_on_where_the_log_has_what_comes_next(
    standing: LogStanding, start: int, end: int, goes_on: bool
) -> None:
    """Neither past the end nor before what is left of it."""
    fed = serving(standing, 10)

    assert goes_on == standing.continues(fed, start, end)


def test_a_strange_heartbeat_casts_doubt_once(standing: LogStanding) -> None:
    """Perhaps the log is another; if it is not, that writer is behind."""
    serving(standing, 10)
    standing.beat(Beat("g2", 11))

    assert not standing.holds()

    standing.identify("g1")
    prove(standing, 10)
    standing.beat(Beat("g2", 12))

    assert standing.holds()


def test_a_strange_heartbeat_proves_nothing(standing: LogStanding) -> None:
    """A writer that missed that the log is another says nothing of this one."""
    standing.identify("g1")
    standing.offer(replica(10))
    standing.beat(Beat("g2", 10))
    standing.identify("g1")
    standing.ended(standing.ask(), 10)
    standing.beat(Beat("g2", 11))
    standing.refresh()

    assert standing.deadline == NO_LEASE


def test_tokens_are_of_the_partition(standing: LogStanding) -> None:
    """An offset of another partition says nothing."""
    serving(standing, 10)
    standing.partition = 3

    assert standing.covers(Token("g1", 3, 10))
    assert not standing.covers(Token("g1", 0, 10))
    assert not standing.covers(Token("g1", 3, 11))


def test_a_fresh_heartbeat_tells_the_time_and_an_old_one_does_not() -> None:
    """One that waited in the log tells what time it was."""
    clock = Clock()
    fed = replica()
    standing = LogStanding(SECOND, fed, clock)
    told: list[int] = []
    standing.witness = told.append
    standing.identify("g1")

    standing.beat(Beat("g1", 10, 7))
    assert told == [], "nothing says when it was written"
    standing.ended(standing.ask(), 10)
    standing.beat(Beat("g1", 10, 8))
    standing.beat(Beat("g1", 9, 9))
    standing.beat(Beat("g1", 11))
    clock.now += SECOND
    standing.beat(Beat("g1", 12, 10))

    assert told == [8_000_000]
