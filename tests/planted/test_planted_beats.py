"""Bugs planted into the turns of those who write heartbeats are caught."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from streams.engines.kafka.clock import beat_turns
from streams.engines.kafka.clock.beat_turns import BeatTurns
from streams.engines.kafka.clock.cluster_clock import ClusterClock
from streams.engines.kafka.clock.heartbeats import Heart
from tests.property import test_beat_turns as turns
from tests.unit import test_cluster_clock as clocks
from tests.unit import test_kafka_beats as beats

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.planted


def takes_facts_for_heartbeats(patch: pytest.MonkeyPatch) -> None:
    """Wait wherever the end moved, whoever moved it."""
    patch.setattr(BeatTurns, "wrote", lambda *_: None)


def waits_too_long(patch: pytest.MonkeyPatch) -> None:
    """Miss a writer that was killed only when a lease is nearly over."""
    patch.setattr(beat_turns, "QUIET", 0.7)


def never_sees_the_others(patch: pytest.MonkeyPatch) -> None:
    """Beat in all partitions, as if it were alone."""
    patch.setattr(BeatTurns, "looked", lambda *_: None)


def forgets_its_clock(patch: pytest.MonkeyPatch) -> None:
    """Beat nowhere as long as another one does."""
    patch.setattr(beat_turns, "OWN", float("inf"))


def never_asks_again_where_it_failed(patch: pytest.MonkeyPatch) -> None:
    """Leave it to others once these beat there."""
    patch.setattr(beat_turns, "OWN", float("inf"))


def hears_one_leader_most(patch: pytest.MonkeyPatch) -> None:
    """Count each heartbeat, and not each partition."""
    right = ClusterClock.measured

    def measured(clock: ClusterClock, sent: int, acked: int, at: Any) -> None:
        for each in at.values():
            right(clock, sent, acked, {0: each})

    patch.setattr(ClusterClock, "measured", measured)


def hides_a_lost_leader(patch: pytest.MonkeyPatch) -> None:
    """Say that it can write as long as it can write anywhere."""
    right = Heart._note

    def note(heart: Heart, acked: Any) -> None:
        right(heart, acked)
        heart._failing.clear()

    patch.setattr(Heart, "_note", note)


BUGS: dict[Callable[[pytest.MonkeyPatch], None], Callable[[], None]] = {
    takes_facts_for_heartbeats: turns.test_no_guard_loses_its_lease_among_facts,
    waits_too_long: turns.test_no_guard_loses_its_lease_when_writers_are_killed,
    never_sees_the_others: (
        beats.test_writers_take_turns_so_that_one_is_enough_for_each_partition
    ),
    forgets_its_clock: (
        beats.test_writers_take_turns_so_that_one_is_enough_for_each_partition
    ),
    never_asks_again_where_it_failed: (
        beats.test_who_can_write_again_says_so_though_others_beat_there_now
    ),
    hears_one_leader_most: clocks.test_a_broker_that_is_asked_often_has_one_voice,
    hides_a_lost_leader: (
        beats.test_a_partition_without_a_leader_keeps_no_other_one_waiting
    ),
}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_it_is_caught(
    bug: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test passes without the bug, and fails with it."""
    BUGS[bug]()
    bug(monkeypatch)
    with pytest.raises(AssertionError):
        BUGS[bug]()
